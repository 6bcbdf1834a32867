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
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_named(case):
    call, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        call()
