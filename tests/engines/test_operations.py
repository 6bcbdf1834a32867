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
from jaxrnn.engines.cpu._program_kernel import kernel_of
from jaxrnn.engines.program._operations import OPERATIONS, Operation
from jaxrnn.engines.program._placement import Place
from jaxrnn.engines.program._reusing import reused
from jaxrnn.engines.program._views import View
from tests.marks import later

pytestmark = pytest.mark.skipif(_library.problem() is not None, reason=str(_library.problem()))

lax = jax.lax


def truth(a):
    return (a > 0).astype(a.dtype)


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
    "mix": lambda a, b: (1 - truth(a)) * b + truth(a) * jnp.sign(b),
    "add products": lambda a, b: jnp.sign(a) * b + jnp.sign(b) * a,
    "times a difference": lambda a, b: jnp.sign(a) * b - jnp.sign(a) * a,
    "difference times": lambda a, b: (a - b) * jnp.sign(a),
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
    "apart": lambda x: jnp.sum(
        x[..., None, :] * (jnp.arange(200.0) % 4).astype(x.dtype)[:, None], -2
    ),
    "turned": lambda x: jnp.swapaxes(jnp.stack([x, x * x], -1), -1, -2)[..., 1, :],
}
SPECIAL = np.array(
    [0.0, -0.0, 1.0, -1.0, 0.5, 3.0, -88.0, 90.0, 1e-30, -1e-40, 1e30, np.inf, -np.inf, np.nan]
)
ENGINE = "implementation"
widths = pytest.mark.parametrize("width", [17, later(1), later(64)])
dtypes = pytest.mark.parametrize("dtype", ["float32", later("float64")])


def of_input(function):
    """A cell whose carry is ``function(u)``."""

    def update(params, carry, u, v):
        return type(carry)(function(u))

    cell = jaxrnn.elman(1)
    return cell._replace(
        init_carry=lambda params, x: carry_like(function, x),
        project=lambda params, x: x,
        recur=lambda params, carry: carry.h,
        update=update,
    )


def carry_like(function, x):
    made = jax.eval_shape(function, x)
    return jaxrnn.HiddenCarry(jnp.zeros(made.shape, made.dtype))


def check(operations, xs, dtype):
    """Runs all operations in one cell, and compares what each makes."""
    xs = jnp.asarray(xs, dtype)
    cell = of_input(lambda u: jnp.concatenate([f(u) for f in operations.values()], -1))
    params = cell.init(jax.random.key(0), xs[0])
    params = jax.tree.map(lambda x: x.astype(dtype), params)
    run = jax.jit(functools.partial(jaxrnn.unroll, cell, params, None), static_argnames=ENGINE)
    outs = (np.asarray(run(xs, **{ENGINE: name})[1], np.float64) for name in ("native", "scan"))
    got, want = (np.split(out, len(operations), -1) for out in outs)
    tiny = float(np.finfo(dtype).tiny)  # XLA takes smaller numbers for zero, the kernels may not
    for name, g, w in zip(operations, got, want, strict=True):
        # In float64, XLA's log1p is off by up to 100 times the last digit, and the programs' by 2.
        rtol = (200 if name == "log1p" else 8) * np.finfo(dtype).eps
        np.testing.assert_allclose(g, w, rtol=rtol, atol=2 * tiny, err_msg=name)


@widths
@dtypes
def test_of_one_argument(width, dtype):
    check(ONE, np.resize(SPECIAL, (2, 3, width)), dtype)
    check(ONE, 3 * np.random.default_rng(0).standard_normal((2, 3, width)), dtype)


@widths
@dtypes
def test_of_two_arguments(width, dtype):
    operations = {
        name: functools.partial(lambda f, x: f(*jnp.split(x, 2, -1)), f) for name, f in TWO.items()
    }
    a, b = (np.resize(x.ravel(), (13, 1, width)) for x in np.meshgrid(SPECIAL, SPECIAL))
    check(operations, np.concatenate([a, b], -1), dtype)
    check(operations, 3 * np.random.default_rng(0).standard_normal((2, 3, 2 * width)), dtype)


@widths
@dtypes
def test_over_features(width, dtype):
    xs = np.random.default_rng(0).integers(-8, 8, (2, 5, max(width, 2))) / 4  # sums are exact
    check(OVER_FEATURES, xs, dtype)


@widths
@dtypes
@pytest.mark.parametrize("is_grouped", [False, True])
def test_normalization_and_its_derivative(width, dtype, is_grouped):
    def normalized(x):
        rows = jnp.stack([x, x * x], -2) if is_grouped else x
        out = jaxrnn.authoring.normalize(rows) * jnp.arange(1.0, x.shape[-1] + 1, dtype=dtype)
        return out.sum(-2) if is_grouped else out

    cell = of_input(normalized)
    xs = jnp.asarray(np.random.default_rng(0).standard_normal((2, 5, width)), dtype)
    params = jax.tree.map(lambda x: x.astype(dtype), cell.init(jax.random.key(0), xs[0]))

    def run(implementation):
        def loss(xs):
            out = jaxrnn.unroll(cell, params, None, xs, implementation=implementation)[1]
            return jnp.sum(jnp.sin(out)), out

        return jax.jit(jax.grad(loss, has_aux=True))(xs)

    names = {o.name for code in codes(cell, xs) for o in code.operations}
    times = {"normalize"} if is_grouped else {"normalize_times", "normalize_slope_sum"}
    assert {"mean_and_scale", *times} <= names or width == 1
    for got, expected in zip(run("native"), run("scan"), strict=True):
        eps = 500 * np.finfo(dtype).eps * width
        np.testing.assert_allclose(got, expected, rtol=eps, atol=eps)


@widths
@dtypes
def test_a_gain_and_its_cotangent_are_part_of_a_normalization(width, dtype):
    def init(key, x):
        return {"gain": jax.random.normal(key, (width,), dtype), "bias": jnp.ones(width, dtype)}

    def update(params, carry, u, v):
        y = params["gain"] * jaxrnn.authoring.normalize(u + carry.h) + params["bias"]
        return type(carry)(jnp.tanh(y))

    cell = of_input(lambda x: x)._replace(init=init, update=update)
    xs = jnp.asarray(np.random.default_rng(0).standard_normal((4, 5, width)), dtype)
    params = cell.init(jax.random.key(0), xs[0])

    def run(implementation):
        def loss(params, xs):
            ys = jaxrnn.unroll(cell, params, None, xs, implementation=implementation)[1]
            return jnp.sum(jnp.sin(ys)), ys

        return jax.jit(jax.grad(loss, (0, 1), has_aux=True))(params, xs)

    names = {o.name for code in codes(cell, xs) for o in code.operations}
    assert {"normalize_multiply_add", "normalize_slope_sum"} <= names or width == 1
    eps = 500 * np.finfo(dtype).eps * width
    jax.tree.map(
        lambda got, expected: np.testing.assert_allclose(got, expected, rtol=eps, atol=eps),
        run("native"),
        run("scan"),
    )


def test_columns_that_nothing_reads_are_not_computed():
    def function(x):
        return jax.nn.sigmoid(3 * jnp.tanh(x))[..., 3:5] * x[..., :2]

    xs = jax.random.normal(jax.random.key(0), (2, 5, 17), jnp.float32)
    check({"columns": function}, xs, "float32")
    forward, _ = codes(of_input(function), xs)
    assert {o.output.size for o in forward.operations} == {2}


def test_an_array_that_is_joined_is_kept_as_one():
    xs = jax.ShapeDtypeStruct((2, 5, 8), jnp.float32)
    code = programs_of(jaxrnn.layer_norm_gru(8), xs).training_forward()
    assert [o.name for o in code.operations].count("copy") == 1  # of the new carry


def test_results_lie_where_what_they_replace_was_read():
    xs = jax.ShapeDtypeStruct((2, 5, 8), jnp.float32)
    made = programs_of(jaxrnn.layer_norm_lstm(8), xs)
    found = {place.space: array.space for place, array in made.backward().reused.items()}
    assert found == {"dproduct": "saved", "dinput": "input"}
    kept = programs_of(jaxrnn.projected_lstm(8, 4), xs)  # what is multiplied is read after the call
    assert not set(kept.multiplied) & set(kept.backward().reused.values())


@pytest.mark.parametrize(
    ("cell", "number"),
    [(jaxrnn.coupled_lstm(8), 3), (jaxrnn.lem(8), 4), (jaxrnn.layer_norm_lstm(8), 0)],
)
def test_what_is_kept_lies_where_the_input_was(cell, number):
    made = programs_of(cell, jax.ShapeDtypeStruct((2, 5, 8), jnp.float32))
    spans = sorted(columns[1:] for columns in made.joins().values())
    assert spans == [(8 * i, 8 * i + 8) for i in range(number)]
    input_, array = Place("input", 0), Place("joined", 0)
    assert made.training_forward().reused.get(array) == (input_ if number else None)
    assert (array in made.backward().reused.values()) == (number > 0)


def test_a_train_step_keeps_no_more_than_the_columns_of_its_gates():
    """In arrays (T, B, H): three for the gates, one more, both states, and a cotangent."""
    cell, xs = jaxrnn.coupled_lstm(32), jnp.zeros((50, 8, 32), jnp.float32)
    params = jax.tree.map(lambda x: x.astype(xs.dtype), cell.init(jax.random.key(0), xs[0]))

    def loss(params, xs):
        _, ys = jaxrnn.unroll(cell, params, None, xs, implementation="native")
        return jnp.mean(ys**2)

    memory = jax.jit(jax.grad(loss, (0, 1))).lower(params, xs).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 7.5 * xs.nbytes


def part(value, begin, end):
    return View(value, begin, (end - begin,), (1,))


@pytest.mark.parametrize(
    ("name", "out", "read", "later", "is_harmless"),
    [
        ("neg", part(1, 0, 4), part(0, 0, 4), [], True),
        ("product", part(1, 0, 4), part(0, 0, 4), [], False),
        ("neg", part(1, 0, 2), part(0, 2, 4), [], True),
        ("neg", part(1, 0, 2), part(0, 1, 3), [], False),
        ("neg", part(1, 0, 2), part(0, 0, 2), [part(0, 2, 4)], True),
        ("neg", part(1, 0, 2), part(0, 0, 2), [part(0, 1, 2)], False),
        ("neg", part(1, 0, 2), View(0, 0, (2,), (2,)), [], False),
    ],
)
def test_what_is_still_read_is_not_overwritten(name, out, read, later, is_harmless):
    operations = [Operation(name, out, (read,))]
    operations += [Operation("neg", part(2, 0, view.size), (view,)) for view in later]
    old, new = Place("saved", 0), Place("dinput", 0)
    found = reused(operations, {0: old, 1: new}, {old: 4, new: 4}, [new], [old])
    assert found == ({new: old} if is_harmless else {})


def codes(cell, xs):
    made = programs_of(cell, xs)
    return made.forward(), made.backward()


def programs_of(cell, xs):
    x = jax.eval_shape(lambda xs: xs[0], xs)
    params = jax.eval_shape(cell.init, jax.random.key(0), x)
    carry = jax.eval_shape(cell.init_carry, params, x)
    kernel, _ = kernel_of(cell, Call(params, carry, carry, xs, None, None))
    return kernel.programs


# --- A program that is damaged ---


@functools.cache
def code():
    xs = jax.ShapeDtypeStruct((4, 3, 2), jnp.float32)
    return programs_of(jaxrnn.layer_norm_lstm(5), xs).forward()


DEPTH, WIDTH = 6, 20  # of the inputs, and of their products
HEADS = {"given products": (0, 0, 0, 0), "products": (0, 0, 0, 1, DEPTH, 0, 0, -1)}
heads = pytest.mark.parametrize("head", HEADS)


def call(head, numbers):
    """Calls the kernel with the arrays of the program and with other numbers."""
    made, (steps, batch) = code(), (4, 3)

    def zeros(*shape):
        return jnp.zeros(shape, jnp.float32)

    operands = [zeros(batch, width) for width in made.states]
    for place in made.operands:
        if place.space == "known":
            operands.append(zeros(*made.known[place.number][1]))
        elif head == "products":
            operands += [zeros(steps, batch, DEPTH), zeros(DEPTH, WIDTH)]
        else:
            operands.append(zeros(steps, batch, WIDTH))
    results = [jax.ShapeDtypeStruct((batch, width), jnp.float32) for width in made.states]
    widths = [n for _, n in made.results] + [WIDTH] * (head == "products")
    results += [jax.ShapeDtypeStruct((steps, batch, n), jnp.float32) for n in widths]
    run = jax.ffi.ffi_call("jaxrnn_program", results)
    return run(
        *operands,
        program=np.array(numbers, np.int64),
        numbers=np.array(made.numbers, np.float64),
        steps=np.int64(steps),
        batch=np.int64(batch),
        instruction_set=np.int64(-1),
        reverse=False,
        is_double=False,
    )


@heads
def test_the_program_runs_as_it_is(head):
    assert np.isfinite(call(head, (*HEADS[head], *code().body))[0]).all()


@heads
@pytest.mark.parametrize("seed", [*range(40), *map(later, range(40, 400))])
def test_a_damaged_program_is_refused_or_harmless(head, seed):
    rng, numbers = np.random.default_rng(seed), [*HEADS[head], *code().body]
    for at in rng.integers(0, len(numbers), rng.integers(1, 4)):
        numbers[at] = int(rng.choice([-2, -1, 0, 1, 2, 7, 63, 1 << 20, 1 << 39, 1 << 62]))
    numbers = numbers[: rng.choice([len(numbers), len(numbers), len(numbers) - 1, 80])]
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        jax.block_until_ready(call(head, numbers))


def test_python_and_the_library_know_the_same_operations():
    assert _library.operations() == list(OPERATIONS)
