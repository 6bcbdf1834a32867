"""Flax linen: an `nn.RNN` of an OptimizedLSTMCell, a GRUCell or a SimpleCell, or one cell."""

import jax
import jax.numpy as jnp
from flax import linen as nn

import jaxrnn
from benchmarks.programs import Model
from benchmarks.workloads import Workload
from jaxrnn.convert import to_linen

_CELLS = {
    "lstm": (nn.OptimizedLSTMCell, jaxrnn.lstm),
    "gru": (nn.GRUCell, jaxrnn.gru),
    "elman": (nn.SimpleCell, jaxrnn.elman),
}


def model(workload: Workload) -> Model:
    theirs, ours = _CELLS[workload.cell]
    dtype, xs = jnp.dtype(workload.dtype), workload.xs()
    options = {"dtype": dtype, "param_dtype": dtype}
    cell = theirs(workload.hidden, **options)
    # The optimized cell concatenates its kernels in each call: once per sequence, but in a stream
    # once per step.
    one = nn.LSTMCell(workload.hidden, **options) if workload.cell == "lstm" else cell
    params = to_linen(workload.params(ours(workload.hidden)))
    carry = cell.initialize_carry(jax.random.key(0), xs.shape[1:])

    def step(params, carry, x):
        return one.apply({"params": params["params"]["cell"]}, carry, x)

    return Model(params, xs, nn.RNN(cell, time_major=True).apply, carry, step)
