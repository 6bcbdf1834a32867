"""The laws of a cell, for every cell of the table and every implementation that runs it."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import jaxrnn
from jaxrnn._core.types import is_whole
from tests.laws import oracle
from tests.laws.compiled import compilations
from tests.laws.tables import (
    CELLS,
    B,
    H,
    I,
    T,
    assert_close,
    assert_same,
    cell_example,
    features,
    floats,
    noisy,
    over_features,
    total,
)
from tests.laws.unrolled import check_rows

every_cell = pytest.mark.parametrize("name", CELLS)
split_cell = pytest.mark.parametrize("name", [n for n, c in CELLS.items() if not is_whole(c.cell)])


@functools.cache
def implementations(cell):
    """The engines that run `cell` here in float64, "scan" first."""
    xs = jax.ShapeDtypeStruct((T, B, *features(cell)), jnp.float64)
    found = []
    for name in ("scan", "xla", "native", "associative"):
        with contextlib.suppress(ValueError):
            found.append(jaxrnn.explain(cell, xs, implementation=name).implementation)
    return found


# A cell that wraps another, or is like another, goes through the laws by its fastest implementation
# only: in every derivative the implementations agree. Where the run is thorough, by "xla" too.
BASIC = ("elman", "lstm", "gru", "gru_reset_before", "leaky", "linear")


def chosen(name, *left_out):
    """The engines by which the cell of this row goes through the laws."""
    found = [run for run in implementations(CELLS[name].cell) if run not in left_out]
    return found if name in BASIC else found[-1:]


RUNS = [(name, run) for name in CELLS for run in chosen(name)]
LATER = [
    pytest.param(name, "xla", marks=pytest.mark.thorough)
    for name in CELLS
    if chosen(name) == ["native"]
]
# Interpreted on a CPU, which takes long: three cells that hold everything that a carry can hold.
PALLAS = [
    pytest.param(name, "pallas", marks=pytest.mark.thorough) for name in ("lstm", "leaky", "linear")
]
run_by = pytest.mark.parametrize(("name", "implementation"), RUNS + LATER + PALLAS)
# Backward in time, cells of their own only: for every cell, a reversed run is a flipped one.
WAYS = [(name, run, back) for name, run in RUNS for back in (False, True)[: 1 + (name in BASIC)]]
run_both_ways_by = pytest.mark.parametrize(("name", "implementation", "reverse"), WAYS)
run_in_any_dtype_by = pytest.mark.parametrize(
    ("name", "implementation"),
    [(name, run) for name in CELLS for run in chosen(name, "native")] + PALLAS,
)


@functools.cache
def unroller(name, **choices):
    """Compiled for whatever mask and resets, so that the tests share its programs."""
    run = jax.jit(functools.partial(jaxrnn.unroll, CELLS[name].cell, **choices))

    def call(params, carry, xs, *, mask=None, resets=None):
        shape = xs.shape[: -CELLS[name].cell.num_feature_axes]
        mask = jnp.ones(shape, bool) if mask is None else mask
        resets = jnp.zeros(shape, bool) if resets is None else resets
        return run(params, carry, xs, mask=mask, resets=resets)

    return call


@functools.cache
def stepper(name):
    return jax.jit(functools.partial(jaxrnn.step, CELLS[name].cell))


def loop(name, params, carry, xs, reverse=False):
    """What `unroll` is to equal: a Python loop of steps over ``xs (T, ...)``, T at least 1."""
    ys = [None] * len(xs)
    for t in reversed(range(len(xs))) if reverse else range(len(xs)):
        carry, ys[t] = stepper(name)(params, carry, xs[t])
    return carry, jax.tree.map(lambda *y: jnp.stack(y), *ys)


@pytest.mark.slow_law
@run_both_ways_by
def test_unroll_is_a_loop_of_steps(name, implementation, reverse):
    ex = cell_example(CELLS[name].cell)
    run = unroller(name, implementation=implementation, reverse=reverse)
    expected = loop(name, ex.params, ex.carry, ex.xs, reverse)
    assert_close(run(ex.params, ex.carry, ex.xs), expected, 1e-13)


@pytest.mark.parametrize("name", [n for n, c in CELLS.items() if c.oracle])
@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float64, 1e-12), (jnp.float32, 2e-5)])
def test_oracle(name, dtype, tolerance):
    case = CELLS[name]
    ex = cell_example(case.cell, shape=(50, B, I), dtype=dtype)
    carry, ys = unroller(name)(ex.params, ex.carry, ex.xs)
    for row in range(B):
        one = jax.tree.map(lambda leaf, row=row: leaf[row], ex.carry)
        want_carry, want_ys = oracle.run(case.oracle, ex.params, one, ex.xs[:, row])
        np.testing.assert_allclose(ys[:, row], want_ys, rtol=tolerance, atol=tolerance)
        for got, want in zip(carry, want_carry, strict=True):
            np.testing.assert_allclose(got[row], want, rtol=tolerance, atol=tolerance)


def selu(x):
    return 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))


ACTIVATIONS = {
    "relu": (jax.nn.relu, lambda x: np.maximum(x, 0)),
    "sigmoid": (jax.nn.sigmoid, oracle.sigmoid),
    "selu": (jax.nn.selu, selu),
    "a lambda": (lambda x: x / (1 + jnp.abs(x)), lambda x: x / (1 + np.abs(x))),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_oracle_of_every_activation(activation):
    ours, numpys = ACTIVATIONS[activation]
    cell = jaxrnn.elman(H, ours)
    ex = cell_example(cell, shape=(T, I))
    (h,), ys = jaxrnn.unroll(cell, ex.params, ex.carry, ex.xs)
    (want,), want_ys = oracle.run(oracle.elman(numpys), ex.params, ex.carry, ex.xs)
    np.testing.assert_allclose(ys, want_ys, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(h, want, rtol=1e-12, atol=1e-12)


@pytest.mark.slow_law
@split_cell
def test_implementations_agree_in_every_derivative(name, thorough):
    if name in ("lstm", "gru_reset_before", "linear") and not thorough:
        pytest.skip("needs --thorough")
    ex = cell_example(CELLS[name].cell)
    direction = jax.tree.map(jnp.cos, floats((ex.params, ex.carry, ex.xs)))
    structure = jax.tree.structure((ex.params, ex.carry, ex.xs))

    def derivatives(implementation):
        def loss(leaves):
            merged = merge(leaves)
            out = jaxrnn.unroll(
                CELLS[name].cell,
                *merged,
                mask=ex.mask,
                resets=ex.resets,
                implementation=implementation,
            )
            return total(out), out

        def merge(leaves):
            leaves = iter(leaves)
            return structure.unflatten(
                next(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf
                for leaf in structure.flatten_up_to((ex.params, ex.carry, ex.xs))
            )

        def first_and_second(leaves):
            value, grad = jax.value_and_grad(loss, has_aux=True)(leaves)
            jvp = jax.jvp(lambda x: loss(x)[0], (leaves,), (direction,))[1]
            hvp = jax.jvp(jax.grad(lambda x: loss(x)[0]), (leaves,), (direction,))[1]
            reverse_over_reverse = jax.grad(
                lambda x: sum(
                    jnp.vdot(g, d)
                    for g, d in zip(jax.grad(lambda y: loss(y)[0])(x), direction, strict=True)
                )
            )(leaves)
            return value, grad, jvp, hvp, reverse_over_reverse

        return jax.jit(first_and_second)(floats((ex.params, ex.carry, ex.xs)))

    plain = derivatives("scan")
    for implementation in implementations(CELLS[name].cell)[1:]:
        fast = derivatives(implementation)
        assert_close(fast[0], plain[0], 1e-12)
        assert_close(fast[1:3], plain[1:3], 1e-10)
        assert_close(fast[3:], plain[3:], 1e-8)
        assert_close(fast[4], fast[3], 1e-8)


@pytest.mark.slow_law
@every_cell
def test_finite_differences(name):
    cell = CELLS[name].cell
    ex = cell_example(cell, shape=(4, 2, I))

    def loss(params, xs):
        return total(jaxrnn.unroll(cell, params, None, xs, mask=ex.mask, resets=ex.resets))

    # Second order as first order of the gradient: both compile once. The step suits cells that
    # divide by the length of a vector, whose higher derivatives are large.
    check = functools.partial(check_grads, order=1, eps=1e-5)
    check(jax.jit(loss), (ex.params, ex.xs), modes=("fwd", "rev"))
    check(jax.jit(jax.grad(loss, argnums=(0, 1))), (ex.params, ex.xs), modes=("fwd",))


@pytest.mark.slow_law
@run_by
def test_chunks(name, implementation):
    ex = cell_example(CELLS[name].cell)
    run = unroller(name, implementation=implementation)
    whole = run(ex.params, ex.carry, ex.xs, mask=ex.mask, resets=ex.resets)
    carry, pieces = ex.carry, []
    for start, stop in [(0, 1), (1, 4), (4, T)]:
        at = slice(start, stop)
        carry, ys = run(ex.params, carry, ex.xs[at], mask=ex.mask[at], resets=ex.resets[at])
        pieces.append(ys)
    joined = jax.tree.map(lambda *y: jnp.concatenate(y), *pieces)
    assert_close((carry, joined), whole, 1e-13)


@pytest.mark.slow_law
@run_by
def test_padding_is_never_read(name, implementation):
    ex = cell_example(CELLS[name].cell)

    def loss(params, xs):
        out = jaxrnn.unroll(
            CELLS[name].cell, params, None, xs, mask=ex.mask, implementation=implementation
        )
        return total(out), out

    run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    real = over_features(ex.mask, ex.xs)
    (_, clean), clean_grads = run(ex.params, jnp.where(real, ex.xs, 0))
    for poison in (np.nan, np.inf, 1e30):
        (_, dirty), dirty_grads = run(ex.params, jnp.where(real, ex.xs, poison))
        assert_same((dirty, dirty_grads), (clean, clean_grads))
    assert np.isfinite(dirty_grads[1]).all()
    assert (np.asarray(dirty_grads[1])[~np.asarray(ex.mask)] == 0).all()
    for y in jax.tree.leaves(dirty[1]):
        assert not np.asarray(y)[~np.asarray(ex.mask)].any()


@pytest.mark.slow_law
@run_both_ways_by
@pytest.mark.parametrize("side", ["right", "left", "holes"])
def test_masked_rows_equal_rows_alone(name, implementation, side, reverse):
    ex = cell_example(CELLS[name].cell)
    mask = {
        "right": ex.mask,
        "left": ex.mask[::-1],
        "holes": jax.random.bernoulli(jax.random.key(3), 0.6, (T, B)),
    }[side]
    run = unroller(name, implementation=implementation, reverse=reverse)
    carry, ys = run(ex.params, ex.carry, ex.xs, mask=mask)
    for row in range(B):
        real = np.asarray(mask[:, row])
        alone = jax.tree.map(lambda leaf, row=row: leaf[row : row + 1], ex.carry)
        got_carry = jax.tree.map(lambda leaf, row=row: leaf[row : row + 1], carry)
        if not real.any():
            assert_same(got_carry, alone)
            continue
        want = loop(name, ex.params, alone, ex.xs[real, row : row + 1], reverse)
        got_ys = jax.tree.map(lambda y, row=row, real=real: y[real, row : row + 1], ys)
        assert_close((got_carry, got_ys), want, 1e-13)


@pytest.mark.slow_law
@run_both_ways_by
def test_a_reset_starts_anew_and_no_gradient_crosses(name, implementation, reverse):
    cell, at = CELLS[name].cell, 3
    ex = cell_example(cell)
    resets = jnp.zeros((T, B), bool).at[at].set(True)
    run = unroller(name, implementation=implementation, reverse=reverse)
    carry, ys = run(ex.params, ex.carry, ex.xs, resets=resets)
    after = slice(None, at + 1) if reverse else slice(at, None)
    before = slice(at + 1, None) if reverse else slice(None, at)
    initial = cell.init_carry(ex.params, ex.xs[0])
    want_carry, want_after = loop(name, ex.params, initial, ex.xs[after], reverse)
    _, want_before = loop(name, ex.params, ex.carry, ex.xs[before], reverse)
    assert_close(carry, want_carry, 1e-13)
    assert_close(jax.tree.map(lambda y: y[after], ys), want_after, 1e-13)
    assert_close(jax.tree.map(lambda y: y[before], ys), want_before, 1e-13)

    def later(xs):
        carry, ys = run(ex.params, ex.carry, xs, resets=resets)
        return total((carry, jax.tree.map(lambda y: y[after], ys)))

    grad = np.asarray(jax.grad(later)(ex.xs))
    assert (grad[before] == 0).all()
    assert np.abs(grad[after]).max() > 0


@pytest.mark.slow_law
@every_cell
def test_reverse_is_the_flipped_run_of_the_flipped_sequence(name):
    ex = cell_example(CELLS[name].cell)
    carry, ys = unroller(name, reverse=True)(
        ex.params, ex.carry, ex.xs, mask=ex.mask, resets=ex.resets
    )
    want_carry, want_ys = unroller(name)(
        ex.params, ex.carry, ex.xs[::-1], mask=ex.mask[::-1], resets=ex.resets[::-1]
    )
    assert_close((carry, ys), (want_carry, jax.tree.map(lambda y: y[::-1], want_ys)), 1e-13)


@pytest.mark.slow_law
@run_by
def test_vmap_is_a_stack_of_single_runs(name, implementation):
    cell = CELLS[name].cell
    check_rows(cell, cell_example(cell), implementation=implementation)


@pytest.mark.slow_law
@every_cell
def test_several_batch_axes(name):
    ex = cell_example(CELLS[name].cell, shape=(T, 6, I))

    def split(axis):
        return lambda a: a.reshape(*a.shape[:axis], 2, 3, *a.shape[axis + 1 :])

    run = unroller(name)
    carry, ys = run(ex.params, ex.carry, ex.xs, mask=ex.mask, resets=ex.resets)
    actual = run(
        ex.params,
        jax.tree.map(split(0), ex.carry),
        split(1)(ex.xs),
        mask=split(1)(ex.mask),
        resets=split(1)(ex.resets),
    )
    assert_close(actual, (jax.tree.map(split(0), carry), jax.tree.map(split(1), ys)), 1e-13)


@split_cell
def test_recur_is_linear_in_the_carry(name):
    cell = CELLS[name].cell
    ex = cell_example(cell)
    params = cell.prepare(ex.params, None)
    a, b = ex.carry, noisy(ex.carry, jax.random.key(7))

    def combine(a, b):
        return 2.0 * a - 3.0 * b if jnp.issubdtype(a.dtype, jnp.floating) else a

    got = cell.recur(params, jax.tree.map(combine, a, b))
    want = jax.tree.map(combine, cell.recur(params, a), cell.recur(params, b))
    assert_close(got, want, 1e-13)


@pytest.mark.slow_law
@split_cell
def test_leading_axes_are_batch_axes(name):
    cell = CELLS[name].cell
    ex = cell_example(cell)
    params = cell.prepare(ex.params, None)

    def stacked(parts):
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)

    carries = [ex.carry, noisy(ex.carry, jax.random.key(7)), ex.carry]
    us = [cell.project(params, x) for x in ex.xs[:3]]
    assert_close(cell.project(params, ex.xs[:3]), stacked(us), 1e-13)
    vs = [cell.recur(params, carry) for carry in carries]
    assert_close(cell.recur(params, stacked(carries)), stacked(vs), 1e-13)
    ys = [cell.output(params, carry, u) for carry, u in zip(carries, us, strict=True)]
    assert_close(cell.output(params, stacked(carries), stacked(us)), stacked(ys), 1e-13)


@pytest.mark.slow_law
@run_in_any_dtype_by
def test_dtype_in_is_dtype_out(name, implementation):
    def loss(params, xs):
        out = jaxrnn.unroll(CELLS[name].cell, params, None, xs, implementation=implementation)
        return total(out), out

    run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    ex = cell_example(CELLS[name].cell, dtype=jnp.bfloat16)
    wide = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (ex.params, ex.xs))
    results = []
    for params, xs in (ex.params, ex.xs), wide:
        (_, out), grads = run(params, xs)
        assert {leaf.dtype for leaf in floats((out, grads))} == {xs.dtype}
        results.append(floats((out, grads)))
    for got, exact in zip(*results, strict=True):
        error = np.abs(np.asarray(got, np.float64) - exact).max()
        assert error <= 40 * float(jnp.finfo(jnp.bfloat16).eps) * max(1.0, np.abs(exact).max())


@pytest.mark.slow_law
@run_in_any_dtype_by
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16])
def test_the_shapes_of_every_dtype(name, implementation, dtype):
    cell, ex = CELLS[name].cell, cell_example(CELLS[name].cell, dtype=dtype)
    run = functools.partial(jaxrnn.unroll, cell, implementation=implementation)
    carry, ys = jax.eval_shape(run, ex.params, ex.carry, ex.xs)
    params = jax.eval_shape(cell.init, jax.random.key(0), ex.xs[0])
    assert {leaf.dtype for leaf in floats((params, carry, ys))} == {jnp.dtype(dtype)}


@pytest.mark.slow_law
@every_cell
@pytest.mark.parametrize("shape", [(0, B, I), (T, 0, I), (1, I)])
def test_empty_and_single_step_sequences(name, shape):
    cell = CELLS[name].cell
    ex = cell_example(cell, shape=shape)

    def loss(params, carry, xs):
        out = jaxrnn.unroll(
            cell,
            params,
            carry,
            xs,
            mask=ex.mask,
            resets=ex.resets,
        )
        return total(out), out

    run = jax.jit(jax.value_and_grad(loss, argnums=(0, 2), has_aux=True))
    (_, (carry, ys)), grads = run(ex.params, ex.carry, ex.xs)
    if shape[0] == 0:
        assert_same(carry, ex.carry)
    for y in jax.tree.leaves(ys):
        assert y.shape[: len(shape) - 1] == shape[:-1]
    assert all(np.isfinite(leaf).all() for leaf in floats(grads))
    if shape == (0, B, I):
        with jax.disable_jit():
            assert_close(loss(ex.params, ex.carry, ex.xs)[1], (carry, ys), 1e-13)


def test_an_array_that_a_cell_closes_over_has_its_gradient():
    cell, ex = jaxrnn.lstm(H), cell_example(jaxrnn.lstm(H))

    def loss(scale, implementation):
        def update(params, carry, u, v):
            return cell.update(params, carry, scale * u, v)

        scaled = cell._replace(update=update)
        run = jaxrnn.unroll(scaled, ex.params, None, ex.xs, implementation=implementation)
        return total(run)

    grad = jax.jit(jax.grad(loss), static_argnums=1)
    want = grad(1.5, "scan")
    assert abs(want) > 1e-3
    assert_close(grad(1.5, None), want, 1e-13)
    assert_close(jax.grad(loss)(1.5, None), want, 1e-13)
    mapped = jax.vmap(lambda scale: loss(scale, None))(jnp.array([0.5, 1.5]))
    assert_close(mapped[1], jnp.array(loss(1.5, "scan")), 1e-13)
    with pytest.raises(ValueError, match=r"`implementation='xla'` cannot run.*close over"):
        grad(1.5, "xla")


@pytest.mark.slow_law
@run_by
def test_a_second_call_compiles_nothing(name, implementation):
    cell = CELLS[name].cell
    ex = cell_example(cell)
    run = functools.partial(jaxrnn.unroll, cell, implementation=implementation)
    carry, _ = run(ex.params, ex.carry, ex.xs, mask=ex.mask)
    with compilations() as compiled:
        for _ in range(3):
            carry, _ = run(ex.params, carry, ex.xs, mask=ex.mask)
    assert compiled == []
