"""Random draws depend on the key alone, and rates may be traced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import B, H, I, T, assert_close

BY_RATE = {
    "dropout": jaxrnn.dropout,
    "variational_dropout": jaxrnn.variational_dropout,
    "noisy_carry": lambda rate: jaxrnn.noisy_carry(jaxrnn.rnn(jaxrnn.lstm(H)), rate),
    "zoneout": lambda rate: jaxrnn.rnn(jaxrnn.zoneout(jaxrnn.lstm(H), rate)),
    "zoneout of h": lambda rate: jaxrnn.rnn(
        jaxrnn.zoneout(jaxrnn.lstm(H), jaxrnn.LSTMCarry(h=rate, c=0.1))
    ),
    "candidate_dropout": lambda rate: jaxrnn.rnn(jaxrnn.candidate_dropout(jaxrnn.gru(H), rate)),
    "state_dropout": lambda rate: jaxrnn.rnn(jaxrnn.state_dropout(jaxrnn.gru(H), rate)),
    "drop_connect": lambda rate: jaxrnn.rnn(jaxrnn.drop_connect(jaxrnn.elman(H), rate)),
}
RATES = np.array([0.0, 0.6], np.float32)


def run(build, rate, key, dtype=jnp.float32):
    layer = build(rate)
    xs = jnp.cos(jnp.arange(T * B * I, dtype=dtype)).reshape(T, B, I)
    params = layer.init(jax.random.key(0), xs)
    return layer.apply(params, None, xs, key=key)[1]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "key"),
    [*((name, jax.random.key(3)) for name in BY_RATE), ("dropout", None), ("drop_connect", None)],
)
def test_a_rate_may_be_traced(name, key):
    """A sweep over rates by `jax.vmap` equals the runs one by one, and so does evaluation."""
    swept = jax.jit(jax.vmap(lambda rate: run(BY_RATE[name], rate, key)))(RATES)
    known = jax.jit(lambda: [run(BY_RATE[name], float(rate), key) for rate in RATES])
    alone = jnp.stack(known())
    assert_close(swept, alone, 1e-5)


@pytest.mark.parametrize("name", BY_RATE)
def test_a_traced_rate_keeps_the_dtype(name):
    def swept(rate):
        return run(BY_RATE[name], rate, jax.random.key(3), jnp.bfloat16)

    ys = jax.eval_shape(swept, 0.3)
    assert ys.dtype == jnp.bfloat16


@pytest.mark.thorough
@pytest.mark.parametrize("name", BY_RATE)
def test_draws_do_not_depend_on_x64(name):
    draws = []
    for is_wide in (False, True):
        with jax.enable_x64(is_wide):
            draws.append(np.asarray(run(BY_RATE[name], 0.4, jax.random.key(3))))
    np.testing.assert_allclose(*draws, atol=1e-5)
