"""Attention maps are the weights with which the memory was read."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import diagnostics
from tests.laws.tables import H, I, assert_close
from tests.marks import later

T, B, S, D = 6, 2, 5, H
XS = jax.random.normal(jax.random.key(0), (T, B, I), jnp.float64)
MEMORY = jax.random.normal(jax.random.key(1), (B, S, D), jnp.float64)
CONTEXT = {"memory": MEMORY, "memory_mask": jnp.ones((B, S), bool).at[1, 3:].set(False)}
OPTIONS = [
    {"score": "dot"},
    {"score": "additive", "feed_back": True},
    later({"score": "general", "feed_back": True}),
    later({"score": "additive"}),
    later({"score": "location", "feed_back": True, "num_entries": S}),
]


@pytest.mark.parametrize(
    "options", OPTIONS, ids=lambda options: "-".join(map(str, options.values()))
)
def test_the_weights_make_what_was_read(options):
    cell = jaxrnn.attention(jaxrnn.lstm(H), D, **options)
    params = cell.init(jax.random.key(2), XS[0])
    weights = diagnostics.attention_weights(jaxrnn.rnn(cell), params, XS, CONTEXT)
    _, ys = jaxrnn.unroll(cell, params, None, XS, context=CONTEXT)
    assert weights.shape == (T, B, S)
    assert_close(jnp.einsum("tbs,bsd->tbd", weights, MEMORY), ys[..., H:], 1e-12)
    assert_close(weights.sum(axis=-1), jnp.ones((T, B)), 1e-12)
    assert (weights[:, 1, 3:] == 0).all()


def test_scores_by_hand():
    """The softmax of the products of states and entries."""
    cell = jaxrnn.attention(jaxrnn.gru(H), D, score="dot")
    params = cell.init(jax.random.key(2), XS[0])
    mask = jaxrnn.length_mask(jnp.array([T, 2]), T)
    weights = diagnostics.attention_weights(cell, params, XS, {"memory": MEMORY}, mask=mask)
    _, hs = jaxrnn.unroll(jaxrnn.gru(H), params.cell, None, XS)
    expected = jax.nn.softmax(jnp.einsum("tbh,bsh->tbs", hs, MEMORY), axis=-1)
    assert_close(weights[:, 0], expected[:, 0], 1e-12)
    np.testing.assert_array_equal(weights[2:, 1], 0)


def test_models_without_attention():
    cell = jaxrnn.gru(H)
    with pytest.raises(TypeError, match="`model` must be a cell from"):
        diagnostics.attention_weights(cell, cell.init(jax.random.key(0), XS[0]), XS, CONTEXT)
