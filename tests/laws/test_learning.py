"""Every cell learns a task over 50 steps: most of them to add two numbers that are far apart."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxrnn
from jaxrnn import initializers, losses, training

pytestmark = pytest.mark.thorough
T, H = 50, 32
CHRONO = initializers.chrono(T)


def adding(rng, num_steps, batch):
    """The adding problem (Hochreiter and Schmidhuber, 1997): two of T numbers are marked, one in
    each half, and their sum is asked for. Answering 1 has a squared error of 0.167."""
    numbers, marks = rng.random((num_steps, T, *batch), np.float32), 0
    for places in in_each_half(rng, num_steps, batch):
        marks += (np.arange(T).reshape(T, *(1,) * len(batch)) == places).astype(np.float32)
    xs, sums = np.stack([numbers, marks], axis=-1), np.sum(numbers * marks, axis=1)
    return xs, sums[..., None]


def order(rng, num_steps, batch):
    """Which of two symbols came first, where one comes in each half and the other steps are zeros:
    for cells whose state fades at a fixed rate. A guess has a cross entropy of 0.693."""
    places, is_first = in_each_half(rng, num_steps, batch), rng.random((num_steps, *batch)) < 0.5
    steps = np.arange(T).reshape(T, *(1,) * len(batch))
    is_at = [steps == place for place in places]
    xs = [np.where(is_first[:, None], is_at[i], is_at[1 - i]) for i in (0, 1)]
    xs = np.stack(xs, axis=-1).astype(np.float32)
    return xs, is_first[..., None]


def in_each_half(rng, num_steps, batch):
    return [rng.integers(low, low + T // 2, (num_steps, 1, *batch)) for low in (0, T // 2)]


class Row(NamedTuple):
    """What is trained, and the loss that it must reach."""

    bound: float
    cells: tuple[jaxrnn.Cell, ...]  # from below to above
    num_steps: int = 800
    rate: float = 0.01  # of Adam
    task: Callable = adding
    batch: tuple[int, ...] = (64,)


def learner(row):
    """Trains with a key on batches, and returns the loss of each before it is trained on."""
    model = jaxrnn.stack(*map(jaxrnn.rnn, row.cells), jaxrnn.pool_last, jaxrnn.dense(1))
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(row.rate))
    loss = losses.mean_squared_error if row.task is adding else losses.binary_cross_entropy

    def inputs(xs):
        is_timed = any(cell.reads_time for cell in row.cells)
        return jaxrnn.Timed(xs, jnp.ones(xs.shape[:2], xs.dtype)) if is_timed else xs

    def train_step(state, given):
        (params, opt_state), (xs, targets) = state, given

        def cost(params):
            return loss(model.apply(params, None, inputs(xs))[1], targets)

        value, grads = jax.value_and_grad(cost)(params)
        updates, opt_state = optimizer.update(grads, opt_state)
        return (optax.apply_updates(params, updates), opt_state), value

    @jax.jit
    def run(key, xs, targets):
        params = model.init(key, inputs(xs[0]))
        return jax.lax.scan(train_step, (params, optimizer.init(params)), (xs, targets))[1]

    return run


def final_loss(run, row, seed):
    """The mean over the last 50 batches."""
    batches = row.task(np.random.default_rng(seed), row.num_steps, row.batch)
    with jax.numpy_dtype_promotion("standard"):  # which optax needs
        return float(np.mean(run(jax.random.key(seed), *batches)[-50:]))


ROWS = {
    "antisymmetric": Row(0.04, (jaxrnn.antisymmetric(H, step_size=0.1),), 400, task=order),
    "atr": Row(0.01, (jaxrnn.atr(H),)),
    "brc": Row(0.006, (jaxrnn.brc(H),), 600),
    "cfc": Row(0.02, (jaxrnn.cfc(H, backbone_size=32),), 900, 0.003, task=order),
    "clockwork": Row(0.05, (jaxrnn.clockwork(H),), 600, task=order),
    "conv_gru": Row(0.015, (jaxrnn.conv_gru(8, (3,)),), 400, batch=(16, 4)),
    "conv_lstm": Row(0.012, (jaxrnn.conv_lstm(16, (1,)),), batch=(16, 4)),
    "cornn": Row(0.02, (jaxrnn.cornn(H, step_size=0.1),), 400, task=order),
    "coupled_lstm": Row(0.005, (jaxrnn.coupled_lstm(H),)),
    "ctrnn": Row(0.08, (jaxrnn.ctrnn(H),), 400, task=order),
    "elman": Row(0.05, (jaxrnn.elman(H),), 400, task=order),
    "fast_grnn": Row(0.01, (jaxrnn.fast_grnn(H),)),
    "fast_rnn": Row(0.05, (jaxrnn.fast_rnn(H),), 400, 0.003, task=order),
    "gated_antisymmetric": Row(0.01, (jaxrnn.gated_antisymmetric(H, step_size=0.3),)),
    "gru": Row(0.004, (jaxrnn.gru(H),), 600),
    "gru_d": Row(0.005, (jaxrnn.gru_d(H),), 600),
    "hgrn": Row(0.005, (jaxrnn.hgrn(H),) * 2, 1200),
    "indrnn": Row(0.08, (jaxrnn.indrnn(H),) * 2),
    "irnn": Row(0.05, (jaxrnn.irnn(H),), 400, 0.003, task=order),
    "janet": Row(0.005, (jaxrnn.janet(H),), 600),
    "layer_norm_gru": Row(0.005, (jaxrnn.layer_norm_gru(H),), 600),
    "layer_norm_lstm": Row(0.005, (jaxrnn.layer_norm_lstm(H),), 600),
    "lem": Row(0.005, (jaxrnn.lem(H),), 400),
    "li_gru": Row(0.005, (jaxrnn.li_gru(H),), 600),
    "delta_net": Row(0.02, (jaxrnn.min_gru(H), jaxrnn.delta_net(H, 2)), 400, task=order),
    "gated_linear_attention": Row(0.01, (jaxrnn.gated_linear_attention(H, 2),), 400, task=order),
    "lstm": Row(0.005, (jaxrnn.lstm(H, bias_init=CHRONO),), 600),
    "ltc": Row(0.02, (jaxrnn.ltc(8, num_substeps=2),), 400, task=order, batch=(16,)),
    "lru": Row(0.02, (jaxrnn.lru(H),), 400, task=order),
    "mamba": Row(0.01, (jaxrnn.min_gru(H), jaxrnn.mamba(8)), 400, task=order),
    "mgu": Row(0.004, (jaxrnn.mgu(H),), 600),
    "min_gru": Row(0.005, (jaxrnn.min_gru(H),) * 2),
    "min_lstm": Row(0.005, (jaxrnn.min_lstm(H),) * 2),
    "minimal_rnn": Row(0.001, (jaxrnn.minimal_rnn(H),), 400),
    "mlstm": Row(0.01, (jaxrnn.mlstm(H, 2),), 400, task=order),
    "multiplicative_lstm": Row(0.004, (jaxrnn.multiplicative_lstm(H),)),
    "nbrc": Row(0.004, (jaxrnn.nbrc(H),)),
    "peephole_lstm": Row(0.004, (jaxrnn.peephole_lstm(H),)),
    "projected_lstm": Row(0.004, (jaxrnn.projected_lstm(H, H // 2),)),
    "qrnn": Row(0.005, (jaxrnn.qrnn(H),) * 2),
    "ran": Row(0.01, (jaxrnn.ran(H),)),
    "retention": Row(0.02, (jaxrnn.min_gru(H), jaxrnn.retention(H, 2)), 400, task=order),
    "rg_lru": Row(0.02, (jaxrnn.min_gru(H), jaxrnn.rg_lru(H))),
    "rhn": Row(0.005, (jaxrnn.rhn(H),), 600),
    "s4d": Row(0.02, (jaxrnn.min_gru(8), jaxrnn.s4d(4)), 400, task=order),
    "s5": Row(0.02, (jaxrnn.s5(H),), 400, task=order),
    "scornn": Row(0.02, (jaxrnn.scornn(H),), 400, 0.003, task=order),
    "scrn": Row(0.03, (jaxrnn.scrn(H, H // 4),), 400, task=order),
    "slstm": Row(0.003, (jaxrnn.slstm(H),), 600),
    "sru": Row(0.005, (jaxrnn.sru(H),) * 2),
    "star": Row(0.005, (jaxrnn.star(H),), 600),
    "time_aware_lstm": Row(0.01, (jaxrnn.time_aware_lstm(H),), 1600),
    "ugrnn": Row(0.004, (jaxrnn.ugrnn(H),), 600),
    "unicornn": Row(0.06, (jaxrnn.unicornn(H),) * 2, 400, task=order),
    "wmc_lstm": Row(0.005, (jaxrnn.wmc_lstm(H),), 600),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_cell_learns(name):
    row = ROWS[name]
    assert final_loss(learner(row), row, seed=0) < row.bound


def test_a_reservoir_remembers_five_inputs():
    """The sum of the last 5 of many random numbers, by a linear readout."""
    xs = jnp.asarray(np.random.default_rng(0).random((1000, 1), np.float32)) - 0.5
    sums = jnp.convolve(xs[:, 0], jnp.ones(5, jnp.float32))[: len(xs), None]
    cell = jaxrnn.esn(H)
    _, states = jaxrnn.unroll(cell, cell.init(jax.random.key(0), xs[0]), None, xs)
    params = training.ridge_readout(states[50:800], sums[50:800])
    _, read = jaxrnn.dense(1).apply(params, None, states[800:])
    assert jnp.mean((read - sums[800:]) ** 2) < 0.05 * jnp.var(sums)


def test_every_cell_is_here():
    names = {n for n in jaxrnn.cells.__all__ if not isinstance(getattr(jaxrnn.cells, n), type)}
    assert names == ROWS.keys() | {"esn"}
