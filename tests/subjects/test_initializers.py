import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import initializers
from tests.marks import later

KEY = jax.random.key(0)
H = 16


@pytest.mark.parametrize(
    "dtype",
    [
        jnp.bfloat16,
        later(jnp.float16),
        later(jnp.float32),
        jnp.float64,
    ],
)
@pytest.mark.parametrize("name", ["elman", "lstm", "gru"])
def test_every_cell_starts_in_every_dtype(name, dtype):
    cell = getattr(jaxrnn, name)(H)
    params = cell.init(KEY, jax.ShapeDtypeStruct((5,), dtype))
    assert {leaf.dtype for leaf in params} == {jnp.dtype(dtype)}
    assert all(np.isfinite(leaf.astype(jnp.float32)).all() for leaf in params)


def gates(kernel, num_gates):
    return np.split(np.asarray(kernel, np.float64), num_gates, axis=-1)


def test_orthogonal_is_orthogonal_in_each_gate_and_differs_between_them():
    first, second, third = gates(initializers.orthogonal(3)(KEY, (H, 3 * H), jnp.float64), 3)
    for gate in (first, second, third):
        np.testing.assert_allclose(gate.T @ gate, np.eye(H), atol=1e-12)
    assert np.abs(first - second).max() > 0.1


def test_glorot_has_the_scale_of_one_gate():
    kernel = initializers.glorot_uniform(4)(KEY, (200, 4 * 100), jnp.float32)
    limit = np.sqrt(6 / (200 + 100))
    assert 0.98 * limit < np.abs(kernel).max() <= limit
    np.testing.assert_allclose(np.std(kernel), limit / np.sqrt(3), rtol=0.02)


def test_identity():
    for gate in gates(initializers.identity(2, scale=0.5)(KEY, (H, 2 * H)), 2):
        np.testing.assert_array_equal(gate, 0.5 * np.eye(H))


def test_unit_forget_bias_is_the_default_of_the_lstm():
    bias = jaxrnn.lstm(H).init(KEY, jnp.zeros(5, jnp.float32)).bias
    i, f, g, o = gates(bias, 4)
    assert (f == 1).all()
    assert not np.concatenate([i, g, o]).any()


def test_chrono_keeps_for_up_to_max_time():
    i, f, g, o = gates(initializers.chrono(50)(KEY, (4 * 1000,), jnp.float64), 4)
    times = 1 / (1 - 1 / (1 + np.exp(-f)))
    assert 1.9 < times.min() < 3
    assert 48 < times.max() <= 50.1
    np.testing.assert_array_equal(i, -f)
    assert not np.concatenate([g, o]).any()
    r, z, n = gates(initializers.chrono(50, gates="rzn")(KEY, (3 * H,)), 3)
    assert (z > 0).all()
    assert not np.concatenate([r, n]).any()


def test_the_choice_reaches_the_parameters():
    cell = jaxrnn.elman(H, jax.nn.relu, recurrent_kernel_init=initializers.identity())
    np.testing.assert_array_equal(
        cell.init(KEY, jnp.zeros(3, jnp.float32)).recurrent_kernel, np.eye(H)
    )


NUMBERS = {
    "scale of orthogonal": lambda v: initializers.orthogonal(2, scale=v),
    "scale of identity": lambda v: initializers.identity(2, scale=v),
    "forget": lambda v: initializers.unit_forget_bias(forget=v),
    "max_time": lambda v: initializers.chrono(v),
}


@pytest.mark.parametrize("case", NUMBERS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, np.float32(np.nan)])
def test_a_number_is_finite(case, value):
    with pytest.raises(ValueError, match=rf"`{case.split()[0]}` must be a finite number, got"):
        NUMBERS[case](value)


@pytest.mark.parametrize("case", NUMBERS)
@pytest.mark.parametrize("value", ["1", None, True, [3.0], 3j, np.array([3.0])])
def test_a_number_is_one_number(case, value):
    with pytest.raises(TypeError, match=rf"`{case.split()[0]}` must be a finite number, got"):
        NUMBERS[case](value)


@pytest.mark.parametrize("case", NUMBERS)
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_a_number_of_numpy_does_not_promote(case, dtype):
    shape = (4 * H,) if case in ("forget", "max_time") else (H, 2 * H)
    assert NUMBERS[case](np.float64(3.0))(KEY, shape, dtype).dtype == dtype


WRONG = {
    "gates of a list": (lambda: initializers.chrono(9, gates=["f"]), TypeError, "`gates` must be"),
    "no gates": (lambda: initializers.unit_forget_bias(gates=None), TypeError, "`gates` must be"),
    "draws of a number": (lambda: initializers.in_float32(0.1), TypeError, "`initializer` must be"),
    "gates of a name": (
        lambda: initializers.per_gate("orthogonal", 2),
        TypeError,
        "`initializer` must be a function.*got str",
    ),
    "a bias per gate": (
        lambda: initializers.identity()(KEY, (4,)),
        ValueError,
        r"`shape` must be \(N, N\) per gate, got \(4,\)",
    ),
    "no axis": (lambda: initializers.glorot_uniform()(KEY, ()), ValueError, "`shape` must end in"),
    "no pair": (lambda: initializers.s4d_lin()(KEY, (3, 5)), ValueError, "`shape` must end in 2N"),
    "a kernel of one axis": (
        lambda: initializers.hippo_legs_kernel()(KEY, (4,)),
        ValueError,
        r"`shape` must be \(I, 2N\), got \(4,\)",
    ),
    "an output kernel of an odd state": (
        lambda: initializers.hippo_legs_output_kernel()(KEY, (3, 4)),
        ValueError,
        r"`shape` must be \(2N, O\), got \(3, 4\)",
    ),
    "blocks that do not fit": (
        lambda: initializers.hippo_legs(3)(KEY, (8,)),
        ValueError,
        "`num_blocks` = 3 must divide the 4 states",
    ),
    "no blocks": (lambda: initializers.hippo_legs(0), ValueError, "`num_blocks` must be"),
    "a ring inside out": (
        lambda: initializers.ring(0.9, 0.5),
        ValueError,
        "`least_radius` must be at most `most_radius`",
    ),
    "a ring beyond 1": (lambda: initializers.ring(0.9, 1.0), ValueError, "this below 1"),
    "no phase": (lambda: initializers.log_phase(0.0), ValueError, "`most_phase` must be"),
    "steps the wrong way round": (
        lambda: initializers.log_step(1.0, 0.1),
        ValueError,
        "`least_step` must be at most `most_step`",
    ),
    "a discretization of S4D": (
        lambda: jaxrnn.s4d(4, discretization="euler"),
        ValueError,
        r"`discretization` must be one of \['zoh', 'bilinear'\], got 'euler'",
    ),
    "a discretization of S5": (
        lambda: jaxrnn.s5(4, discretization=None),
        ValueError,
        "`discretization` must be one of",
    ),
    "a bound of 1": (
        lambda: jaxrnn.hgrn(4, lower_bound=1.0),
        ValueError,
        r"`lower_bound` must be in \[0, 1\)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_named(case):
    call, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        call()


def complexes(drawn):
    """The complex numbers that are stored as real parts and then imaginary parts."""
    real, imaginary = np.split(np.asarray(drawn, np.float64), 2, axis=-1)
    return real + 1j * imaginary


def test_eigenvalues_in_continuous_time():
    n, size = np.arange(5), 5
    want = {
        initializers.s4d_lin: -0.5 + 1j * np.pi * n,
        initializers.s4d_inv: -0.5 + 1j * 10 / np.pi * (10 / (2 * n + 1) - 1),
        initializers.s4d_real: -(n + 1) + 0j,
    }
    for init, values in want.items():
        drawn = init()(KEY, (3, 2 * size), jnp.float64)
        np.testing.assert_allclose(complexes(drawn), np.tile(values, (3, 1)), rtol=1e-12)


def test_legs_is_the_real_system_in_the_basis_of_its_eigenvectors():
    """x' = A x + B u and y = C x, with the normal part A of the HiPPO-LegS matrix."""
    size, num_inputs = 4, 3
    n = np.arange(2 * size)
    root = np.sqrt(2 * n + 1.0)
    legs = -np.where(n[:, None] > n, np.outer(root, root), 0) - np.diag(n + 1.0)
    normal = legs + np.outer(root, root) / 2
    b = np.asarray(jax.random.normal(KEY, (num_inputs, 2 * size), jnp.float64)) * num_inputs**-0.5
    c = np.asarray(jax.random.normal(KEY, (num_inputs, 2 * size), jnp.float64)) * (2 * size) ** -0.5
    eigenvalues = complexes(initializers.hippo_legs()(KEY, (2 * size,), jnp.float64))
    kernel = initializers.hippo_legs_kernel()(KEY, (num_inputs, 2 * size), jnp.float64)
    output = initializers.hippo_legs_output_kernel()(KEY, (2 * size, num_inputs), jnp.float64)
    for power in range(4):
        want = c @ np.linalg.matrix_power(normal, power) @ b.T
        got = 2 * (complexes(output.T) * eigenvalues**power) @ complexes(kernel).T
        np.testing.assert_allclose(got.real, want, rtol=1e-9, atol=1e-9)


def test_legs_in_blocks():
    whole = complexes(initializers.hippo_legs()(KEY, (4,), jnp.float64))
    blocks = complexes(initializers.hippo_legs(3)(KEY, (12,), jnp.float64))
    np.testing.assert_array_equal(blocks, np.tile(whole, 3))
    kernel = complexes(initializers.hippo_legs_kernel(3)(KEY, (5, 12), jnp.float64))
    rows = jax.random.normal(KEY, (5, 12), jnp.float64) * 5**-0.5
    # Each block has the length of what it was drawn as: the eigenvectors are orthonormal.
    lengths = 2 * (np.abs(kernel) ** 2).reshape(5, 3, 2).sum(-1)
    np.testing.assert_allclose(lengths, (rows**2).reshape(5, 3, 4).sum(-1), rtol=1e-9)


def test_rings_phases_and_steps():
    decay = np.asarray(initializers.ring(0.5, 0.9)(KEY, (4000,)), np.float64)
    radius = np.exp(-np.exp(decay))
    assert 0.5 <= radius.min() < 0.51
    assert 0.89 < radius.max() <= 0.9
    assert abs((radius**2).mean() - (0.25 + 0.81) / 2) < 0.01
    phases = np.exp(np.asarray(initializers.log_phase(0.3)(KEY, (4000,)), np.float64))
    assert abs(phases.mean() - 0.15) < 0.01
    steps = np.asarray(initializers.log_step(0.01, 1.0)(KEY, (4000,)), np.float64)
    assert abs(steps.mean() - np.log(0.1)) < 0.1
    assert np.log(0.01) <= steps.min() < steps.max() <= 0


@pytest.mark.parametrize("dtype", [later(jnp.bfloat16), later(jnp.float16), jnp.float32])
def test_state_spaces_start_in_every_dtype(dtype):
    for cell in (jaxrnn.s4d(4), jaxrnn.s5(4), jaxrnn.hgrn(4), jaxrnn.lru(4)):
        params = cell.init(KEY, jax.ShapeDtypeStruct((5,), dtype))
        assert {leaf.dtype for leaf in params} == {jnp.dtype(dtype)}
        assert all(np.isfinite(leaf.astype(jnp.float32)).all() for leaf in params)
