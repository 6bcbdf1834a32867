"""Flax nnx: an `nnx.RNN` of an OptimizedLSTMCell, a GRUCell or a SimpleCell."""

import jax
import jax.numpy as jnp
from flax import nnx

import jaxrnn
from benchmarks.programs import Model
from benchmarks.workloads import Workload
from jaxrnn.convert import to_nnx

_CELLS = {
    "lstm": (nnx.OptimizedLSTMCell, jaxrnn.lstm),
    "gru": (nnx.GRUCell, jaxrnn.gru),
    "elman": (nnx.SimpleCell, jaxrnn.elman),
}


def model(workload: Workload) -> Model:
    theirs, ours = _CELLS[workload.cell]
    dtype, xs = jnp.dtype(workload.dtype), workload.xs()
    options = {"dtype": dtype, "param_dtype": dtype, "rngs": nnx.Rngs(0)}
    # The weights are replaced; nnx cannot draw orthogonal ones in bfloat16.
    options["recurrent_kernel_init"] = jax.nn.initializers.zeros
    module = nnx.RNN(theirs(workload.inputs, workload.hidden, **options), time_major=True)
    carry = module.cell.initialize_carry(xs.shape[1:], nnx.Rngs(0))
    graph, state, rest = nnx.split(module, nnx.Param, ...)

    # The parameters are a plain dict, because a jitted call unpacks it faster than an nnx state.
    def merged(params):
        fresh, others = jax.tree.map(lambda leaf: leaf, (state, rest))  # variables of this trace
        nnx.replace_by_pure_dict(fresh, params)
        return nnx.merge(graph, fresh, others)

    def apply(params, xs):
        return merged(params)(xs)

    def step(params, carry, x):
        return merged(params).cell(carry, x)

    return Model(to_nnx(workload.params(ours(workload.hidden))), xs, apply, carry, step)
