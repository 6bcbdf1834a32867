"""Runs on several devices, which a CPU simulates in a process of its own."""

import pathlib
import subprocess
import sys

import jax
import pytest
from jax.sharding import PartitionSpec

from tests.devices import with_devices
from tests.laws.tables import LAYERS, assert_close, layer_example, total

TESTS = pathlib.Path(__file__).parent / "eight_devices.py"


@pytest.mark.thorough
def test_eight_devices():
    """Every layer and cell on meshes of every kind."""
    command = [sys.executable, "-m", "pytest", str(TESTS), "--tb=short", "--thorough"]
    done = subprocess.run(command, capture_output=True, text=True, env=with_devices(8))
    assert done.returncode == 0, done.stdout[-6000:]


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["truncate", "stack"])
def test_layers_run_where_only_the_parameters_or_the_flags_vary(name):
    """Within `jax.shard_map`, what varies over devices makes the carry vary too."""
    case = LAYERS[name]
    ex = layer_example(case)
    mesh = jax.make_mesh((1,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    layer, here, everywhere = case.layer, PartitionSpec("d"), PartitionSpec()

    def loss(params, xs, mask, resets):
        out = layer.apply(params, None, xs, mask=mask, resets=resets)
        return total(out)

    def one(tree):
        return jax.tree.map(lambda leaf: leaf[0], tree)

    def many(tree):
        return jax.tree.map(lambda leaf: leaf[None], tree)

    arguments = ex.params, ex.xs, ex.mask, ex.resets
    expected = jax.jit(jax.value_and_grad(loss))(*arguments)
    for varying in range(4):

        def run(*args, varying=varying):
            args = [one(arg) if i == varying else arg for i, arg in enumerate(args)]
            return many(jax.value_and_grad(loss)(*args))

        specs = tuple(here if i == varying else everywhere for i in range(4))
        mapped = jax.jit(jax.shard_map(run, mesh=mesh, in_specs=specs, out_specs=here))
        given = [many(arg) if i == varying else arg for i, arg in enumerate(arguments)]
        assert_close(one(mapped(*given)), expected, 1e-12)
