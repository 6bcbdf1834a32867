"""Each operation of the native programs, in a cell that does nothing else: the numbers of JAX."""

import contextlib
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.engines._table import Call
from jaxrnn.engines.cpu import _library
from jaxrnn.engines.cpu._program import kernel_of
from jaxrnn.engines.program._operations import OPERATIONS
from tests.marks import later

pytestmark = pytest.mark.skipif(_library.problem() is not None, reason=str(_library.problem()))

lax = jax.lax
ONE = {  # of one argument
    "neg": lax.neg,
    "abs": lax.abs,
    "sign": lax.sign,
    "exp": lax.exp,
    "expm1": lax.expm1,
    "log": lax.log,
    "log1p": lax.log1p,
    "tanh": lax.tanh,
    "logistic": lax.logistic,
    "sqrt": lax.sqrt,
    "rsqrt": lax.rsqrt,
    "square": lax.square,
    "cube": lambda x: lax.integer_pow(x, 3),
    "reciprocal of the square": lambda x: lax.integer_pow(x, -2),
    "is finite": lambda x: lax.is_finite(x).astype(x.dtype),
    "clamp": lambda x: lax.clamp(jnp.asarray(-1, x.dtype), x, jnp.asarray(0.5, x.dtype)),
    "relu": jax.nn.relu,
    "softplus": jax.nn.softplus,
}
TWO = {
    "add": lax.add,
    "sub": lax.sub,
    "mul": lax.mul,
    "div": lax.div,
    "max": lax.max,
    "min": lax.min,
    "equal": lambda a, b: (a == b).astype(a.dtype),
    "not equal": lambda a, b: (a != b).astype(a.dtype),
    "less": lambda a, b: (a < b).astype(a.dtype),
    "less or equal": lambda a, b: (a <= b).astype(a.dtype),
    "greater": lambda a, b: (a > b).astype(a.dtype),
    "and, or, not": lambda a, b: ((a > 0) & ~(b > 0) | (a > 3)).astype(a.dtype),
    "select": lambda a, b: jnp.where(a > 0, a, b),
    "multiply and add": lambda a, b: a * a + b * b,
    "add, tanh": lambda a, b: jnp.tanh(a + b),
    "add, sigmoid": lambda a, b: jax.nn.sigmoid(a + b),
}
OVER_FEATURES = {
    "sum": lambda x: jnp.sum(x, -1, keepdims=True) + 0 * x,
    "sum of products": lambda x: jnp.sum(x * (x + 1), -1, keepdims=True) + x,
    "largest": lambda x: jnp.max(x, -1, keepdims=True) + 0 * x,
    "smallest": lambda x: jnp.min(x, -1, keepdims=True) + 0 * x,
    "softmax": lambda x: jax.nn.softmax(x, -1),
    "standardized": lambda x: jax.nn.standardize(x, -1),
    "halves": lambda x: jnp.concatenate(jnp.split(x, [x.shape[-1] // 2], -1)[::-1], -1),
    "pad": lambda x: jnp.pad(x[..., 1:], [(0, 0)] * (x.ndim - 1) + [(1, 0)], constant_values=3),
    "every second": lambda x: jnp.repeat(x[..., ::2], 2, -1)[..., : x.shape[-1]],
    "stack": lambda x: jnp.stack([x, 2 * x], -1).sum(-1),
    "turned": lambda x: jnp.swapaxes(jnp.stack([x, x * x], -1), -1, -2)[..., 1, :],
}
SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, 3.0, -88.0, 90.0, 1e-30, -1e-40, 1e30, np.inf, -np.inf, np.nan]
)
widths = pytest.mark.parametrize("width", [17, later(1), later(64)])
dtypes = pytest.mark.parametrize("dtype", ["float32", later("float64")])


def of_input(function):
    """A cell whose carry is ``function(u)``."""

    def update(params, carry, u, v):
        return type(carry)(function(u))

    cell = jaxrnn.elman(1)
    return cell._replace(
        init_carry=lambda params, x: jaxrnn.HiddenCarry(jnp.zeros(x.shape, x.dtype)),
        project=lambda params, x: x,
        recur=lambda params, carry: carry.h,
        update=update,
    )


def check(function, xs, dtype, rtol=8):
    cell = of_input(function)
    params = cell.init(jax.random.key(0), xs[0])
    params = jax.tree.map(lambda x: x.astype(dtype), params)
    run = jax.jit(
        functools.partial(jaxrnn.unroll, cell, params, None), static_argnames="implementation"
    )
    _, got = run(xs, implementation="native")
    _, want = run(xs, implementation="scan")
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    tiny = float(np.finfo(dtype).tiny)  # XLA takes smaller numbers for zero, the kernels may not
    np.testing.assert_allclose(got, want, rtol=rtol * np.finfo(dtype).eps, atol=2 * tiny)


@pytest.mark.parametrize("operation", ONE)
@widths
@dtypes
def test_of_one_argument(operation, width, dtype):
    check(ONE[operation], jnp.asarray(np.resize(SPECIAL, (2, 3, width)), dtype), dtype)
    xs = jnp.asarray(3 * np.random.default_rng(0).standard_normal((2, 3, width)), dtype)
    # In float64, XLA's log1p is off by up to 100 times the last digit; that of the programs by 2.
    check(ONE[operation], xs, dtype, rtol=200 if operation == "log1p" else 8)


@pytest.mark.parametrize("operation", TWO)
@widths
@dtypes
def test_of_two_arguments(operation, width, dtype):
    def function(x):
        a, b = jnp.split(x, 2, -1)
        return jnp.concatenate([TWO[operation](a, b), a], -1)

    a, b = np.meshgrid(SPECIAL, SPECIAL)
    pairs = np.concatenate(
        [np.resize(a.ravel(), (13, width, 1)), np.resize(b.ravel(), (13, width, 1))], 1
    )
    check(function, jnp.asarray(pairs.reshape(13, 1, -1), dtype), dtype)
    rng = np.random.default_rng(0)
    check(function, jnp.asarray(3 * rng.standard_normal((2, 3, 2 * width)), dtype), dtype)


@pytest.mark.parametrize("operation", OVER_FEATURES)
@widths
@dtypes
def test_over_features(operation, width, dtype):
    rng = np.random.default_rng(0)
    xs = rng.integers(-8, 8, (2, 5, max(width, 2))) / 4  # whose sums are exact
    check(OVER_FEATURES[operation], jnp.asarray(xs, dtype), dtype)


# --- A program that is damaged ---


@functools.cache
def code():
    cell = jaxrnn.layer_norm_lstm(5)
    x = jax.ShapeDtypeStruct((3, 2), jnp.float32)
    params = jax.eval_shape(cell.init, jax.random.key(0), x)
    carry = jax.eval_shape(cell.init_carry, params, x)
    xs = jax.ShapeDtypeStruct((4, 3, 2), jnp.float32)
    kernel, _ = kernel_of(cell, Call(params, carry, carry, xs, None, None))
    return kernel.programs.forward()


def call(body):
    """Calls the kernel with the arrays of the program and with other numbers."""
    made, (steps, batch) = code(), (4, 3)

    def zeros(*shape):
        return jnp.zeros(shape, jnp.float32)

    operands = [zeros(batch, width) for width in made.states]
    for place in made.operands:
        shape = made.known[place.number][1] if place.space == "known" else (steps, batch, 20)
        operands.append(zeros(*shape))
    results = [jax.ShapeDtypeStruct((batch, width), jnp.float32) for width in made.states]
    results += [jax.ShapeDtypeStruct((steps, batch, n), jnp.float32) for _, n in made.results]
    run = jax.ffi.ffi_call("jaxrnn_program", results)
    return run(
        *operands,
        program=np.array((0, 0, 0, *body), np.int64),
        numbers=np.array(made.numbers, np.float64),
        steps=np.int64(steps),
        batch=np.int64(batch),
        instruction_set=np.int64(-1),
        reverse=False,
        is_double=False,
    )


def test_the_program_runs_as_it_is():
    assert np.isfinite(call(code().body)[0]).all()


@pytest.mark.parametrize("seed", [*range(40), *map(later, range(40, 400))])
def test_a_damaged_program_is_refused_or_harmless(seed):
    rng, body = np.random.default_rng(seed), list(code().body)
    for at in rng.integers(0, len(body), rng.integers(1, 4)):
        body[at] = int(rng.choice([-1, 0, 1, 2, 7, 63, 1 << 20, 1 << 39, 1 << 62]))
    body = body[: rng.choice([len(body), len(body), len(body) - 1, len(body) // 2])]
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        jax.block_until_ready(call(tuple(body)))


def test_python_and_the_library_know_the_same_operations():
    assert _library.operations() == list(OPERATIONS)
