"""Activation functions with parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import activations

X = np.linspace(-3, 3, 25)
FUNCTIONS = {
    "affine": (activations.affine(2, 0.5), 2 * X + 0.5),
    "leaky_relu": (activations.leaky_relu(0.1), np.where(X > 0, X, 0.1 * X)),
    "thresholded_relu": (activations.thresholded_relu(0.7), np.where(X > 0.7, X, 0)),
    "elu": (activations.elu(0.4), np.where(X > 0, X, 0.4 * np.expm1(X))),
    "scaled_tanh": (activations.scaled_tanh(2, 0.3), 2 * np.tanh(0.3 * X)),
    "hard_sigmoid": (activations.hard_sigmoid(0.3, 0.4), np.clip(0.3 * X + 0.4, 0, 1)),
    "clipped": (activations.clipped(jnp.tanh, 0.6), np.tanh(np.clip(X, -0.6, 0.6))),
}


@pytest.mark.parametrize(("function", "want"), FUNCTIONS.values(), ids=FUNCTIONS)
def test_values_and_dtypes(function, want):
    np.testing.assert_allclose(function(jnp.asarray(X)), want, atol=1e-15)
    assert function(jnp.asarray(X, jnp.bfloat16)).dtype == jnp.bfloat16


def test_defaults():
    x = jnp.asarray(X)
    np.testing.assert_allclose(activations.affine()(x), X)
    np.testing.assert_allclose(activations.elu()(x), jax.nn.elu(x))
    np.testing.assert_allclose(activations.leaky_relu()(x), jax.nn.leaky_relu(x))
    np.testing.assert_allclose(activations.hard_sigmoid(1 / 6)(x), jax.nn.hard_sigmoid(x))
    np.testing.assert_allclose(activations.scaled_tanh()(jnp.array(1.0)), 1, atol=1e-4)


def test_equal_calls_make_equal_cells():
    def cell(slope):
        return jaxrnn.lstm(4, gate_activation=activations.hard_sigmoid(slope))

    assert cell(0.2) == cell(0.2)
    assert cell(0.2) != cell(0.3)
    assert repr(cell(0.3)) == "lstm(4, gate_activation=hard_sigmoid(0.3))"


@pytest.mark.parametrize("name", ["gate_activation", "activation", "output_activation"])
@pytest.mark.parametrize("build", [jaxrnn.lstm, jaxrnn.peephole_lstm, jaxrnn.coupled_lstm])
def test_activations_must_be_functions(build, name):
    with pytest.raises(
        TypeError, match=f"`{name}` must be a function such as jnp.tanh, got 'tanh'"
    ):
        build(4, **{name: "tanh"})


def test_the_output_has_the_activation_of_the_candidate():
    relu = jax.nn.relu
    both = jaxrnn.lstm(4, activation=relu, output_activation=relu)
    assert jaxrnn.lstm(4, activation=relu).update is both.update


def test_usual_activations_keep_the_kernels():
    """Kernels know a cell by its state equation."""
    sigmoid = jax.nn.sigmoid
    for build in (jaxrnn.lstm, jaxrnn.gru):
        usual = build(4, gate_activation=sigmoid, activation=jnp.tanh)
        assert usual.update is build(4).update
        assert build(4, activation=jax.nn.relu).update is not usual.update
