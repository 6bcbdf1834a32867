"""Keras on JAX: `stateless_call` of an LSTM, a GRU or a SimpleRNN, batch-major as Keras is."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax.numpy as jnp
import keras

import jaxrnn
from benchmarks.programs import Model
from benchmarks.workloads import Workload
from jaxrnn.convert import to_keras

_LAYERS = {
    "lstm": (keras.layers.LSTM, jaxrnn.lstm),
    "gru": (keras.layers.GRU, jaxrnn.gru),
    "elman": (keras.layers.SimpleRNN, jaxrnn.elman),
}


def model(workload: Workload) -> Model:
    if keras.backend.backend() != "jax":
        raise ValueError(f"keras runs on {keras.backend.backend()}: set KERAS_BACKEND=jax")
    theirs, ours = _LAYERS[workload.cell]
    xs = workload.xs().swapaxes(0, 1)
    options = {"return_sequences": True, "dtype": workload.dtype}
    layer = theirs(workload.hidden, recurrent_initializer="zeros", **options)
    layer.build(xs.shape)
    carry = layer.cell.get_initial_state(workload.batch)

    def apply(params, xs):
        return layer.stateless_call(params, _others(layer), xs)[0]

    def step(params, carry, x):
        (y, carry), _ = layer.cell.stateless_call(params, _others(layer.cell), x, carry)
        return carry, y

    params = [jnp.asarray(weights) for weights in to_keras(workload.params(ours(workload.hidden)))]
    return Model(params, xs, apply, carry, step)


def _others(layer):
    """Variables that are not weights: the state of a random stream, which is not used."""
    return [variable.value for variable in layer.non_trainable_variables]
