"""Embedding: a symbol outside of the table never becomes one of its rows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn._core.ranges import known
from jaxrnn.layers import EmbedParams
from tests.marks import later

V = 10
LAYER = jaxrnn.embed(V, 2)
TABLE = jnp.arange(2.0 * V).reshape(V, 2)
INTEGERS = [jnp.int4, jnp.uint4, jnp.int8, jnp.uint8, jnp.int32, jnp.uint32, jnp.int64, jnp.uint64]


def embed(symbols, mask=None, table=TABLE):
    return LAYER.apply(EmbedParams(table), None, symbols, mask=mask)[1]


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("array", [later(np.asarray), jnp.asarray])
@pytest.mark.parametrize("rows", [later(V), V + 300])
def test_symbols_of_every_dtype(dtype, array, rows):
    """Also where the table has rows beyond V, and more of them than the dtype has numbers."""
    limits = jnp.iinfo(dtype)
    table = jnp.arange(2.0 * rows).reshape(rows, 2)
    inside = np.array([0, 1, min(V - 1, int(limits.max))])
    for run in (embed, jax.jit(embed)):
        np.testing.assert_array_equal(run(array(inside.astype(dtype)), None, table), table[inside])
    outside = {int(limits.max), int(limits.min), V, 2**32 + 3, -1} - set(range(V))
    for symbol in outside:
        if not limits.min <= symbol <= limits.max:
            continue
        symbols = array(np.array([3, symbol], dtype))
        ys = jax.jit(embed)(symbols, None, table)
        np.testing.assert_array_equal(np.isnan(ys).all(axis=-1), [False, True])
        with pytest.raises(ValueError, match=f"`xs` must be from 0 to 9, got values.* {symbol}"):
            embed(symbols, None, table)
        with pytest.raises(ValueError, match="`xs` must be from 0 to 9"):
            jax.jit(lambda table, symbols=symbols: embed(symbols, None, table))(table)
        for run in (embed, jax.jit(embed)):
            ys = run(symbols, np.array([True, False]), table)
            np.testing.assert_array_equal(ys, [table[3], [0, 0]])


@pytest.mark.parametrize("symbol", [2**32 + 3, -(2**32), -1, V])
def test_wide_symbols_without_x64(symbol):
    """JAX would wrap them to int32; NumPy has them as they are."""
    with jax.enable_x64(False):
        symbols = np.array([3, symbol])
        table = TABLE.astype(jnp.float32)
        with pytest.raises(ValueError, match=f"`xs` must be from 0 to 9.* {symbol}"):
            embed(symbols, None, table)
        ys = jax.jit(lambda mask: embed(symbols, mask, table))
        np.testing.assert_array_equal(ys(np.array([True, False])), [table[3], [0, 0]])
        assert np.isnan(ys(np.array([True, True]))[1]).all()


def test_symbols_out_of_range_have_no_gradient():
    gradient = jax.jit(jax.grad(lambda table, symbols: jnp.nansum(embed(symbols, None, table))))
    want = np.zeros_like(TABLE)
    want[3] = 1
    np.testing.assert_array_equal(gradient(TABLE, jnp.array([3, -1, V])), want)


class OnAccelerator:
    platform = "gpu"


def test_what_is_known_is_read_without_waiting(monkeypatch):
    """Neither what is traced nor what is on an accelerator."""
    here = jnp.arange(3)
    np.testing.assert_array_equal(known(here), [0, 1, 2])
    np.testing.assert_array_equal(known(np.arange(3)), [0, 1, 2])
    assert known([0, 1]) is None
    assert known(None) is None
    jax.jit(lambda x: [] if known(x) is None else 1 / 0)(here)
    jax.vmap(lambda x: x if known(x) is None else 1 / 0)(here)
    monkeypatch.setattr(type(here), "devices", lambda self: {OnAccelerator()})
    assert known(here) is None
    assert np.isnan(embed(jnp.array([3, -1]))[1]).all()
    with pytest.raises(ValueError, match="`xs` must be from 0 to 9"):
        embed(np.array([3, -1]))


@pytest.mark.parametrize("xs", [jnp.zeros(3), (jnp.zeros(3, int),) * 2, jnp.zeros(3, bool)])
def test_symbols_are_one_array_of_integers(xs):
    with pytest.raises(TypeError, match="`xs` must be"):
        embed(xs)


def test_no_rank_is_promoted():
    """Programs may have JAX refuse it: `jax_numpy_rank_promotion`."""
    symbols = jnp.zeros((3, 2), int)
    with jax.numpy_rank_promotion("raise"):
        for mask in (None, jnp.ones((3, 2), bool), jnp.ones(3, bool)):
            assert embed(symbols, mask).shape == (3, 2, 2)
