"""Flax modules called eagerly compile once, and refuse parameters that do not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

nn = pytest.importorskip("flax.linen")
from flax import nnx  # noqa: E402

import jaxrnn  # noqa: E402
import jaxrnn.linen  # noqa: E402
import jaxrnn.nnx  # noqa: E402
from tests.laws.compiled import compilations  # noqa: E402

INPUTS = jnp.ones((3, 7, 5), jnp.float32)


class Inside(nn.Module):
    """Builds its layers at each call, as Flax users do."""

    @nn.compact
    def __call__(self, inputs):
        inputs = jaxrnn.linen.RNN(jaxrnn.lstm(4))(inputs)
        return jaxrnn.linen.RNN(jaxrnn.truncate(jaxrnn.rnn(jaxrnn.gru(4)), 3))(inputs)


def test_a_second_eager_call_compiles_nothing():
    model = Inside()
    variables = model.init(jax.random.key(0), INPUTS)
    model.apply(variables, INPUTS)
    with compilations() as compiled:
        outputs = model.apply(variables, INPUTS)
    assert compiled == []
    assert np.isfinite(outputs).all()


def test_parameters_of_linen_must_fit():
    model = jaxrnn.linen.RNN(jaxrnn.lstm(4))
    variables = model.init(jax.random.key(0), INPUTS)
    variables["params"]["bias"] = jnp.zeros(1, jnp.float32)
    with pytest.raises(ValueError, match=r"`params.bias` must have shape \(16,\), got \(1,\)"):
        model.apply(variables, INPUTS)


def test_parameters_of_nnx_must_fit():
    model = jaxrnn.nnx.RNN(jaxrnn.lstm(4), 5, rngs=nnx.Rngs(0))
    model.params.bias.set_value(jnp.zeros((), jnp.float32))
    with pytest.raises(ValueError, match=r"`params.bias` must have shape \(16,\), got \(\)"):
        model(INPUTS)
