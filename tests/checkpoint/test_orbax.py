"""The recipe of docs/checkpoints.md: training resumes bitwise, also on other devices."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.devices import with_devices

pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed")
pytest.importorskip("optax", reason="optax is not installed")

PAGE = Path(__file__).parents[2] / "docs" / "checkpoints.md"

BITS = """
import hashlib, sys, pathlib
import numpy as np
from recipe import *

def bits(state):
    state = state._replace(key=jax.random.key_data(state.key))
    leaves = [np.asarray(x) for x in jax.tree.leaves(state)]
    about = [(str(x.dtype), x.shape) for x in leaves]
    return hashlib.sha256(repr(about).encode() + b"".join(x.tobytes() for x in leaves)).hexdigest()

def managed(folder):
    return ocp.CheckpointManager(folder, item_handlers=ocp.StandardCheckpointHandler())

here = pathlib.Path(__file__).parent
"""

STRAIGHT = """
state = train(here / "straight", 6, save_every=6)
print(bits(state), int(state.position))
"""
HALF = """
state = train(here / "run", 3, save_every=3)
print(bits(state), int(state.position))
"""
REST = """
with managed(here / "run") as manager:
    step, state = restore(manager, start())
assert step == 3
assert jax.tree.structure(state) == jax.tree.structure(start())
print(bits(state))
state = train(here / "run", 6, save_every=3)
print(bits(state), int(state.position))
"""
MISFITS = """
import sys

def raises(state, *parts):
    with managed(here / "run") as manager:
        try:
            restore(manager, state)
        except ValueError as error:
            assert str(here / "run") in str(error), error
            assert all(part in str(error) for part in parts), error
        else:
            sys.exit(f"read in spite of {parts}")

now = start()
other = jaxrnn.stack(jaxrnn.rnn(jaxrnn.lstm(17)), jaxrnn.dropout(0.2), jaxrnn.dense(I))
raises(now._replace(params=other.init(jax.random.key(0), data[:T])), "((3, 64)", "((3, 68)")
half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), now.params)
raises(now._replace(params=half), "bfloat16", "float32")
raises(now._replace(optimizer=optax.sgd(1e-3).init(now.params)), "None")
raises(now._replace(carry=()), "None")
raises(now._replace(key=jax.random.key(0, impl="rbg")), "((2,)", "((4,)")
raises(now._replace(key=jax.random.split(now.key)), "((2,)", "((2, 2)")
"""
SPREAD = """
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

mesh = Mesh(np.array(jax.devices()), ("rows",))
assert mesh.size == 8

def put(tree, spec):
    return jax.tree.map(lambda x: jax.device_put(x, NamedSharding(mesh, spec)), tree)

def spread(state):
    state = put(state, P())
    kernels = put(state.params[0].kernel, P(None, "rows"))
    params = (state.params[0]._replace(kernel=kernels), *state.params[1:])
    return state._replace(carry=put(state.carry, P("rows")), params=params)
"""
DAMAGE = """
import random, shutil

def try_to_restore(folder):
    with managed(folder) as manager:
        return bits(restore(manager, start())[1])

here, copy = here / "run", here / "copy"
want, rng, named = try_to_restore(here), random.Random(0), 0
largest = max((here / "3").rglob("d/*"), key=lambda path: path.stat().st_size)
content = largest.read_bytes()
shutil.copytree(here, copy)
target = copy / largest.relative_to(here)
for bit in rng.sample(range(8 * len(content)), 40):
    damaged = bytearray(content)
    damaged[bit // 8] ^= 1 << bit % 8
    target.write_bytes(damaged)
    try:
        got = try_to_restore(copy)
    except Exception as error:  # of any type, if decompression fails
        got = want
        named += f"Step 3 in {copy} is damaged in ['" in str(error)
    assert got == want, bit
target.write_bytes(content)
assert try_to_restore(copy) == want

# In memory, where no compression finds them first, the checksums name all flips.
state = start()
kernel = np.asarray(state.params[0].kernel)
for bit in rng.sample(range(8 * kernel.nbytes), 40):
    damaged = bytearray(kernel.tobytes())
    damaged[bit // 8] ^= 1 << bit % 8
    other = jnp.asarray(np.frombuffer(damaged, kernel.dtype).reshape(kernel.shape))
    params = state.params[0]._replace(kernel=other), *state.params[1:]
    found = differences(checksums(state._replace(params=params)), checksums(state))
    assert list(found) == ["params.0.kernel"], (bit, found)
print(named)
"""
EIGHT = """
state = spread(train_step(spread(start())))
assert len(state.carry[0].h.addressable_shards) == 8
assert state.carry[0].h.addressable_data(0).shape == (1, 16)
with managed(here / "eight") as manager:
    manager.save(1, args=ocp.args.StandardSave(sealed(state)))
print(bits(state))
"""
ONE = """
assert jax.device_count() == 1
with managed(here / "eight") as manager:
    step, state = restore(manager, start())
assert state.carry[0].h.devices() == set(jax.devices())
print(bits(state))
train_step(state)
"""
BACK = """
with managed(here / "run") as manager:
    step, state = restore(manager, spread(start()))
assert state.carry[0].h.addressable_data(0).shape == (1, 16)
assert state.params[0].kernel.addressable_data(0).shape == (I, 8)
print(bits(state))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs a script after the recipe in a new process, and returns the words that it printed."""
    folder = tmp_path_factory.mktemp("orbax")
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.M | re.S)
    recipe = [block for block in blocks if "class State" in block or "def restore" in block]
    assert len(recipe) == 2
    (folder / "recipe.py").write_text("\n".join(recipe))

    def run(script, devices=1):
        (folder / "script.py").write_text(BITS + script)
        quick = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}  # compiles faster
        done = subprocess.run(
            [sys.executable, "-W", "error", folder / "script.py"],
            capture_output=True,
            text=True,
            env=with_devices(devices) | quick,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.split()

    return run


@pytest.fixture(scope="module")
def halfway(run):
    """A hash of the state after three of six steps."""
    return run(HALF)[0]


@pytest.mark.thorough
def test_eight_devices_and_one(run, halfway):
    assert run(SPREAD + EIGHT, devices=8) == run(ONE)
    assert run(SPREAD + BACK, devices=8) == [halfway]


@pytest.mark.thorough
def test_other_states_raise(run, halfway):
    run(MISFITS)


@pytest.mark.thorough
def test_damage_is_detected(run, halfway):
    (named,) = run(DAMAGE)
    assert int(named) > 0  # of 40; decompression finds others, as the order of the arrays has it


@pytest.mark.thorough
def test_six_steps_are_three_and_three(run, halfway):
    """Must come last, because it continues the run in its directory."""
    straight, position = run(STRAIGHT)
    assert position == "60"
    assert halfway != straight
    assert run(REST) == [halfway, straight, "60"]
