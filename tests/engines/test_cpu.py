"""The native implementation under JAX's transformations, against the plain scan."""

import functools
import hashlib
import pathlib
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

import jaxrnn
from jaxrnn._core.loop import Loop
from jaxrnn._core.masking import zero_where_masked
from jaxrnn.engines._table import Call
from jaxrnn.engines.cpu import _library
from jaxrnn.engines.cpu._calls import training_forward
from jaxrnn.engines.cpu._engine import CPU, run
from jaxrnn.engines.kernel._operands import (
    Flags,
    Primals,
    Recurrence,
    States,
    Weights,
    kernel_for,
)
from tests.laws.compiled import hlo, products_in_loops
from tests.laws.tables import assert_close, cell_example, total

needs_kernels = pytest.mark.skipif(_library.problem() is not None, reason=str(_library.problem()))
CELLS = {"lstm": jaxrnn.lstm(4), "gru": jaxrnn.gru(4), "elman": jaxrnn.elman(4)}
every_cell = pytest.mark.parametrize("name", CELLS)
T, B, I = 5, 3, 2


def native(cell, params, carry, xs, *, mask=None, resets=None, reverse=False):
    """`jaxrnn.unroll` by the native kernels."""
    xs = zero_where_masked(mask, xs)
    initial = cell.init_carry(params, jax.ShapeDtypeStruct(xs.shape[1:], xs.dtype))
    carry = initial if carry is None else carry
    call = Call(params, carry, initial, xs, mask, resets)
    return run(cell, Loop(xs.shape[0], reverse), call)


scan = functools.partial(jaxrnn.unroll, implementation="scan")


def loss_of(unroll, name, **flags):
    """``(params, carry, xs) -> (scalar, outputs)``."""

    def loss(params, carry, xs):
        out = unroll(CELLS[name], params, carry, xs, **flags)
        return total(out), out

    return loss


def derivatives(unroll, name, ex):
    """Outputs, gradient, forward mode, and second order."""
    args = ex.params, ex.carry, ex.xs
    direction = jax.tree.map(jnp.cos, args)
    loss = loss_of(unroll, name, mask=ex.mask, resets=ex.resets, reverse=True)
    grad = jax.grad(loss, argnums=(0, 1, 2), has_aux=True)

    def run(*args):
        first, out = grad(*args)
        forward = jax.jvp(lambda *args: loss(*args)[0], args, direction)[1]
        over = jax.jvp(lambda *args: grad(*args)[0], args, direction)[1]
        return out, (first, forward), over

    return jax.jit(run)(*args)


@needs_kernels
@every_cell
def test_every_derivative(name):
    ex = cell_example(CELLS[name], shape=(T, B, I))
    got, want = derivatives(native, name, ex), derivatives(scan, name, ex)
    assert_close(got[0], want[0], 1e-13)
    assert_close(got[1], want[1], 1e-12)
    assert_close(got[2], want[2], 1e-11)


@needs_kernels
@every_cell
@pytest.mark.parametrize("reverse", [False, True])
def test_the_gradients_of_each_example(name, reverse):
    ex = cell_example(CELLS[name], shape=(T, B, I))

    def of_each(unroll):
        loss = loss_of(unroll, name, reverse=reverse)

        def of_one(carry, xs):
            return jax.grad(lambda params: loss(params, carry, xs)[0])(ex.params)

        return jax.jit(jax.vmap(of_one, (0, 1)))(ex.carry, ex.xs)

    assert_close(of_each(native), of_each(scan), 1e-12)


@needs_kernels
def test_reverse_over_reverse_is_forward_over_reverse():
    ex = cell_example(CELLS["elman"], shape=(T, B, I))

    def loss(params):
        return loss_of(native, "elman", mask=ex.mask, resets=ex.resets)(params, None, ex.xs)[0]

    direction = jax.tree.map(jnp.cos, ex.params)

    def slope(params):
        products = jax.tree.map(jnp.vdot, jax.grad(loss)(params), direction)
        return sum(jax.tree.leaves(products))

    def both(params):
        return jax.jvp(jax.grad(loss), (params,), (direction,))[1], jax.grad(slope)(params)

    assert_close(*jax.jit(both)(ex.params), 1e-12)


@needs_kernels
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_vmap_is_a_stack_of_single_runs(name):
    ex = cell_example(CELLS[name], shape=(T, B, I))

    def each(params, carry, xs, mask, resets):
        loss = loss_of(native, name, mask=mask, resets=resets)
        return jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(params, carry, xs)

    args = ex.params, ex.carry, ex.xs, ex.mask, ex.resets
    mapped = jax.jit(jax.vmap(each, (None, 0, 1, 1, 1)))(*args)
    several = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf, -leaf]), ex.params)
    ensemble = jax.jit(jax.vmap(each, (0, 0, 1, 1, 1)))(several, *args[1:])
    each = jax.jit(each)
    for row in range(B):
        at = jax.tree.map(lambda leaf, row=row: leaf[row], (ex.carry, several))
        rest = (leaf[:, row] for leaf in (ex.xs, ex.mask, ex.resets))
        carry, xs, mask, resets = at[0], *rest
        for out, params in (mapped, ex.params), (ensemble, at[1]):
            got = jax.tree.map(lambda leaf, row=row: leaf[row], out)
            assert_close(got, each(params, carry, xs, mask, resets), 1e-12)


@needs_kernels
def test_a_mapped_batch_makes_no_gradient_for_each_example():
    ex = cell_example(CELLS["lstm"], shape=(T, B, I), dtype=jnp.float32)

    def mean(params):
        def one(carry, xs):
            return loss_of(native, "lstm")(params, carry, xs)[0]

        return jax.vmap(one, (0, 1))(ex.carry, ex.xs).mean()

    program = hlo(jax.grad(mean), ex.params)
    assert program.count('custom_call_target="jaxrnn') == 3  # forward, backward, products
    assert f"f32[{B},4,16]" not in program
    assert products_in_loops(program) == []


@needs_kernels
def test_jacobians_are_the_same_in_both_modes():
    name = "gru"
    ex = cell_example(CELLS[name], shape=(2, 2, I))

    def last(params):
        return jax.tree.leaves(native(CELLS[name], params, ex.carry, ex.xs)[0])

    forward, reverse = jax.jit(lambda p: (jax.jacfwd(last)(p), jax.jacrev(last)(p)))(ex.params)
    assert_close(forward, reverse, 1e-13)


@needs_kernels
def test_several_batch_axes_or_none():
    ex = cell_example(CELLS["gru"], shape=(T, 6, I))
    carry, ys = native(CELLS["gru"], ex.params, ex.carry, ex.xs, mask=ex.mask)
    xs, start = ex.xs.reshape(T, 2, 3, I), jax.tree.map(lambda h: h.reshape(2, 3, 4), ex.carry)
    mask = ex.mask.reshape(T, 2, 3)
    got = native(CELLS["gru"], ex.params, start, xs, mask=mask)
    want = jax.tree.map(lambda h: h.reshape(2, 3, 4), carry), ys.reshape(T, 2, 3, 4)
    assert_close(got, want, 0)
    one = jax.tree.map(lambda h: h[0], (ex.carry, carry))
    got = native(CELLS["gru"], ex.params, one[0], ex.xs[:, 0], mask=ex.mask[:, 0])
    assert_close(got, (one[1], ys[:, 0]), 1e-15)


@needs_kernels
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_within_checkpoint_and_shard_map(name):
    ex = cell_example(CELLS[name], shape=(T, B, I))
    flags = {"mask": ex.mask, "resets": ex.resets}

    def loss(params, xs, mask, resets):
        return loss_of(native, name, mask=mask, resets=resets)(params, None, xs)[0]

    want = jax.jit(jax.grad(loss, (0, 1)))(ex.params, ex.xs, **flags)
    kept = jax.grad(jax.checkpoint(loss), (0, 1))
    assert_close(jax.jit(kept)(ex.params, ex.xs, **flags), want, 1e-13)
    mesh, rows = Mesh(np.array(jax.devices()[:1]), ("batch",)), PartitionSpec(None, "batch")

    def summed(*args):
        return jax.lax.psum(loss(*args), "batch")

    specs = (PartitionSpec(), rows, rows, rows)
    mapped = jax.shard_map(summed, mesh=mesh, in_specs=specs, out_specs=PartitionSpec())
    got = jax.jit(jax.grad(mapped, (0, 1)))(ex.params, ex.xs, ex.mask, ex.resets)
    assert_close(got, want, 1e-13)


def test_a_wrapped_cell_never_runs_by_the_kernel_of_the_cell_it_wraps():
    cell = CELLS["lstm"]
    assert kernel_for(cell) is not None
    assert kernel_for(cell._replace(project=lambda params, x: x)) is not None
    for field in "recur", "update":
        wrapped = cell._replace(**{field: lambda *args, inner=getattr(cell, field): inner(*args)})
        assert kernel_for(wrapped) is None
    assert kernel_for(jaxrnn.gru(4, reset_after=False)) is None
    assert kernel_for(jaxrnn.elman(4, jnp.sin)) is None
    assert kernel_for(jaxrnn.elman(4, jax.nn.relu)) is not None
    for wrapped in map(jaxrnn.emit_carry, (jaxrnn.weight_norm(cell), jaxrnn.learned_carry(cell))):
        assert kernel_for(wrapped) is kernel_for(cell)  # the state equation is the same


@pytest.fixture
def fresh(monkeypatch):
    """A search for the library that nothing remembers."""
    opened = _library._open
    monkeypatch.setattr(_library, "_open", opened.__wrapped__)
    return _library.problem.__wrapped__


def test_a_missing_or_foreign_library_is_named_with_what_helps(tmp_path, monkeypatch, fresh):
    (tmp_path / "text.so").write_text("no library")
    (tmp_path / "unsigned.so").write_text("no library")
    digest = hashlib.sha256(b"no library").hexdigest()
    (tmp_path / "text.so.sha256").write_text(digest)
    for name, message in (
        ("none.so", "were not built"),
        ("unsigned.so", "is damaged or incomplete"),
        ("text.so", "is no library of native"),
    ):
        monkeypatch.setattr(_library, "PATH", tmp_path / name)
        assert message in fresh()
        assert "pip install" in fresh()


@needs_kernels
def test_a_library_of_other_sources_is_refused(monkeypatch, fresh):
    monkeypatch.setattr(_library, "INTERFACE", -1)
    assert "was built from other sources" in fresh()


@needs_kernels
@every_cell
def test_nothing_that_a_kernel_returns_is_unwritten(name):
    """What is saved of masked steps is zero, also where memory holds leftovers of other calls."""
    cell, steps, batch = CELLS[name], 8, 64
    ex = cell_example(cell, shape=(steps, batch, I), dtype=jnp.float32)
    mask = jnp.broadcast_to(jnp.arange(steps)[:, None] < 3, (steps, batch))
    recurrence = Recurrence(kernel_for(cell), False, CPU)
    primals = Primals(_weights(ex.params), States(ex.carry, None), ex.xs)
    save = jax.jit(lambda flags: training_forward(recurrence, primals, flags)[1])
    for _ in range(5):
        jax.block_until_ready(save(Flags(jnp.ones_like(mask), None)))
        saved = save(Flags(mask, None))
        for leaf in jax.tree.leaves((saved.gates, saved.extra, saved.ys)):
            np.testing.assert_array_equal(leaf[3:], 0)


def _weights(params):
    recurrent_bias = getattr(params, "recurrent_bias", None)
    return Weights(params.kernel, params.bias, params.recurrent_kernel, recurrent_bias)


PROBLEMS = """
import pathlib, sys
import jax, jax.numpy as jnp, jaxrnn
from jaxrnn.engines.cpu import _library
for path in sys.argv[1:]:
    _library.PATH = pathlib.Path(path)
    _library._open.cache_clear()
    _library.problem.cache_clear()
    print(_library.problem())
cell, xs = jaxrnn.lstm(4), jnp.ones((5, 2, 3))
print(jaxrnn.explain(cell, xs).implementation, jaxrnn.explain(cell, xs))
params = cell.init(jax.random.key(0), xs[0])
print(jaxrnn.unroll(cell, params, None, xs)[1].shape)
"""


def damaged(content, rng):
    """Truncated and bit-flipped copies of a library."""
    for length in (0, 1, 100, 5000, len(content) // 2, len(content) - 1):
        yield content[:length]
    for place in [0, 5, *rng.integers(64, len(content), 6)]:
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.integers(8)
        yield flipped


@needs_kernels
def test_a_damaged_library_is_not_loaded(tmp_path):
    """In a process of its own, since loading a truncated library kills the process."""
    checksum = pathlib.Path(f"{_library.PATH}.sha256")
    paths = []
    for i, content in enumerate(damaged(_library.PATH.read_bytes(), np.random.default_rng(0))):
        paths.append(tmp_path / f"{i}.so")
        paths[-1].write_bytes(content)
        shutil.copy(checksum, f"{paths[-1]}.sha256")
    done = subprocess.run(
        [sys.executable, "-c", PROBLEMS, *paths], capture_output=True, text=True, check=True
    )
    lines = iter(done.stdout.splitlines())
    for path in paths:
        problem = next(lines)
        assert f"{path} is damaged or incomplete" in problem
        assert "pip install" in problem
    assert next(lines).startswith("xla ")
    *reasons, shape = lines
    assert f"{paths[-1]} is damaged or incomplete" in "".join(reasons)
    assert shape == "(5, 2, 4)"
