"""Carry gradients are derivatives with respect to the carries, for any cell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import diagnostics
from jaxrnn._core.dependency import floating, with_floating
from jaxrnn.diagnostics._perturbed import perturbed
from jaxrnn.engines.cpu._library import problem
from tests.laws.tables import CELLS, H, I, assert_close, noisy
from tests.marks import later

T, B = 5, 2


def loss(ys):
    return sum(jnp.sum(jnp.sin(leaf)) for leaf in floating(ys))


def sequence(cell):
    xs = jax.random.normal(jax.random.key(0), (T, B, I), jnp.float64)
    params = noisy(cell.init(jax.random.key(1), xs[0]), jax.random.key(2))
    return params, xs


@pytest.mark.parametrize("row", ["lstm", "leaky", *map(later, ["gru", "linear", "whole", "lem"])])
def test_equal_finite_differences(row):
    """A sequence is run up to a step, its carry is moved, and the rest is run from there."""
    cell = CELLS[row].cell
    params, xs = sequence(cell)
    found = jax.jit(lambda p, xs: diagnostics.carry_gradients(cell, p, None, xs, loss))(params, xs)
    _, ys = jaxrnn.unroll(cell, params, None, xs)
    assert_close(found.value, loss(ys), 1e-12)

    @jax.jit
    def rest(carry, xs):
        return loss(jaxrnn.unroll(cell, params, carry, xs, implementation="scan")[1])

    for t in (0, 3):
        carry, _ = jaxrnn.unroll(cell, params, None, xs[:t])
        leaves = floating(carry)
        direction = [jax.random.normal(jax.random.key(3), leaf.shape) for leaf in leaves]

        def at(epsilon, carry=carry, direction=direction, t=t):
            pairs = zip(floating(carry), direction, strict=True)
            moved = with_floating(carry, [leaf + epsilon * d for leaf, d in pairs])
            return rest(moved, xs[t:])

        pairs = zip(floating(found.carries), direction, strict=True)
        slope = sum(jnp.vdot(grads[t], d) for grads, d in pairs)
        assert_close(slope, (at(1e-5) - at(-1e-5)) / 2e-5, 1e-7)


@pytest.mark.parametrize("row", ["lstm", later("lru")])
def test_norms_masks_and_resets(row):
    """One row is padded, the other is reset: what each is given says what it would be alone."""
    cell = CELLS[row].cell
    params, xs = sequence(cell)
    mask = jaxrnn.length_mask(jnp.array([T, 3]), T)
    resets = jnp.zeros((T, B), bool).at[2, 0].set(True)

    @jax.jit
    def run(xs, mask, resets):
        def last(ys):
            return jnp.sum(jnp.sin(ys))

        options = {"mask": mask, "resets": resets}
        return diagnostics.carry_gradients(cell, params, None, xs, last, **options)

    found = run(jnp.where(mask[..., None], xs, jnp.nan), mask, resets)
    alone = run(xs[:3], None, None)
    second = jax.tree.map(lambda leaf: leaf[:3, 1], found.carries)
    assert_close(second, jax.tree.map(lambda leaf: leaf[:, 1], alone.carries), 1e-12)
    assert all((leaf[3:, 1] == 0).all() for leaf in jax.tree.leaves(found.carries))
    before = run(xs[:2], None, None)
    first = jax.tree.map(lambda leaf: leaf[:2, 0], found.carries)  # the reset stops the rest
    assert_close(first, jax.tree.map(lambda leaf: leaf[:, 0], before.carries), 1e-12)
    lengths = jax.tree.map(lambda g: jnp.linalg.norm(jnp.abs(g), axis=-1), found.carries)
    assert jax.tree.leaves(lengths)[0].shape == (T, B)
    assert_close(found.norms, lengths, 1e-12)


@pytest.mark.thorough
@pytest.mark.parametrize("reverse", [False, True])
def test_layers_and_reverse(reverse):
    """A stack has the gradients of its cell; a cell that runs backward, those at their steps."""
    cell = jaxrnn.gru(H)
    params, xs = sequence(cell)
    found = diagnostics.carry_gradients(cell, params, None, xs, loss, reverse=reverse)
    turned = jnp.flip(xs, 0) if reverse else xs
    layer = jaxrnn.stack(jaxrnn.rnn(cell))
    expected = diagnostics.carry_gradients(layer, (params,), None, turned, loss)
    carries = jax.tree.map(lambda leaf: jnp.flip(leaf, 0) if reverse else leaf, found.carries)
    assert_close(carries, expected.carries[0], 1e-12)


def test_no_gradient_of_a_counter():
    cell = CELLS["leaky"].cell
    params, xs = sequence(cell)
    found = jax.eval_shape(lambda: diagnostics.carry_gradients(cell, params, None, xs, loss))
    assert found.carries.steps.dtype == jnp.int32
    assert found.norms.steps.shape == (T, B)


@pytest.mark.thorough
def test_tiny_gradients_have_norms():
    """Their squares are below the smallest float."""
    cell = jaxrnn.elman(H)
    xs = jnp.zeros((40, I), jnp.float32)
    params = cell.init(jax.random.key(0), xs[0])
    params = params._replace(recurrent_kernel=0.1 * jnp.eye(H, dtype=jnp.float32))

    @jax.jit
    def run(xs):
        return diagnostics.carry_gradients(cell, params, None, xs, lambda ys: ys[-1].sum())

    expected = np.sqrt(H) * 0.1 ** np.arange(37.0, 9, -1)
    np.testing.assert_allclose(run(xs).norms.h[3:31], expected, rtol=1e-4)


@pytest.mark.skipif(problem() is not None, reason="the native kernels were not built")
@pytest.mark.parametrize(("row", "engine"), [("lstm", "native"), ("lru", "associative")])
def test_it_runs_by_the_engine_of_the_cell(row, engine):
    """So that it costs about what the gradient of the parameters costs."""
    cell, (steps, rows) = CELLS[row].cell, (200, 16)
    x = jax.ShapeDtypeStruct((rows, I), jnp.float32)
    params = jax.eval_shape(cell.init, jax.random.key(0), x)
    carry = jax.eval_shape(cell.init_carry, params, x)

    def with_time(leaf):
        return jnp.zeros((steps, *leaf.shape), leaf.dtype)

    inputs = jax.tree.map(with_time, (x, carry))
    assert jaxrnn.explain(perturbed(cell), inputs).implementation == engine
