"""The C++ kernels of every instruction set against the NumPy oracle, at odd sizes."""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn.engines.cpu import _library
from jaxrnn.engines.cpu._calls import forward, training_forward
from jaxrnn.engines.cpu._engine import CPU
from jaxrnn.engines.cpu._single import single
from jaxrnn.engines.kernel._operands import (
    KERNELS,
    Flags,
    Primals,
    Recurrence,
    Result,
    States,
    Weights,
)
from jaxrnn.engines.kernel._pullback import pull_back
from tests.laws import oracle
from tests.marks import later

pytestmark = pytest.mark.skipif(_library.problem() is not None, reason=str(_library.problem()))

STEPS = {
    "lstm": (KERNELS[0], oracle.lstm),
    "gru": (KERNELS[1], oracle.gru_reset_after),
    "elman": (KERNELS[2], oracle.elman(np.tanh)),
    "relu": (KERNELS[-1], oracle.elman(lambda x: np.maximum(x, 0))),
}
every_cell = pytest.mark.parametrize("name", STEPS)
every_instruction_set = pytest.mark.parametrize("instruction_set", _library.instruction_sets())
SETS_AND_DTYPES = [
    (instruction_set, dtype) for instruction_set in _library.instruction_sets() for dtype in "df"
]


def inputs(name, *, steps=5, batch=3, size=4, width=3, flags=True):
    """Random arguments of a kernel in float64, and cotangents of its result.

    Without a `width` the inputs are projected already.
    """
    draw, gates = np.random.default_rng(size).normal, STEPS[name][0].gates

    def carry():
        return Carry(*(draw(size=(batch, size)) for _ in range(2 if gates == 4 else 1)))

    weights = Weights(
        None if width is None else draw(size=(width, gates * size)) / np.sqrt(width),
        None if width is None else draw(size=gates * size),
        draw(size=(size, gates * size)) / (2 * np.sqrt(size)),
        draw(size=size) if gates == 3 else None,
    )
    random = [np.random.default_rng(k).random((steps, batch)) < 0.6 for k in (1, 2)]
    xs = draw(size=(steps, batch, gates * size if width is None else width))
    states = States(carry(), carry() if flags else None)
    dresult = Result(carry(), draw(size=(steps, batch, size)))
    return Primals(weights, states, xs), Flags(*random) if flags else Flags(None, None), dresult


class Carry(tuple):
    """A carry (h,) or (h, c): any pytree of fields in this order serves."""

    def __new__(cls, *leaves):
        return super().__new__(cls, leaves)


jax.tree_util.register_pytree_node(Carry, lambda c: (tuple(c), None), lambda _, c: Carry(*c))


def numpy_run(name, primals, flags, reverse):
    """The recurrence step by step and row by row."""
    weights, (carry, initial), xs = primals
    steps, batch, _ = xs.shape
    columns = weights.recurrent_kernel.shape[-1]
    ys = np.zeros((steps, batch, carry[0].shape[-1]), xs.dtype)
    last = [np.copy(leaf) for leaf in carry]
    for row in range(batch):
        state = tuple(leaf[row] for leaf in carry)
        for t in reversed(range(steps)) if reverse else range(steps):
            if flags.mask is not None and not flags.mask[t, row]:
                continue
            if flags.resets is not None and flags.resets[t, row]:
                state = tuple(leaf[row] for leaf in initial)
            params, x = SimpleNamespace(**weights._asdict()), xs[t, row]
            if weights.kernel is None:
                params.kernel, params.bias, x = np.zeros((1, columns)), x, np.zeros(1)
            state, ys[t, row] = STEPS[name][1](params, state, x)
        for leaf, value in zip(last, state, strict=True):
            leaf[row] = value
    return Result(Carry(*last), ys)


@functools.cache
def kernels(name, instruction_set, reverse=False):
    """Result and cotangents, compiled."""
    recurrence = Recurrence(STEPS[name][0], reverse, CPU, instruction_set)

    def run(primals, flags, dresult):
        result, saved = training_forward(recurrence, primals, flags)
        alone = forward(recurrence, primals, flags)
        return result, alone, pull_back(recurrence, True, True, primals, flags, saved, dresult)

    return jax.jit(run)


def dot(a, b):
    return sum(
        np.sum(np.asarray(x) * y)
        for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def assert_near(got, want, tolerance):
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert a.shape == b.shape
        assert np.abs(np.asarray(a, np.float64) - b).max(initial=0) <= tolerance * max(
            1, np.abs(b).max(initial=0)
        )


@every_cell
@pytest.mark.parametrize(
    ("batch", "size", "width", "flags"),
    [(1, 1, 1, True), (7, 3, None, True), (33, 17, 18, True), (2, 130, 65, False), (3, 4, 0, True)],
)
def test_values_and_gradients(name, batch, size, width, flags):
    """The gradient along a direction is the slope of the oracle."""
    primals, flags, dresult = inputs(name, batch=batch, size=size, width=width, flags=flags)
    reverse = size == 17
    want = numpy_run(name, primals, flags, reverse)
    direction = jax.tree.map(np.cos, primals)

    # The complex step: f(x + ih) has imaginary part h f'(x), with nothing cancelled.
    moved = jax.tree.map(lambda leaf, way: leaf + 1e-30j * way, primals, direction)
    slope = dot(numpy_run(name, moved, flags, reverse), dresult).imag / 1e-30
    for instruction_set, dtype in SETS_AND_DTYPES:
        cast = functools.partial(jax.tree.map, lambda leaf, dtype=dtype: leaf.astype(dtype))
        run = kernels(name, instruction_set, reverse)
        result, alone, cotangents = run(cast(primals), flags, cast(dresult))
        tolerance = 1e-12 if dtype == "d" else 2e-6
        assert_near(result, want, tolerance)
        assert_near(alone, want, tolerance)
        scale = sum(np.abs(leaf).sum() for leaf in jax.tree.leaves(cotangents))
        assert abs(dot(cotangents, direction) - slope) <= (1e-14 if dtype == "d" else 2e-6) * scale
        assert {leaf.dtype for leaf in jax.tree.leaves(cotangents)} == {np.dtype(dtype)}


@every_cell
@every_instruction_set
def test_float32_over_a_thousand_steps(name, instruction_set):
    primals, flags, dresult = inputs(name, steps=1000, batch=2, size=32, flags=False)
    want = kernels(name, None)(primals, flags, dresult)[0]
    primals, dresult = jax.tree.map(lambda leaf: leaf.astype(np.float32), (primals, dresult))
    got = kernels(name, instruction_set)(primals, flags, dresult)[0]
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert np.abs(np.asarray(a, np.float64) - b).max() <= 2e-6 * np.abs(b).max()


@every_cell
@every_instruction_set
@pytest.mark.parametrize("dtype", ["f", "d"])
def test_extremes_behave_as_in_the_oracle(name, instruction_set, dtype):
    primals, flags, dresult = inputs(name, size=9, width=None, flags=False)
    for index, value in enumerate([np.inf, -np.inf, np.nan, 1e30, -1e30, 95.0, -95.0, 1e-30]):
        primals.inputs[0, 0, index::9] = value
    primals, dresult = jax.tree.map(lambda leaf: leaf.astype(dtype), (primals, dresult))
    got = kernels(name, instruction_set)(primals, flags, dresult)[0]
    with np.errstate(all="ignore"):
        wide = jax.tree.map(lambda leaf: leaf.astype("d"), primals)
        want = numpy_run(name, wide, flags, False)
    tolerance = 1e-12 if dtype == "d" else 3e-6
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b.astype(dtype), rtol=tolerance, atol=tolerance)


@every_instruction_set
@pytest.mark.parametrize(("dtype", "ulps"), [(np.float32, 4), (np.float64, 4)])
def test_the_gates_are_right_to_a_few_units_in_the_last_place(instruction_set, dtype, ulps):
    """A GRU with no past shows sigmoid and tanh as they are: h' = (1 - z) n."""
    x = np.concatenate([np.linspace(-12, 12, 4000), np.geomspace(1e-8, 1, 500)]).astype(dtype)
    us = np.zeros((1, len(x), 3), dtype)
    us[0, :, 1] = -60  # z = 0
    us[0, :, 2] = x
    got = gates_of_a_gru(us, instruction_set)
    want = np.stack(
        [np.full_like(x, 0.5, np.float64), np.zeros(len(x)), np.tanh(x.astype("d"))], -1
    )
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(got[0, :, 2], want[:, 2], rtol=ulps * eps)
    us[0, :, 1] = x
    got = gates_of_a_gru(us, instruction_set)
    np.testing.assert_allclose(got[0, :, 1], oracle.sigmoid(x.astype("d")), rtol=ulps * eps)


def gates_of_a_gru(us, instruction_set):
    start = Carry(np.zeros((us.shape[1], 1), us.dtype))
    weights = Weights(None, None, np.zeros((1, 3), us.dtype), np.zeros(1, us.dtype))
    recurrence = Recurrence(KERNELS[1], False, CPU, instruction_set)
    run = jax.jit(functools.partial(training_forward, recurrence))
    return np.asarray(run(Primals(weights, States(start, None), us), Flags(None, None))[1].gates)


@every_cell
@pytest.mark.parametrize(("steps", "batch"), [(0, 3), (4, 0)])
def test_empty(name, steps, batch):
    primals, flags, dresult = inputs(name, steps=steps, batch=batch)
    result, alone, cotangents = kernels(name, None)(primals, flags, dresult)
    if steps == 0:
        assert_near(result.carry, primals.states.carry, 0)
        assert_near(alone.carry, primals.states.carry, 0)
        assert_near(cotangents.states.carry, dresult.carry, 0)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(cotangents))
    assert not np.any(cotangents.weights.recurrent_kernel)


@every_cell
def test_padding_is_never_read(name):
    """Of the inputs only what a projection has made of it: `unroll` blanks the inputs before."""
    primals, flags, dresult = inputs(name, size=17, width=None)
    poisoned = np.where(flags.mask[..., None], primals.inputs, np.nan)
    dys = np.where(flags.mask[..., None], dresult.ys, np.nan)
    run = kernels(name, None)
    clean = run(primals, flags, dresult)
    dirty = run(primals._replace(inputs=poisoned), flags, dresult._replace(ys=dys))
    jax.tree.map(np.testing.assert_array_equal, dirty, clean)


@every_cell
@every_instruction_set
@pytest.mark.parametrize(("size", "width"), [(1, 1), (65, 0), (130, 17), (700, 9)])
def test_one_step_of_one_sequence(name, instruction_set, size, width):
    """The largest has more units than one pass, and its weights are read by two threads."""
    primals, flags, _ = inputs(name, steps=1, batch=1, size=size, width=width, flags=False)
    recurrence = Recurrence(STEPS[name][0], False, CPU, instruction_set)
    want = numpy_run(name, primals, flags, False)
    for dtype, tolerance in ("d", 1e-14), ("f", 2e-6), (jnp.bfloat16, 0.02):
        cast = functools.partial(jax.tree.map, lambda leaf, dtype=dtype: leaf.astype(dtype))
        got = jax.jit(functools.partial(single, recurrence))(cast(primals))
        assert_near(got, want, tolerance)


@every_cell
@every_instruction_set
@pytest.mark.parametrize("flags", [True, False])
def test_bfloat16_is_summed_in_float32(name, instruction_set, flags):
    """Values as in float32 but for what is rounded at each step, and gradients likewise."""
    primals, flags, dresult = inputs(name, steps=12, batch=5, size=33, width=20, flags=flags)
    narrow = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), (primals, dresult))
    wide = jax.tree.map(lambda leaf: leaf.astype(np.float32), narrow)
    run = kernels(name, instruction_set)
    got, want = run(narrow[0], flags, narrow[1]), run(wide[0], flags, wide[1])
    eps = float(jnp.finfo(jnp.bfloat16).eps)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        assert a.dtype == jnp.bfloat16
        error = np.abs(np.asarray(a, np.float32) - b)
        assert np.sqrt(np.mean(error**2)) <= eps * max(1, np.sqrt(np.mean(b**2)))


@every_cell
@every_instruction_set
@pytest.mark.parametrize("reverse", [False, later(True)])
def test_threads_that_share_one_row_agree_with_one_thread(name, instruction_set, reverse):
    """Long enough for several chunks of time, with a mask and resets; the same bits every time."""
    primals, flags, dresult = inputs(name, steps=200, batch=1, size=160, width=130)
    run = kernels(name, instruction_set, reverse)
    first = run(primals, flags, dresult)
    want = numpy_run(name, primals, flags, reverse)
    assert_near(first[0], want, 1e-12)
    assert_near(first[1], want, 1e-12)
    for _ in range(5):
        jax.tree.map(np.testing.assert_array_equal, run(primals, flags, dresult), first)
    twice = jax.tree.map(lambda leaf: np.repeat(leaf, 2, 0), (primals.states, dresult.carry))
    sequences = primals.inputs, flags, dresult.ys
    xs, both, dys = jax.tree.map(lambda leaf: np.repeat(leaf, 2, 1), sequences)
    apart = run(Primals(primals.weights, twice[0], xs), both, Result(twice[1], dys))
    assert_near(jax.tree.map(lambda leaf: leaf[:1], apart[2].states), first[2].states, 1e-12)
    halves = jax.tree.map(lambda leaf: np.asarray(leaf) / 2, apart[2].weights)
    assert_near(halves, first[2].weights, 1e-11)


def test_a_call_whose_arrays_do_not_fit_is_refused():
    primals, flags, _ = inputs("lstm", flags=False)
    recurrence = Recurrence(KERNELS[0], False, CPU)
    short = States(Carry(*(leaf[:2] for leaf in primals.states.carry)), None)
    with pytest.raises(
        jax.errors.JaxRuntimeError, match="INVALID_ARGUMENT: h has another shape or dtype"
    ):
        jax.block_until_ready(forward(recurrence, primals._replace(states=short), flags))
    half = jax.tree.map(lambda leaf: leaf.astype(np.float16), primals)
    with pytest.raises(jax.errors.JaxRuntimeError, match="only float32, float64 and bfloat16"):
        jax.block_until_ready(forward(recurrence, half, flags))


def test_more_rows_than_threads_and_long_loops_give_the_same_bits_every_time():
    primals, flags, dresult = inputs("lstm", steps=50, batch=33, size=48, width=40)
    run = kernels("lstm", None)
    first = run(primals, flags, dresult)
    for _ in range(20):
        jax.tree.map(np.testing.assert_array_equal, run(primals, flags, dresult), first)
    assert jnp.all(jnp.isfinite(first[0].ys))
