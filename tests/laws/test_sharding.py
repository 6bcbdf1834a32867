"""Data-parallel runs over four devices, which a CPU can pretend to have in a process of its own."""

import subprocess
import sys

import jax
import pytest
from jax.sharding import PartitionSpec

from tests.devices import with_devices
from tests.laws.tables import LAYERS, assert_close, layer_example, total

SCRIPT = """
import jax, jax.numpy as jnp, numpy as np, re
import jaxrnn
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

T, B, I, H = 7, 8, 5, 4
mesh = Mesh(np.array(jax.devices()), ("batch",))
rows = P(None, "batch")
xs = jax.random.normal(jax.random.key(0), (T, B, I))
mask = jaxrnn.length_mask(jnp.arange(B) % T, T)
resets = jax.random.bernoulli(jax.random.key(1), 0.3, (T, B))

def close(actual, expected):
    for a, e in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-5)

for implementation in ("scan", "xla"):
    for cell in (jaxrnn.lstm(H), jaxrnn.gru(H), jaxrnn.elman(H)):
        params = cell.init(jax.random.key(2), xs[0])

        def loss(params, xs, mask, resets):
            options = dict(mask=mask, resets=resets, implementation=implementation)
            return jnp.sum(jaxrnn.unroll(cell, params, None, xs, **options)[1] ** 2)

        expected = jax.grad(loss)(params, xs, mask, resets)

        sharded = [jax.device_put(a, NamedSharding(mesh, rows)) for a in (xs, mask, resets)]
        grad = jax.jit(jax.grad(loss))
        close(grad(params, *sharded), expected)
        program = grad.lower(params, *sharded).compile().as_text()
        assert not re.search(r" (all-gather|all-to-all|collective-permute)", program), cell

        def total(*args):
            return jax.lax.psum(loss(*args), "batch")

        mapped = jax.shard_map(total, mesh=mesh, in_specs=(P(), rows, rows, rows), out_specs=P())
        close(jax.jit(jax.grad(mapped))(params, xs, mask, resets), expected)

for chunked in (lambda layer: jaxrnn.truncate(layer, 2), jaxrnn.remat):
    layer = chunked(jaxrnn.rnn(jaxrnn.lstm(H)))
    params = layer.init(jax.random.key(2), xs)

    def cost(params, carry, xs):
        return jnp.sum(layer.apply(params, carry, xs)[1] ** 2)

    def everywhere(params, xs):
        given = layer.init_carry(params, xs)
        return jax.lax.psum(cost(params, None, xs) + cost(params, given, xs), "batch")

    mapped = jax.shard_map(everywhere, mesh=mesh, in_specs=(P(), rows), out_specs=P())
    expected = [2 * leaf for leaf in jax.grad(cost)(params, None, xs)]
    close(jax.jit(jax.grad(mapped))(params, xs), expected)
"""


def test_batches_are_sharded_without_gathering_them():
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=with_devices(4)
    )
    assert done.returncode == 0, done.stderr[-3000:]


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
