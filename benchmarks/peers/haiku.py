"""haiku: `dynamic_unroll` of an LSTM, a GRU or a VanillaRNN.

Its GRU applies the reset gate before the recurrent product, and its VanillaRNN uses relu, not tanh.
"""

import functools

import haiku as hk
import jax

import jaxrnn
from benchmarks.programs import Model
from benchmarks.workloads import Workload
from jaxrnn.convert import to_haiku

_CORES = {
    "lstm": (hk.LSTM, jaxrnn.lstm),
    "gru": (hk.GRU, functools.partial(jaxrnn.gru, reset_after=False)),
    "elman": (hk.VanillaRNN, functools.partial(jaxrnn.elman, activation=jax.nn.relu)),
}


def model(workload: Workload) -> Model:
    theirs, ours = _CORES[workload.cell]
    xs = workload.xs()

    def initial():
        state = theirs(workload.hidden).initial_state(workload.batch)
        return jax.tree.map(lambda leaf: leaf.astype(xs.dtype), state)

    def apply(xs):
        return hk.dynamic_unroll(theirs(workload.hidden), xs, initial())[0]

    def step(carry, x):
        y, carry = theirs(workload.hidden)(x, carry)
        return carry, y

    def pure(function):
        return hk.without_apply_rng(hk.transform(function)).apply

    params = to_haiku(workload.params(ours(workload.hidden)))
    return Model(params, xs, pure(apply), pure(initial)({}), pure(step))
