"""Flax modules over inputs with time gaps: the numbers of the unroll."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("flax")
from flax import nnx

import jaxrnn
import jaxrnn.linen
import jaxrnn.nnx
from tests.laws.tables import assert_close, generator

B, T, I = 3, 6, 4
LENGTHS = np.array([6, 4, 0])
CELL = jaxrnn.time_aware_lstm(5)
LAYER = jaxrnn.stack(jaxrnn.rnn(jaxrnn.gru(4)), jaxrnn.rnn(CELL))


def inputs():
    rng = generator(jax.random.key(0))
    x, dt = rng.standard_normal((B, T, I)), rng.exponential(size=(B, T))
    return jaxrnn.Timed(*(jnp.asarray(leaf, jnp.float32) for leaf in (x, dt)))


def by_unroll(params, layer, reverse=False):
    given = jaxrnn.Timed(*(jnp.moveaxis(leaf, 1, 0) for leaf in inputs()))
    mask = jaxrnn.length_mask(LENGTHS, T)
    if isinstance(layer, jaxrnn.Cell):
        layer = jaxrnn.rnn(layer, reverse=reverse)
    _, ys = layer.apply(params, None, given, mask=mask)
    return jnp.moveaxis(ys, 0, 1)


@pytest.mark.parametrize("model", [CELL, LAYER], ids=["cell", "layer"])
def test_nnx_takes_gaps(model):
    timed = {} if model is CELL else {"timed": True}
    module = jaxrnn.nnx.RNN(model, I, rngs=nnx.Rngs(0), **timed)
    params = jax.tree.map(
        lambda v: v[...], module.params, is_leaf=lambda v: isinstance(v, nnx.Variable)
    )
    assert_close(module(inputs(), seq_lengths=LENGTHS), by_unroll(params, model), 1e-6)


@pytest.mark.parametrize("reverse", [False, True])
def test_linen_takes_gaps_in_both_directions(reverse):
    module = jaxrnn.linen.RNN(CELL, reverse=reverse, keep_order=True)
    variables = module.init(jax.random.key(0), inputs())
    params = type(CELL.init(jax.random.key(0), jaxrnn.Timed(*(x[0, 0] for x in inputs()))))(
        **variables["params"]
    )
    found = module.apply(variables, inputs(), seq_lengths=LENGTHS)
    assert_close(found, by_unroll(params, CELL, reverse), 1e-6)


def test_gaps_that_do_not_fit_are_named():
    module = jaxrnn.linen.RNN(CELL)
    with pytest.raises(ValueError, match=r"`dt` must have one gap .*\(3, 6\).*`time_major`"):
        module.init(jax.random.key(0), inputs()._replace(dt=jnp.ones((T, B))))
    with pytest.raises(TypeError, match=r"must be `jaxrnn.Timed\(x, dt\)`"):
        module.init(jax.random.key(0), inputs().x)
