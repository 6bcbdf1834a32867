"""Programs saved by `jax.export`, called back in a process that has jax and no jaxrnn."""

import functools
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export

import jaxrnn
from tests.package.test_docs import snippets

ROOT = pathlib.Path(__file__).parents[2]
I, H, N = 5, 8, 6
SIZES = [(1, 1), (7, 3), (20, 4)]  # steps, rows
MODELS = {
    "deep": jaxrnn.stack(
        jaxrnn.rnn(jaxrnn.layer_norm_lstm(H)),
        jaxrnn.dropout(0.3),
        jaxrnn.residual(jaxrnn.rnn(jaxrnn.zoneout(jaxrnn.gru(H), 0.2))),
        jaxrnn.dense(N),
    ),
    "lstm": jaxrnn.rnn(jaxrnn.lstm(H)),
}

ALONE = """
import pathlib, sys
sys.modules["jaxrnn"] = None  # importing it is an error now
import jax
import numpy as np
from jax import export

jax.config.update("jax_enable_x64", True)

def load(name):
    return export.deserialize(bytearray(pathlib.Path(name).read_bytes())).call

def assert_close(got, want):
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)

def read(name):
    with np.load(name) as arrays:
        return [jax.numpy.array(array) for array in arrays.values()]

weights = read("weights.npz")
start = jax.jit(load("start"))
step = jax.jit(load("step"), donate_argnums=1)
baked = jax.jit(load("baked"), donate_argnums=0)
whole = jax.jit(load("whole"))
for size in SIZES:
    xs, lengths, ys, masked = read(f"{size}.npz")
    for call in (lambda *args: step(weights, *args), baked):
        carry = start(weights, xs[0])
        for x, y in zip(xs, ys, strict=True):
            given, (carry, got) = carry, call(carry, x)
            assert_close([got], [y])
        assert all(leaf.is_deleted() for leaf in given)
    assert_close([whole(weights, xs, lengths)], [masked])
print("done")
"""


def alone(script, path):
    """Runs a script in a process of its own, in a folder."""
    run = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(run, capture_output=True, text=True, cwd=path)
    assert done.returncode == 0, done.stderr
    return done.stdout


def save(path, model, params):
    """Saves a step, with parameters as an argument and in the file, and a whole sequence."""
    weights, structure = jax.tree.flatten(params)
    T, B = export.symbolic_shape("T, B")
    x = jax.ShapeDtypeStruct((B, I), jnp.float64)
    xs = jax.ShapeDtypeStruct((T, B, I), jnp.float64)
    like = jax.tree.structure(jax.eval_shape(model.init_carry, params, xs))

    def start(weights, x):
        return jax.tree.leaves(model.init_carry(structure.unflatten(weights), x[None]))

    def step(weights, carry, x):
        weights, carry = structure.unflatten(weights), like.unflatten(carry)
        carry, ys = model.apply(weights, carry, x[None])
        return jax.tree.leaves(carry), ys[0]

    def whole(weights, xs, lengths):
        mask = jaxrnn.length_mask(lengths, xs.shape[0])
        return model.apply(structure.unflatten(weights), None, xs, mask=mask)[1]

    carry = jax.eval_shape(start, weights, x)
    lengths = jax.ShapeDtypeStruct((B,), jnp.int32)
    for name, function, args in [
        ("start", start, (weights, x)),
        ("step", step, (weights, carry, x)),
        ("baked", functools.partial(step, weights), (carry, x)),
        ("whole", whole, (weights, xs, lengths)),
    ]:
        program = export.export(jax.jit(function), platforms=("cpu", "cuda", "tpu"))(*args)
        (path / name).write_bytes(program.serialize())
    np.savez(path / "weights.npz", *weights)


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["deep", "lstm"])
def test_saved_programs(name, tmp_path):
    model, rng = MODELS[name], np.random.default_rng(0)
    params = model.init(jax.random.key(0), jax.ShapeDtypeStruct((1, 1, I), jnp.float64))
    save(tmp_path, model, params)
    for steps, rows in SIZES:
        xs = rng.normal(size=(steps, rows, I))
        lengths = rng.integers(0, steps + 1, rows).astype(np.int32)
        mask = jaxrnn.length_mask(lengths, steps)
        ys = [jax.jit(model.apply)(params, None, xs, mask=m)[1] for m in (None, mask)]
        np.savez(tmp_path / f"{(steps, rows)}.npz", xs, lengths, *ys)
    assert alone(f"SIZES = {SIZES}\n{ALONE}", tmp_path) == "done\n"


@pytest.mark.thorough
def test_the_page_in_processes_of_their_own(tmp_path):
    """What the page runs in another process needs nothing of the first, and no jaxrnn."""
    found = snippets(ROOT / "docs" / "export.md")
    here = [s for s in found if not s.startswith("# In another process")]
    there = [s for s in found if s not in here]
    assert len(there) == 3
    alone("\n".join(s for s in here if "flax" not in s and "onnx" not in s), tmp_path)
    for script in there:
        alone(f'import sys\nsys.modules["jaxrnn"] = None\n{script}', tmp_path)
