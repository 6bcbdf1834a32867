"""Jacobians, exponents and fixed points of systems for which they are known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import diagnostics
from tests.laws.tables import CELLS, H, I, assert_close, noisy


def map_cell(function, size):
    """A cell whose carry follows a map, whatever its inputs."""

    def init_carry(params, x):
        return jnp.full((*x.shape[:-1], size), 0.1, x.dtype)

    def step(params, carry, x):
        carry = function(carry)
        return carry, carry

    return jaxrnn.from_step(lambda key, x: (), init_carry, step)


def linear_map(matrix):
    return map_cell(lambda h: matrix @ h, len(matrix))


def still(num_steps):
    return jnp.zeros((num_steps, 1))


def henon(h):
    x, y = h
    return jnp.stack([1 - 1.4 * x**2 + y, 0.3 * x])


def logistic(h):
    return 4 * h * (1 - h)


MATRIX = jnp.array([[0.5, 0.4, 0.0], [-0.2, 0.9, 0.1], [0.3, 0.0, -0.7]])


def test_jacobians_of_a_linear_cell():
    found = diagnostics.jacobians(linear_map(MATRIX), (), None, still(3))
    np.testing.assert_array_equal(found, jnp.broadcast_to(MATRIX, (3, 3, 3)))


@pytest.mark.parametrize("row", ["lstm", pytest.param("leaky", marks=pytest.mark.thorough)])
def test_the_product_of_jacobians_is_the_derivative_of_the_run(row):
    cell = CELLS[row].cell
    xs = jax.random.normal(jax.random.key(0), (4, I))
    params = noisy(cell.init(jax.random.key(1), xs[0]), jax.random.key(2))
    start = cell.init_carry(params, xs[0])

    def last(carry):
        carry, _ = jaxrnn.unroll(cell, params, carry, xs, implementation="scan")
        return jnp.concatenate([leaf for leaf in carry if jnp.issubdtype(leaf.dtype, jnp.floating)])

    js = jax.jit(lambda: diagnostics.jacobians(cell, params, start, xs))()
    through = np.linalg.multi_dot(js[::-1])
    slopes = jax.jit(jax.jacrev(last, allow_int=True))(start)
    slopes = [leaf for leaf in slopes if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert_close(through, jnp.concatenate(slopes, axis=-1), 1e-12)


@pytest.mark.thorough
def test_complex_carries_have_real_jacobians():
    cell = jaxrnn.lru(3)
    xs = jax.random.normal(jax.random.key(0), (4, I))
    params = cell.init(jax.random.key(1), xs[0])
    js = diagnostics.jacobians(cell, params, None, xs)
    size = 2 * params.nu_log.size if hasattr(params, "nu_log") else js.shape[-1]
    assert js.shape == (4, size, size)
    assert js.dtype == jnp.float64
    half = size // 2
    np.testing.assert_allclose(js[:, :half, :half], js[:, half:, half:], atol=1e-15)
    np.testing.assert_allclose(js[:, :half, half:], -js[:, half:, :half], atol=1e-15)


def test_singular_values():
    """With and without the matrices; the product is also right where it is out of range."""
    matrix = jax.random.normal(jax.random.key(0), (20, 20)) * jnp.linspace(1, 0.05, 20)
    cell, xs = linear_map(matrix), still(3)
    steps = np.linalg.svd(matrix, compute_uv=False)
    product = np.linalg.svd(matrix @ matrix @ matrix, compute_uv=False)
    whole = jax.jit(lambda xs: diagnostics.singular_values(cell, (), None, xs))(xs)
    np.testing.assert_allclose(whole.steps[1], steps, rtol=1e-10)
    np.testing.assert_allclose(np.exp(whole.log_product[:12]), product[:12], rtol=1e-8)
    few = jax.jit(lambda xs: diagnostics.singular_values(cell, (), None, xs, num=2))(xs)
    np.testing.assert_allclose(few.steps[1], steps[:2], rtol=1e-6)
    np.testing.assert_allclose(np.exp(few.log_product), product[:2], rtol=1e-6)
    tiny = diagnostics.singular_values(linear_map(1e-9 * jnp.eye(2)), (), None, still(100), num=1)
    np.testing.assert_allclose(tiny.log_product, 100 * np.log(1e-9), rtol=1e-12)


def test_lyapunov_exponents_of_a_linear_map():
    rates = jnp.log(jnp.array([0.9, 0.6, 0.5]))
    basis = jnp.array([[1.0, 0.2, 0.0], [0.0, 1.0, -0.3], [0.1, 0.0, 1.0]])
    matrix = basis @ jnp.diag(jnp.exp(rates)) @ jnp.linalg.inv(basis)

    @jax.jit
    def run(xs):
        return diagnostics.lyapunov_exponents(linear_map(matrix), (), None, xs, warmup=300)

    np.testing.assert_allclose(run(still(600)).exponents, rates, rtol=1e-6)


@pytest.mark.parametrize(
    ("function", "size", "expected"),
    [(logistic, 1, [np.log(2)]), (henon, 2, [0.41922, 0.41922 * -1 + np.log(0.3)])],
)
def test_lyapunov_exponents_of_known_maps(function, size, expected):
    """log 2 of the logistic map at 4; for the Hénon map, Sprott (2003) has 0.41922."""

    @jax.jit
    def run(xs):
        cell = map_cell(function, size)
        return diagnostics.lyapunov_exponents(cell, (), None, xs, warmup=100)

    found = run(still(40_100))
    np.testing.assert_allclose(found.exponents, expected, rtol=0.01)
    np.testing.assert_array_less(np.abs(found.exponents - jnp.array(expected)), 4 * found.errors)
    one = diagnostics.lyapunov_exponents(map_cell(function, size), (), None, still(200), num=1)
    assert one.exponents.shape == one.errors.shape == (1,)


def lorenz(h):
    """A step of 0.01 of the Lorenz equations, by the rule of Runge and Kutta."""

    def slope(h):
        x, y, z = h
        return jnp.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    a = slope(h)
    b = slope(h + 0.005 * a)
    c = slope(h + 0.005 * b)
    return h + 0.01 / 6 * (a + 2 * b + 2 * c + slope(h + 0.01 * c))


@pytest.mark.thorough
def test_lyapunov_exponents_of_the_lorenz_equations():
    """Sprott (2003): 0.9056, 0 and -14.5723 per unit of time."""
    cell = map_cell(lorenz, 3)
    run = jax.jit(lambda xs: diagnostics.lyapunov_exponents(cell, (), None, xs, warmup=5000))
    found = run(still(400_000)).exponents * 100
    np.testing.assert_allclose(found[0], 0.9056, rtol=0.01)
    np.testing.assert_allclose(found[2], -14.5723, rtol=0.01)
    assert abs(found[1]) < 0.005


def test_vanishing_directions_have_no_error():
    found = diagnostics.lyapunov_exponents(map_cell(jnp.zeros_like, 2), (), None, still(20))
    assert (found.exponents == -jnp.inf).all()
    assert (found.errors == 0).all()


def test_all_fixed_points_of_a_known_network():
    """h' = tanh(2 h) in two units: each stands still at 0 and at ±s with s = tanh(2 s)."""
    cell = jaxrnn.elman(2)
    x = jnp.zeros(1)
    params = cell.init(jax.random.key(0), x)._replace(recurrent_kernel=2 * jnp.eye(2))
    starts = jax.random.uniform(jax.random.key(1), (150, 2), minval=-1.2, maxval=1.2)
    starts = jaxrnn.HiddenCarry(starts)
    found = diagnostics.fixed_points(cell, params, starts, x)
    s = 0.9575040240772687
    expected = np.array([(a, b) for a in (-s, 0, s) for b in (-s, 0, s)])
    order = np.lexsort(np.round(found.carries.h.T[::-1], 6))
    np.testing.assert_allclose(found.carries.h[order], expected, atol=1e-8)
    assert found.is_fixed.all()
    slopes = 2 * (1 - expected**2)  # the eigenvalues
    np.testing.assert_array_equal(found.is_stable[order], (slopes < 1).all(axis=1))
    np.testing.assert_allclose(found.eigenvalues[order], -np.sort(-slopes, axis=1), atol=1e-6)
    assert found.num_starts.sum() <= 150


def test_slow_points():
    """h' = h + h² + 0.001 has no fixed point; it is slowest at 0, where the speed is 0.001."""
    cell = map_cell(lambda h: h + h**2 + 1e-3, 1)
    starts = jnp.linspace(-0.5, 0.3, 6)[:, None]
    found = diagnostics.fixed_points(cell, (), starts, jnp.zeros(1))
    np.testing.assert_allclose(found.carries, [[0]], atol=1e-4)
    np.testing.assert_allclose(found.speeds, [1e-3], rtol=1e-3)
    assert not found.is_fixed.any()
    assert found.num_starts == [6]
    none = diagnostics.fixed_points(cell, (), starts, jnp.zeros(1), slow=1e-4)
    assert none.carries.shape == (0, 1)
    assert none.eigenvalues.shape == (0, 1)


@pytest.mark.thorough
def test_fixed_points_of_an_lstm_in_float32():
    cell = jaxrnn.lstm(H)
    x = jnp.zeros(I, jnp.float32)
    params = cell.init(jax.random.key(0), x)
    starts = cell.init_carry(params, jnp.zeros((20, I), jnp.float32))
    starts = noisy(starts, jax.random.key(1))
    found = diagnostics.fixed_points(cell, params, starts, x)
    assert found.is_fixed.any()
    rows = jnp.zeros((len(found.speeds), I), jnp.float32)
    after, _ = jaxrnn.step(cell, params, found.carries, rows)
    assert_close(after, found.carries, 1e-2)
