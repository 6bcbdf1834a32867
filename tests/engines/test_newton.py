"""Newton's method over time: the numbers of the scan, how fast it converges, and what it refuses.

Where it does not converge the scan runs, and for T steps anything converges in T iterations. So
that it converges, and in how many iterations, has laws of its own.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params
from jax.test_util import check_grads

import jaxrnn
from jaxrnn import Newton
from jaxrnn.engines.newton._matrix_recurrence import recurrence
from tests.laws.tables import CELLS, B, H, I, T, assert_close, cell_example, generator, total
from tests.marks import later

ITERATED = {"gru": jaxrnn.gru, "lstm": jaxrnn.lstm, "lem": jaxrnn.lem}
DIAGONAL, DAMPED = Newton(jacobian="diagonal"), Newton(damping=0.2)


@functools.partial(jax.jit, static_argnums=(0, 1), static_argnames="reverse")
@functools.partial(jax.value_and_grad, argnums=(2, 3, 4), has_aux=True)
def run(cell, implementation, params, carry, xs, **options):
    """A loss of the outputs and the last carry, both of them, and the gradients."""
    out = jaxrnn.unroll(cell, params, carry, xs, implementation=implementation, **options)
    return total(out), out


def chaotic(num_steps=64, dtype=jnp.float64):
    """A cell that no iteration solves: the spectral radius of its recurrent kernel is 3."""
    ex = cell_example(jaxrnn.elman(16), shape=(num_steps, B, I), dtype=dtype)
    orthogonal, _ = np.linalg.qr(np.asarray(ex.params.recurrent_kernel, np.float64))
    return ex._replace(
        params=ex.params._replace(recurrent_kernel=jnp.asarray(3 * orthogonal, dtype))
    )


@pytest.mark.parametrize(
    ("unit", "options", "dtype"),
    [
        ("gru", "newton", jnp.float32),
        *(
            pytest.param(unit, options, dtype, marks=pytest.mark.thorough)
            for unit in ITERATED
            for options in ("newton", DIAGONAL, DAMPED)
            for dtype in (jnp.float32, jnp.float64)
        ),
    ],
)
def test_values_and_gradients_are_those_of_the_scan(unit, options, dtype):
    cell = ITERATED[unit](H)
    ex = cell_example(cell, shape=(16, B, I), dtype=dtype)
    flags = {"mask": ex.mask, "resets": ex.resets, "reverse": unit != "lstm"}
    (_, got), grads = run(cell, options, *ex[:3], **flags)
    (_, want), by_scan = run(cell, "scan", *ex[:3], **flags)
    tolerance = 1e-6 if dtype == jnp.float32 else 1e-10
    assert_close(got, want, tolerance)
    assert_close(grads, by_scan, 10 * tolerance)


@pytest.mark.parametrize(
    ("unit", "dtype", "options", "most"),
    [
        ("gru", jnp.float32, "newton", 7),
        ("lem", jnp.float64, Newton(jacobian="full"), 9),
        ("gru", jnp.float32, DIAGONAL, 25),
        pytest.param("lstm", jnp.float64, "newton", 9, marks=pytest.mark.thorough),
        pytest.param("lem", jnp.float32, DAMPED, 25, marks=pytest.mark.thorough),
    ],
)
def test_it_converges_in_few_iterations(unit, dtype, options, most):
    """Newton's method doubles the digits, so a wrong derivative or shift would take T of them."""
    cell = ITERATED[unit](H)
    ex = cell_example(cell, shape=(128, B, I), dtype=dtype)
    options = {"implementation": options, "reverse": unit == "lem"}
    found = jax.jit(functools.partial(jaxrnn.convergence, cell, **options))(*ex[:3])
    assert found.converged
    assert 3 < found.iterations <= most
    assert found.residual <= 64 * jnp.finfo(dtype).eps
    assert found.depth == found.iterations * 2 * 7


def test_full_damping_leaves_the_derivatives_out():
    """The first iteration is then one step from the initial carry, at each time."""
    cell, options = jaxrnn.gru(H), Newton(damping=1.0, max_iterations=1)
    ex = cell_example(cell)
    new, _ = jax.vmap(lambda x: jaxrnn.step(cell, ex.params, ex.carry, x))(ex.xs)
    changes = jnp.abs(new.h - ex.carry.h) / jnp.maximum(jnp.abs(new.h), 1)
    found = jaxrnn.convergence(cell, *ex[:3], implementation=options)
    assert_close(found.residual, changes.max(), 1e-12)


def test_the_tolerance_is_the_change_that_ends_it():
    cell = jaxrnn.gru(H)
    ex = cell_example(cell, shape=(32, B, I))
    loose = jaxrnn.convergence(cell, *ex[:3], implementation=Newton(tolerance=0.1))
    assert loose.converged
    assert loose.iterations == 4  # of 7
    assert 1e-3 < loose.residual < 0.1
    never = jaxrnn.convergence(cell, *ex[:3], implementation=Newton(tolerance=1e-300, damping=0.1))
    assert not never.converged or never.residual == 0


@pytest.mark.thorough
def test_damping_and_diagonals_take_more_iterations():
    cell = jaxrnn.gru(H)
    ex = cell_example(cell, shape=(128, B, I))

    def iterations(options):
        return int(jaxrnn.convergence(cell, *ex[:3], implementation=options).iterations)

    full = iterations(Newton())
    assert full < iterations(Newton(damping=0.2)) < iterations(Newton(damping=0.6))
    assert full < iterations(DIAGONAL)


@pytest.mark.parametrize("damping", [0.0, later(1.0)])
def test_after_as_many_iterations_as_steps_it_is_exact(damping):
    """Even where the product of the derivatives of all steps overflows."""
    ex, options = chaotic(60), Newton(damping=damping)
    params = ex.params._replace(recurrent_kernel=1e6 * ex.params.recurrent_kernel)
    cell = jaxrnn.elman(16, activation=jnp.sin)
    found = jaxrnn.convergence(cell, params, ex.carry, ex.xs, implementation=options)
    assert found.converged
    assert 40 < found.iterations <= 61
    assert found.depth == 12 * found.iterations


def test_where_it_does_not_converge_the_scan_runs_and_the_report_says_so():
    """In float64: chaos makes roundings in float32 as large as the states within these steps."""
    cell, ex = jaxrnn.elman(16), chaotic()
    options = Newton(max_iterations=10)
    found = jaxrnn.convergence(cell, *ex[:3], implementation=options)
    assert not found.converged
    assert (found.iterations, found.depth) == (10, 10 * 12 + 64)
    (_, got), grads = run(cell, options, *ex[:3])
    (_, want), by_scan = run(cell, "scan", *ex[:3])
    eps = float(jnp.finfo(jnp.float64).eps)
    assert_close(got, want, 1e3 * eps)
    for a, e in zip(*map(jax.tree.leaves, (grads, by_scan)), strict=True):
        assert jnp.abs(e).max() > 1e3  # they grow, as the products of all steps do
        assert jnp.abs(a - e).max() < 1e5 * eps * jnp.abs(e).max()


@pytest.mark.thorough
def test_rows_of_vmap_converge_on_their_own():
    cell, ex, options = jaxrnn.elman(16), chaotic(16), Newton(max_iterations=8)
    scale = jnp.array([0.1, 1.0])

    def of(scale, implementation):
        kernel = scale * ex.params.recurrent_kernel
        arguments = ex.params._replace(recurrent_kernel=kernel), ex.carry, ex.xs
        report = jaxrnn.convergence(cell, *arguments, implementation=options)
        return jaxrnn.unroll(cell, *arguments, implementation=implementation), report

    of_each = jax.jit(jax.vmap(of, (0, None)), static_argnums=1)
    got, report = of_each(scale, options)
    assert report.converged.tolist() == [True, False]
    assert_close(got, of_each(scale, "scan")[0], 1e-8)


@pytest.mark.thorough
def test_numbers_that_are_not_finite_are_those_of_the_scan():
    cell = jaxrnn.elman(H, activation=jax.nn.relu)
    ex = cell_example(cell, dtype=jnp.float32)
    grown = ex.params._replace(recurrent_kernel=jnp.full((H, H), 1e15, jnp.float32))
    xs = jnp.abs(ex.xs).at[5, 1].set(jnp.nan)
    (_, got), _ = run(cell, "newton", grown, ex.carry, xs)
    (_, want), _ = run(cell, "scan", grown, ex.carry, xs)
    assert np.isnan(want[1]).any()
    assert np.isinf(want[1]).any()
    np.testing.assert_allclose(got[1], want[1], rtol=1e-5)


@pytest.mark.thorough
def test_second_derivatives_and_vmap():
    cell = jaxrnn.gru(2)
    ex = cell_example(cell, shape=(4, B, I))

    @functools.partial(jax.jit, static_argnums=0)
    @functools.partial(jax.vmap, in_axes=(None, None, 1))
    def along(implementation, params, xs):
        def loss(params):
            return total(jaxrnn.unroll(cell, params, None, xs, implementation=implementation))

        return jax.jvp(jax.grad(loss), (params,), (params,))

    assert_close(along("newton", ex.params, ex.xs), along("scan", ex.params, ex.xs), 1e-10)


def scans(jaxpr):
    """The lengths of the loops over time in a program, but for those that only a fallback runs."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation.params["length"]
        for inner in jaxprs_in_params(equation.params):
            if equation.primitive.name != "while":
                yield from scans(inner)


def test_the_gradient_is_parallel_too_unless_each_step_clips_it():
    def found(cell, options):
        ex = cell_example(cell, shape=(32, B, I))

        def loss(params):
            return total(jaxrnn.unroll(cell, params, None, ex.xs, implementation=options))

        return list(scans(jax.make_jaxpr(jax.grad(loss))(ex.params).jaxpr))

    gru = jaxrnn.gru(H)
    clipped = jaxrnn.clip_carry_gradient(gru, 0.05)
    assert found(gru, "newton") == []
    assert 32 in found(gru, "scan")
    assert 32 in found(gru, DIAGONAL)
    assert 32 in found(clipped, "newton")


@pytest.mark.thorough
def test_a_gradient_that_each_step_clips():
    gru = jaxrnn.gru(H)
    clipped = jaxrnn.clip_carry_gradient(gru, 0.05)
    ex = cell_example(clipped)
    _, got = run(clipped, "newton", *ex[:3])
    _, want = run(clipped, "scan", *ex[:3])
    assert_close(got, want, 1e-10)
    assert jnp.abs(got[2] - run(gru, "scan", *ex[:3])[1][2]).max() > 1e-3  # it does clip


@pytest.mark.parametrize("reverse", [False, later(True)])
def test_a_recurrence_of_matrices_and_its_derivatives(reverse):
    rng = generator(jax.random.key(3))
    a, b, h0 = (jnp.asarray(rng.standard_normal(s)) for s in ((5, 2, 3, 3), (5, 2, 3), (2, 3)))
    solve = jax.jit(functools.partial(recurrence, reverse=reverse))
    h, want = h0, np.zeros(b.shape)
    for t in reversed(range(5)) if reverse else range(5):
        want[t] = h = np.einsum("bij,bj->bi", a[t], h) + b[t]
    assert_close(solve(a, b, h0), want, 1e-12)
    if reverse:  # which transposes to one that runs forward
        check_grads(solve, (a, b, h0), order=2, modes=("fwd", "rev"))


def test_products_that_overflow_are_not_multiplied_out():
    a = jnp.array([1.0, 1.0, 1e200, 1e200, 1e-200, 0.5])[:, None, None]
    b = jnp.array([1e-200, 0, 0, 0, 0, 1.0])[:, None]

    def last(b):
        return recurrence(a, b, jnp.zeros(1), reverse=False)[-1, 0]

    value, gradient = jax.value_and_grad(last)(b)
    np.testing.assert_allclose(value, 1.5)
    np.testing.assert_allclose(gradient[:, 0], [5e199, 5e199, 0.5, 5e-201, 0.5, 1])


def test_no_steps_one_step_and_no_rows():
    cell = jaxrnn.lstm(H)
    ex = cell_example(cell)
    for xs in (ex.xs[:0], ex.xs[:1], ex.xs[:, :0]):
        got = jaxrnn.unroll(cell, ex.params, None, xs, implementation="newton")
        assert_close(got, jaxrnn.unroll(cell, ex.params, None, xs, implementation="scan"), 1e-12)
        assert jaxrnn.convergence(cell, ex.params, None, xs).converged
    assert jaxrnn.convergence(cell, ex.params, None, ex.xs[:0]).depth == 0


def test_a_layer_takes_options_and_compiles_once_for_equal_ones():
    layer = jaxrnn.rnn(jaxrnn.gru(H), implementation=Newton(damping=0.5))
    same = jaxrnn.rnn(jaxrnn.gru(H), implementation=Newton(damping=0.5))
    assert layer == same
    assert hash(layer) == hash(same)
    assert layer != jaxrnn.rnn(jaxrnn.gru(H), implementation=DIAGONAL)
    names = {**vars(jaxrnn)}
    assert eval(repr(layer), names) == layer
    xs = jnp.ones((T, B, I))
    params = layer.init(jax.random.key(0), xs)
    plain = jaxrnn.rnn(jaxrnn.gru(H), implementation="scan")
    assert_close(layer.apply(params, None, xs), plain.apply(params, None, xs), 1e-10)


def test_none_never_chooses_it_and_it_says_what_it_cannot_run():
    def reason(cell, dtype=jnp.float64, **choices):
        xs = jax.ShapeDtypeStruct((T, B, I), dtype)
        return jaxrnn.explain(cell, xs, **choices).reasons["newton"]

    assert "slower than a loop" in reason(jaxrnn.gru(H))
    assert reason(jaxrnn.gru(H), implementation=DIAGONAL) == "asked for by name"
    assert "holds bfloat16" in reason(jaxrnn.gru(H), jnp.bfloat16)
    assert "holds complex" in reason(jaxrnn.lru(H))
    assert "holds float64, int32" in reason(CELLS["leaky"].cell)
    assert "`from_step`" in reason(CELLS["whole"].cell)
    with pytest.raises(ValueError, match=r"'newton'` cannot run this cell: .* `from_step`"):
        jaxrnn.rnn(CELLS["whole"].cell, implementation=DIAGONAL)
    (steps,) = jax.export.symbolic_shape("t")
    with pytest.raises(ValueError, match="leaves the number of steps open"):
        jaxrnn.explain(
            jaxrnn.gru(H), jax.ShapeDtypeStruct((steps, B, I), jnp.float64), implementation="newton"
        )


NAN = float("nan")
WRONG = {
    "a tolerance of 0": (
        lambda: Newton(tolerance=0),
        "`tolerance` must be a finite number above 0",
    ),
    "a negative tolerance": (lambda: Newton(tolerance=-1e-6), "`tolerance` must be a finite"),
    "a tolerance of NaN": (lambda: Newton(tolerance=NAN), "`tolerance` must be a finite"),
    "an infinite tolerance": (lambda: Newton(tolerance=float("inf")), "`tolerance` must be a fin"),
    "a tolerance in words": (lambda: Newton(tolerance="1e-6"), "`tolerance` must be a number"),
    "no iterations": (lambda: Newton(max_iterations=0), "`max_iterations` must be a positive"),
    "half an iteration": (
        lambda: Newton(max_iterations=0.5),
        "`max_iterations` must be a positive",
    ),
    "a bound of True": (lambda: Newton(max_iterations=True), "`max_iterations` must be a positive"),
    "negative damping": (lambda: Newton(damping=-0.1), "`damping` must be from 0 to 1"),
    "much damping": (lambda: Newton(damping=1.5), "`damping` must be from 0 to 1"),
    "damping of NaN": (lambda: Newton(damping=NAN), "`damping` must be from 0 to 1"),
    "damping in words": (lambda: Newton(damping="some"), "`damping` must be a number"),
    "an unknown form": (
        lambda: Newton(jacobian="sparse"),
        r"`jacobian` must be None or one of \['f",
    ),
    "options by place": (lambda: Newton("full"), "positional"),
    "the class": (
        lambda: jaxrnn.rnn(jaxrnn.gru(H), implementation=Newton),
        r"must be `jaxrnn.Newton\(\)`",
    ),
    "a report on another engine": (
        lambda: jaxrnn.convergence(jaxrnn.gru(H), None, None, None, implementation="scan"),
        "which alone iterates, got 'scan'",
    ),
    "a report without inputs": (
        lambda: jaxrnn.convergence(jaxrnn.gru(H), None, None),
        "the last one is missing",
    ),
}


@pytest.mark.parametrize("row", WRONG)
def test_a_wrong_argument_is_named(row):
    call, message = WRONG[row]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.thorough
@pytest.mark.parametrize("name", CELLS)
def test_every_cell_that_it_can_run(name):
    cell = CELLS[name].cell
    ex = cell_example(cell)
    found = jaxrnn.explain(cell, jax.eval_shape(lambda: ex.xs))
    if "slower than a loop" not in found.reasons["newton"]:
        pytest.skip(found.reasons["newton"])
    flags = {"mask": ex.mask, "resets": ex.resets}
    (_, got), grads = run(cell, "newton", *ex[:3], **flags)
    (_, want), by_scan = run(cell, "scan", *ex[:3], **flags)
    assert_close(got, want, 1e-10)
    assert_close(grads, by_scan, 1e-8)
