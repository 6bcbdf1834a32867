"""Linear recurrences: values and every derivative by every way, masks, resets, and bad input."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

import jaxrnn
from jaxrnn.engines.cpu import _library
from tests.laws.compiled import hlo
from tests.laws.tables import assert_close, assert_same, generator
from tests.marks import later

T, B, D = 7, 3, 4
WAYS = ["scan", "associative", "chunked", "native"]
every_way = pytest.mark.parametrize("way", [*WAYS, later("pallas")])
both_directions = pytest.mark.parametrize("reverse", [False, True])


@pytest.fixture(autouse=True)
def skip_without_kernels(request):
    if "native" in request.node.name and (problem := _library.problem()):
        pytest.skip(problem)


def draw(dtype=np.float64, num_steps=T, shape=(B, D), key=0):
    rng = generator(jax.random.key(key))

    def normal(*shape):
        x = rng.standard_normal(shape)
        return x + 1j * rng.standard_normal(shape) if np.issubdtype(dtype, complex) else x

    arrays = normal(num_steps, *shape), normal(num_steps, *shape), normal(*shape)
    return [jnp.asarray(x.astype(dtype)) for x in arrays]


def loop(a, b, h0, reverse=False, mask=None, resets=None):
    """In NumPy, step by step."""
    a, b, h = np.array(a), np.array(b), np.array(h0)
    hs = np.zeros_like(b)
    for t in reversed(range(len(a))) if reverse else range(len(a)):
        before = h if resets is None else np.where(resets[t][..., None], 0, h)
        new = a[t] * before + b[t]
        h = new if mask is None else np.where(mask[t][..., None], new, h)
        hs[t] = h
    return hs


@every_way
@both_directions
@pytest.mark.parametrize(
    "dtype",
    [
        later(np.float32),
        np.float64,
        np.complex64,
        later(np.complex128),
    ],
)
def test_values(way, reverse, dtype):
    tolerance = 1e-12 if np.finfo(dtype).bits == 64 else 2e-6
    run = jax.jit(functools.partial(jaxrnn.linear_scan, reverse=reverse, implementation=way))
    for num_steps, shape in ((1, (3,)), (11, (3, 5)), (25, ())):
        a, b, h0 = draw(dtype, num_steps, shape)
        a = jnp.asarray((np.asarray(a) / (1 + np.abs(a))).astype(dtype))
        got = run(a, b, h0)
        assert got.dtype == dtype
        want = loop(np.asarray(a, np.result_type(dtype, np.float64)), b, h0, reverse)
        np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance)


@every_way
@both_directions
def test_masks_and_resets_are_pieces_run_alone(way, reverse):
    a, b, h0 = draw()
    rng = generator(jax.random.key(5))
    mask, resets = rng.random((T, B)) < 0.7, rng.random((T, B)) < 0.3
    a, b = (jnp.where(mask[..., None], x, jnp.nan) for x in (a, b))

    @functools.partial(jax.jit, static_argnums=3)
    @functools.partial(jax.value_and_grad, argnums=(0, 1, 2), has_aux=True)
    def run(a, b, h0, way):
        flags = {"mask": jnp.asarray(mask), "resets": jnp.asarray(resets)}
        hs = jaxrnn.linear_scan(a, b, h0, **flags, reverse=reverse, implementation=way)
        return jnp.sum(jnp.sin(hs)), hs

    (_, hs), grads = run(a, b, h0, way)
    assert_close(hs, loop(np.nan_to_num(a), np.nan_to_num(b), h0, reverse, mask, resets), 1e-12)
    assert not np.asarray(grads[0])[~mask].any()
    assert not np.asarray(grads[1])[~mask].any()
    assert not np.asarray(grads[0])[resets].any()
    if way != "scan":
        assert_close(grads, run(a, b, h0, "scan")[1], 1e-12)


@pytest.mark.parametrize(
    ("way", "reverse"),
    [
        pytest.param(way, reverse, marks=[pytest.mark.thorough] * (way != "native"))
        for way in WAYS
        for reverse in (False, True)
    ],
)
def test_every_derivative(way, reverse):
    """In every way by the same rule; that the ways are transposed rightly, is in the gradients."""
    a, b, h0 = draw(num_steps=5, shape=(2,))
    run = jax.jit(functools.partial(jaxrnn.linear_scan, implementation=way, reverse=reverse))
    check_grads(run, (a, b, h0), order=2, modes=("fwd", "rev"))


@every_way
def test_derivatives_of_complex_numbers(way):
    weights = jnp.arange(1.0, T + 1)[:, None, None]

    def loss(way, a, b, h0):
        hs = jaxrnn.linear_scan(a, b, h0, implementation=way)
        return jnp.sum(weights * jnp.abs(hs) ** 2)

    def plain(a, b, h0):
        hs = jax.lax.scan(lambda h, x: (x[0] * h + x[1],) * 2, h0, (a, b))[1]
        return jnp.sum(weights * jnp.abs(hs) ** 2)

    arguments = draw(np.complex128)
    got = jax.jit(jax.grad(functools.partial(loss, way), (0, 1, 2)))(*arguments)
    assert_close(got, jax.jit(jax.grad(plain, (0, 1, 2)))(*arguments), 1e-12)


@every_way
def test_vmap_over_any_arguments(way):
    a, b, h0 = draw(shape=(B, D))
    run = functools.partial(jaxrnn.linear_scan, implementation=way)
    whole = run(a, b, h0)
    assert_close(jax.vmap(run, (1, 1, 0), 1)(a, b, h0), whole, 1e-13)
    shared = jax.vmap(lambda b: run(a[:, 0], b, h0[0]), 1, 1)(b)
    assert_close(shared[:, 2], run(a[:, 0], b[:, 2], h0[0]), 1e-13)
    per_row = jax.vmap(jax.grad(lambda a, b: run(a, b).sum(), (0, 1)), 1, 1)(a, b)
    assert_close(per_row, jax.grad(lambda a, b: run(a, b).sum(), (0, 1))(a, b), 1e-13)


@every_way
def test_no_steps_no_rows_and_pieces(way):
    a, b, h0 = draw()
    run = functools.partial(jaxrnn.linear_scan, implementation=way)
    assert run(a[:0], b[:0], h0).shape == (0, B, D)
    assert run(a[:, :0], b[:, :0]).shape == (T, 0, D)
    first = run(a[:3], b[:3], h0)
    pieces = jnp.concatenate([first, run(a[3:], b[3:], first[-1])])
    assert_close(pieces, run(a, b, h0), 1e-13)
    assert_close(run(a, b), run(a, b, jnp.zeros_like(h0)), 0)


def test_narrow_dtypes_are_summed_in_float32():
    a, b, h0 = (x.astype(jnp.bfloat16) for x in draw(num_steps=200, shape=(3,)))
    a = (0.98 + 0 * a).astype(jnp.bfloat16)
    got = jaxrnn.linear_scan(a, b, h0)
    assert got.dtype == jnp.bfloat16
    want = loop(*(np.asarray(x, np.float64) for x in (a, b, h0)))
    assert np.abs(np.asarray(got, np.float64) - want).max() < 0.01 * np.abs(want).max()


@pytest.mark.parametrize("way", WAYS)
def test_the_program_does_not_grow_with_time_and_the_gradient_keeps_no_tree(way):
    def sizes(num_steps):
        args = [jax.ShapeDtypeStruct(s, jnp.float32) for s in ((num_steps, 64),) * 2]

        def loss(a, b):
            return jnp.sum(jaxrnn.linear_scan(a, b, implementation=way) ** 2)

        compiled = jax.jit(jax.grad(loss, (0, 1))).lower(*args).compile()
        memory = compiled.memory_analysis().temp_size_in_bytes
        return len(compiled.as_text().splitlines()), memory / (num_steps * 64 * 4)

    (short, _), (long, arrays) = sizes(1024), sizes(16 * 1024)
    if way == "associative":  # log2(T) rounds
        assert long < 2 * short
    else:
        assert long <= short + 5
        assert arrays <= 8  # of the size of the inputs: two inputs, two gradients, and twice that


def test_native_is_one_call_forward_and_one_back():
    args = draw(jnp.float32)

    def loss(a, b, h0):
        return jnp.sum(jaxrnn.linear_scan(a, b, h0, implementation="native"))

    text = hlo(jax.grad(loss, (0, 1, 2)), *args)
    assert text.count('custom_call_target="jaxrnn_linear"') == 2
    assert " while(" not in text


@pytest.mark.thorough
def test_a_million_steps():
    a = jnp.full((1_000_000, 4), 0.999, jnp.float32)
    hs = jaxrnn.linear_scan(a, jnp.ones_like(a))
    np.testing.assert_allclose(hs[-1], 1000, rtol=1e-3)


def test_the_table_of_ways_is_by_what_is_there(monkeypatch):
    a, b, h0 = draw()
    monkeypatch.setattr(_library, "problem", lambda: "it was not built")
    with pytest.raises(ValueError, match="'native'` cannot run this: it was not built"):
        jaxrnn.linear_scan(a, b, h0, implementation="native")
    assert_close(jaxrnn.linear_scan(a, b, h0), loop(a, b, h0), 1e-12)


A = jnp.ones((T, B, D))
COMPLEX = A.astype(complex)
WRONG = {
    "complex a with a real b": (lambda: jaxrnn.linear_scan(COMPLEX, A), "cast `b`"),
    "real a with a complex b": (lambda: jaxrnn.linear_scan(A, COMPLEX), "cast `a`"),
    "shapes": (lambda: jaxrnn.linear_scan(A[:, :1], A), "broadcast_to"),
    "integers": (lambda: jaxrnn.linear_scan(A.astype(int), A), "`a` must be floating or complex"),
    "no array": (lambda: jaxrnn.linear_scan([1.0], A), "`a` must be an array"),
    "no time": (lambda: jaxrnn.linear_scan(A[0, 0, 0], A[0, 0, 0]), "`a` needs a time axis"),
    "a state of another batch": (lambda: jaxrnn.linear_scan(A, A, A[0, :2]), "`h0` must be"),
    "an unknown way": (lambda: jaxrnn.linear_scan(A, A, implementation="tree"), "one of"),
    "a mask of numbers": (lambda: jaxrnn.linear_scan(A, A, mask=A[..., 0]), "`mask` must be bool"),
    "a long mask": (
        lambda: jaxrnn.linear_scan(A, A, mask=jnp.ones((T + 1, B), bool)),
        "`mask` must match",
    ),
    "resets of another batch": (
        lambda: jaxrnn.linear_scan(A, A, resets=jnp.ones((T, B + 1), bool)),
        "`resets` must match",
    ),
    "reverse": (lambda: jaxrnn.linear_scan(A, A, reverse=1), "`reverse` must be True or False"),
}


@pytest.mark.parametrize("row", WRONG)
def test_a_wrong_argument_is_named(row):
    call, message = WRONG[row]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


def test_bits_do_not_depend_on_the_threads():
    a, b, h0 = draw(np.float32, 300, (700,))
    whole = jaxrnn.linear_scan(a, b, h0, implementation="native")
    part = jaxrnn.linear_scan(a[:, 100:131], b[:, 100:131], h0[100:131], implementation="native")
    assert_same(np.asarray(whole[:, 100:131]), np.asarray(part))


@both_directions
def test_logarithms(reverse):
    a, b, h0 = (jnp.abs(x) for x in draw())
    run = functools.partial(jaxrnn.log_linear_scan, reverse=reverse)
    got = run(jnp.log(a), jnp.log(b), jnp.log(h0))
    assert_close(jnp.exp(got), loop(a, b, h0, reverse), 1e-12)
    assert_close(jnp.exp(run(jnp.log(a), jnp.log(b))), loop(a, b, 0 * h0, reverse), 1e-12)
    far = run(jnp.log(a) - 900, jnp.log(b) - 900)  # beyond what float64 holds
    first = -1 if reverse else 0
    assert_close(far[first], jnp.log(b)[first] - 900, 1e-12)
    check_grads(jax.jit(run), (jnp.log(a), jnp.log(b), jnp.log(h0)), order=1)


def test_logarithms_that_do_not_fit_are_named():
    with pytest.raises(TypeError, match="`log_a` must be floating, got complex"):
        jaxrnn.log_linear_scan(COMPLEX, COMPLEX)
    with pytest.raises(ValueError, match="`log_h0` must be float64"):
        jaxrnn.log_linear_scan(A, A, A[0, :2])
    assert jaxrnn.log_linear_scan(A[:0], A[:0]).shape == (0, B, D)


def test_an_exported_program_needs_no_kernels():
    a, b, h0 = draw()
    saved = jax.export.export(jax.jit(jaxrnn.linear_scan))(a, b, h0)
    assert "jaxrnn_linear" not in saved.mlir_module()
    assert_close(saved.call(a, b, h0), loop(a, b, h0), 1e-12)
