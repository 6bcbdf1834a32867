"""Bad input is named, before anything is computed."""

import jax
import jax.numpy as jnp
import pytest

import jaxrnn
from jaxrnn import online
from tests.laws.tables import CELLS, B, H, I

METHODS = [online.rtrl, online.snap1, online.uoro, online.eprop]
CELL = jaxrnn.elman(H)
X = jnp.zeros((B, I))
PARAMS = CELL.init(jax.random.key(0), X)


@pytest.mark.parametrize("method", METHODS)
def test_cells(method):
    with pytest.raises(TypeError, match="`cell` must be a Cell, got the Layer"):
        method(jaxrnn.rnn(CELL))
    with pytest.raises(ValueError, match=f"`{method.__name__}` needs.*made by `from_step`"):
        method(CELLS["whole"].cell)
    clipped = jaxrnn.clip_carry_gradient(CELL, 1.0)
    with pytest.raises(ValueError, match=f"`{method.__name__}` .*`clip_carry_gradient` has"):
        method(clipped).init(PARAMS, X, key=jax.random.key(0))


def complex_cell():
    def init_carry(params, x):
        return jnp.zeros((*x.shape[:-1], H), jnp.complex128)

    def update(params, carry, u, v):
        return carry + jax.lax.complex(u, u)

    return CELL._replace(
        init_carry=init_carry,
        recur=jaxrnn.authoring.nothing,
        update=update,
        output=jaxrnn.Cell._field_defaults["output"],
    )


def counting_cell():
    return CELL._replace(
        init_carry=lambda params, x: jnp.zeros(x.shape[:-1], jnp.int32),
        recur=jaxrnn.authoring.nothing,
        update=lambda params, carry, u, v: carry + 1,
    )


def test_init():
    learner = online.rtrl(CELL)
    with pytest.raises(TypeError, match="`params` must be"):
        learner.init(jaxrnn.lstm(H).init(jax.random.key(0), X), X)
    with pytest.raises(ValueError, match=f"`x` must have {I} features"):
        learner.init(PARAMS, jnp.zeros((B, I + 1)))
    with pytest.raises(ValueError, match=r"`carry.h` must have shape \(3, 4\), got \(4,\)"):
        learner.init(PARAMS, X, jaxrnn.HiddenCarry(jnp.zeros(H)))
    with pytest.raises(ValueError, match="`key` is None"):
        online.uoro(CELL).init(PARAMS, X)
    with pytest.raises(ValueError, match="holds no floating array"):
        online.rtrl(counting_cell()).init(PARAMS, X)
    with pytest.raises(TypeError, match=r"`rtrl` is for real numbers.*complex128"):
        online.rtrl(complex_cell()).init(PARAMS, X)


def test_step():
    learner = online.rtrl(CELL)
    state = learner.init(PARAMS, X)
    with pytest.raises(TypeError, match=r"`state` must be an OnlineState.*got HiddenCarry"):
        learner.step(PARAMS, state.carry, X)
    with pytest.raises(TypeError, match="`mask` must be a bool array"):
        learner.step(PARAMS, state, X, mask=jnp.ones(B))
    with pytest.raises(ValueError, match=r"`resets` must be \(3,\).*no time axis"):
        learner.step(PARAMS, state, X, resets=jnp.ones((7, B), bool))
    with pytest.raises(ValueError, match=r"`carry.h` must have shape \(7, 3, 4\)"):
        learner.step(PARAMS, state, jnp.zeros((7, B, I)))


def test_accumulate():
    with pytest.raises(ValueError, match="`batch` is time-first"):
        online.accumulate(None, PARAMS, None, (jnp.zeros(3), jnp.zeros(4)))
