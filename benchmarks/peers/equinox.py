"""Equinox: a `jax.lax.scan` over an LSTMCell or a GRUCell, mapped over the batch."""

import jax
import jax.numpy as jnp

import jaxrnn
from benchmarks.programs import Model
from benchmarks.workloads import Workload
from jaxrnn.convert import to_equinox

_CELLS = {"lstm": jaxrnn.lstm, "gru": jaxrnn.gru}


def model(workload: Workload) -> Model:
    if workload.cell not in _CELLS:
        raise ValueError(f"equinox has no {workload.cell} cell")
    xs = workload.xs()
    cell = to_equinox(workload.params(_CELLS[workload.cell](workload.hidden)))
    # The parameters are a list, because a jitted call unpacks a list faster than a module.
    params, structure = jax.tree.flatten(cell)
    zeros = jnp.zeros((workload.batch, workload.hidden), xs.dtype)
    carry = (zeros, zeros) if workload.cell == "lstm" else zeros

    def step(params, carry, x):
        carry = jax.vmap(structure.unflatten(params))(x, carry)
        return carry, jax.tree.leaves(carry)[0]

    def apply(params, xs):
        return jax.lax.scan(lambda carry, x: step(params, carry, x), carry, xs)[1]

    return Model(params, xs, apply, carry, step)
