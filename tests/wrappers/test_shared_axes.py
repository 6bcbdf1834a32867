"""Draws that are shared over axes: one for each channel of a picture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import assert_close, assert_same

T, B, S, C, F = 6, 3, 4, 2, 5
KEY = jax.random.key(0)
XS = jax.random.normal(jax.random.key(1), (T, B, S, C))
CELL = jaxrnn.conv_lstm(F, (3,))
RATE = 0.5


def is_shared(flags):
    """Whether flags (..., S, F) are equal over the pixels, and otherwise are not."""
    flags = np.asarray(flags)
    others = np.moveaxis(flags, -2, 0)[0]
    varies = all((others != np.roll(others, 1, axis)).any() for axis in range(others.ndim))
    return (flags == flags[..., :1, :]).all() and varies


def apply(layer, xs=XS, carry=None, mask=None):
    params = layer.init(jax.random.key(2), xs)
    return jax.jit(layer.apply)(params, carry, xs, mask=mask, key=KEY)


@pytest.mark.parametrize("build", [jaxrnn.dropout, jaxrnn.variational_dropout])
def test_dropout_of_channels(build):
    xs, is_once = np.ones((40, 30, S, C)), build is jaxrnn.variational_dropout
    ys = np.asarray(apply(build(RATE, shared_axes=(-2,)), xs)[1])
    assert abs((ys > 0).mean() - RATE) < 4 * np.sqrt(RATE * (1 - RATE) / (30 * C))
    assert is_shared(ys[0] > 0)
    assert (ys == ys[:, :, :1]).all()
    assert (ys == ys[:1]).all() == is_once
    _, all_pixels = apply(build(RATE), xs)
    assert not is_shared(all_pixels[0] > 0)


@pytest.mark.parametrize("axes", [(-2, -1), pytest.param((-1,), marks=pytest.mark.thorough)])
def test_dropout_of_pictures_and_of_pixels(axes):
    """All channels of a picture at once, or all channels of one pixel."""
    ys = np.asarray(apply(jaxrnn.dropout(RATE, shared_axes=axes), np.ones((20, B, S, C)))[1])
    assert (ys == ys[..., :1]).all()
    assert (ys == ys[:, :, :1]).all() == (axes == (-2, -1))
    assert 0.2 < (ys > 0).mean() < 0.8


def test_dropout_in_chunks_and_in_padding():
    layer = jaxrnn.dropout(RATE, shared_axes=(-2,))
    mask = np.arange(T)[:, None] < np.array([6, 0, 4])
    carry, whole = apply(layer, mask=mask)
    assert carry.position.shape == (B, 1)
    carry, first = apply(layer, XS[:3], layer.init_carry((), XS), mask[:3])
    _, second = apply(layer, XS[3:], carry, mask[3:])
    assert_same(np.concatenate([first, second]), np.asarray(whole))
    _, alone = apply(layer, XS[:3])
    np.testing.assert_array_equal(whole[:3, 2], alone[:, 2])


def test_zoneout_of_channels():
    layer = jaxrnn.rnn(jaxrnn.zoneout(CELL, RATE, shared_axes=(-2,)))
    params = layer.init(KEY, XS)
    start = jax.tree.map(lambda leaf: leaf + 0.1, layer.init_carry(params, XS))
    run = jax.jit(layer.apply)
    carry, _ = run(params, start, XS[:1], key=KEY)
    assert carry.position.shape == (B,)
    assert is_shared(carry.carry.h == start.h)
    assert is_shared(carry.carry.c == start.c)
    assert ((carry.carry.h == start.h) != (carry.carry.c == start.c)).any()
    again, _ = run(params, start, XS[:1], key=KEY)
    assert_same(again, carry)


def test_state_dropout_of_channels():
    layer = jaxrnn.rnn(jaxrnn.state_dropout(CELL, RATE, shared_axes=(-2,)))
    carry, _ = apply(layer)
    assert is_shared(carry.carry.dropped.h == 0)
    assert_close(carry.carry.dropped.h.max(), carry.carry.carry.h.max() / (1 - RATE), 1)


def test_candidate_dropout_of_channels():
    cell = jaxrnn.candidate_dropout(CELL, RATE, shared_axes=(-2,))
    params, x = cell.init(KEY, XS[0]), jax.ShapeDtypeStruct((S, C), XS.dtype)
    draws = jax.vmap(lambda step: cell.noise(params, KEY, step, x)[0])(jnp.arange(50))
    assert draws.shape == (50, 1, F)
    c = jaxrnn.LSTMCarry(jnp.ones((S, F)), jnp.zeros((S, F)))
    noisy = jaxrnn.Noisy(XS[0, 0], (draws[0], None))
    new, _ = jaxrnn.step(cell, params, c, noisy)
    np.testing.assert_array_equal(new.c == 0, np.broadcast_to(~draws[0], (S, F)))


def test_a_learned_carry_of_channels_suits_every_size():
    cell = jaxrnn.learned_carry(CELL, shared_axes=(-2,))
    params = cell.init(KEY, XS[0])
    assert params.carry.h.shape == (1, F)
    assert jaxrnn.learned_carry(CELL).init(KEY, XS[0]).carry.h.shape == (S, F)
    start = jnp.arange(F, dtype=XS.dtype)
    moved = params._replace(carry=params.carry._replace(h=start[None]))
    larger = jnp.zeros((B, 2 * S, C))
    carry = cell.init_carry(moved, larger)
    np.testing.assert_array_equal(carry.h, np.broadcast_to(start, (B, 2 * S, F)))
    carry, _ = jaxrnn.step(cell, moved, None, larger)
    assert carry.h.shape == (B, 2 * S, F)


BAD = {
    "no tuple": (-2, TypeError, "must be a tuple of integers, such as"),
    "a bool": ((True,), TypeError, "must be a tuple of integers"),
    "from the front": ((1,), ValueError, "must be different negative integers"),
    "twice": ((-2, -2), ValueError, "must be different negative integers"),
}
BUILDERS = {
    "dropout": lambda axes: jaxrnn.dropout(0.1, shared_axes=axes),
    "variational_dropout": lambda axes: jaxrnn.variational_dropout(0.1, shared_axes=axes),
    "zoneout": lambda axes: jaxrnn.rnn(jaxrnn.zoneout(CELL, 0.1, shared_axes=axes)),
    "candidate_dropout": lambda axes: jaxrnn.rnn(
        jaxrnn.candidate_dropout(CELL, 0.1, shared_axes=axes)
    ),
    "state_dropout": lambda axes: jaxrnn.rnn(jaxrnn.state_dropout(CELL, 0.1, shared_axes=axes)),
    "learned_carry": lambda axes: jaxrnn.rnn(jaxrnn.learned_carry(CELL, shared_axes=axes)),
}


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
def test_wrong_axes_are_told_by_name(build):
    for axes, error, message in BAD.values():
        with pytest.raises(error, match=f"`shared_axes` {message}"):
            build(axes)
    with pytest.raises(ValueError, match=r"`shared_axes` must be axes of the array .*got \(-4,\)"):
        apply(build((-4,)))
