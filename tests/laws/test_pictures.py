"""Cells whose inputs are pictures: which axes are of the batch, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import assert_close, assert_same, total

T, B, S, C, F = 4, 3, (5, 2), 2, 4
KEY = jax.random.key(0)
XS = jax.random.normal(jax.random.key(1), (T, B, *S, C))
CELL = jaxrnn.conv_lstm(F, (3, 2))
PARAMS = CELL.init(KEY, XS[0])
PIXELS = jnp.ones((T, B, *S), bool)
STEPS = jnp.ones((T, B), bool)


def test_the_parameters_suit_every_size_of_picture():
    larger = jax.ShapeDtypeStruct((T, *(2 * size for size in S), C), XS.dtype)
    _, ys = jax.eval_shape(lambda xs: jaxrnn.unroll(CELL, PARAMS, None, xs), larger)
    assert ys.shape == (*larger.shape[:-1], F)


def test_a_state_reads_its_neighbors_alone():
    """The output of a pixel depends on those within the window, and padding is zeros."""
    kernel = jnp.zeros_like(PARAMS.kernel).at[0, 0].set(1.0)
    project = CELL.project(PARAMS._replace(kernel=kernel, bias=None), XS[0])
    above = np.pad(np.asarray(XS[0]).sum(-1), [(0, 0), (1, 0), (0, 0)])[:, :-1]
    np.testing.assert_allclose(project[..., 0], above, atol=1e-12)


@pytest.mark.parametrize("reset_after", [True, pytest.param(False, marks=pytest.mark.thorough)])
def test_engines_have_the_same_gradient(reset_after):
    cell, xs = jaxrnn.conv_gru(F, (3,), reset_after=reset_after), XS[:, :, 0]
    params = cell.init(KEY, xs[0])

    def loss(arguments, implementation):
        return total(jaxrnn.unroll(cell, *arguments, implementation=implementation))

    gradient = jax.jit(jax.grad(loss), static_argnums=1)
    assert_close(gradient((params, None, xs), "xla"), gradient((params, None, xs), "scan"), 1e-12)


def test_steps_are_counted_for_each_picture():
    layer = jaxrnn.rnn(jaxrnn.zoneout(CELL, 0.3))
    mask = jaxrnn.length_mask(jnp.array([4, 0, 2]), T)
    carry, _ = layer.apply(PARAMS, None, XS, mask=mask, key=KEY)
    np.testing.assert_array_equal(carry.position, [4, 0, 2])


def test_resets_of_leaves_are_for_each_picture():
    cell = jaxrnn.reset_leaves(CELL)
    carry = jax.tree.map(jnp.ones_like, CELL.init_carry(PARAMS, XS[0]))
    resets = jaxrnn.LSTMCarry(jnp.array([True, False, False]), jnp.array([False, False, True]))
    new, _ = jaxrnn.step(cell, PARAMS, carry, jaxrnn.WithResets(XS[0], resets))
    start = carry._replace(h=carry.h.at[0].set(0), c=carry.c.at[2].set(0))
    assert_close(new, jaxrnn.step(CELL, PARAMS, start, XS[0])[0], 1e-13)
    with pytest.raises(ValueError, match=r"batch axes of `x`, \(3,\), got bool\(3, 5, 2\)"):
        jaxrnn.step(cell, PARAMS, carry, jaxrnn.WithResets(XS[0], jaxrnn.LSTMCarry(*PIXELS[:2])))


def test_noise_of_each_picture():
    cell, noise = jaxrnn.zoneout(CELL, 0.3), [jnp.ones((*S, F), bool)] * 2
    with pytest.raises(ValueError, match=r"`noise` must begin with the leading axes \(3,\)"):
        jaxrnn.step(cell, PARAMS, None, jaxrnn.Noisy(XS[0], (noise, None)))


def test_integers_are_pictures_without_channels():
    layer = jaxrnn.stack(jaxrnn.embed(9, C), jaxrnn.rnn(CELL))
    symbols = jnp.zeros((T, B, *S), jnp.int32)
    _, ys = jax.eval_shape(lambda: layer.apply(layer.init(KEY, symbols), None, symbols))
    assert ys.shape == (T, B, *S, F)


def test_a_cell_of_whole_steps_may_read_pictures():
    def step(params, carry, x):
        return carry + x, carry

    cell = jaxrnn.from_step(lambda key, x: (), lambda params, x: jnp.zeros_like(x), step)
    cell = cell._replace(num_feature_axes=3)
    carry, _ = jaxrnn.unroll(cell, (), None, XS, mask=STEPS)
    assert_same(carry, XS[0] + XS[1] + XS[2] + XS[3])
    with pytest.raises(ValueError, match="`mask` must be"):
        jaxrnn.unroll(cell, (), None, XS, mask=PIXELS)


REFUSED = {
    "mask of pixels": (
        lambda: jaxrnn.unroll(CELL, PARAMS, None, XS, mask=PIXELS),
        ValueError,
        r"`mask` must be \(T, ...\), one value for each step.*the batch axes are \(3,\)",
    ),
    "resets of pixels": (
        lambda: jaxrnn.rnn(CELL).apply(PARAMS, None, XS, resets=PIXELS),
        ValueError,
        r"`resets` must be \(T, ...\), one value for each step",
    ),
    "a vector": (
        lambda: jaxrnn.step(CELL, PARAMS, None, XS[0, 0, 0]),
        ValueError,
        r"`x` must have 2 spatial axes before its channels.*got float64\(2, 2\)",
    ),
    "other channels": (
        lambda: jaxrnn.step(CELL, PARAMS, None, XS[0, ..., :1]),
        ValueError,
        "`x` must have 2 features in its last axis",
    ),
    "a carry of another size": (
        lambda: jaxrnn.step(CELL, PARAMS, CELL.init_carry(PARAMS, XS[0, :, 1:]), XS[0]),
        ValueError,
        r"`carry.h` must have shape \(3, 5, 2, 4\), got \(3, 4, 2, 4\)",
    ),
    "attention": (
        lambda: jaxrnn.attention(CELL, 3),
        ValueError,
        r"`attention` needs a cell for inputs .*an input of conv_lstm.* has 3 axes",
    ),
    "weight_norm": (
        lambda: jaxrnn.weight_norm(CELL).init(KEY, XS[0]),
        ValueError,
        "`weight_norm` needs a cell with weight matrices",
    ),
    "an integer for kernel_size": (
        lambda: jaxrnn.conv_gru(F, 3),
        TypeError,
        "`kernel_size` must be a tuple of 1 to 3 integers.*got 3",
    ),
    "four dimensions": (
        lambda: jaxrnn.conv_gru(F, (3, 3, 3, 3)),
        TypeError,
        "`kernel_size` must be a tuple of 1 to 3 integers",
    ),
    "an empty window": (
        lambda: jaxrnn.conv_lstm(F, (3, 0)),
        ValueError,
        "`kernel_size` must be a positive integer, got 0",
    ),
    "dilation of other axes": (
        lambda: jaxrnn.conv_lstm(F, (3, 3), dilation=(2,)),
        TypeError,
        r"`dilation` must be a positive integer, or a tuple with one for each of the 2 axes",
    ),
    "dilation of 0": (
        lambda: jaxrnn.conv_lstm(F, (3, 3), dilation=0),
        ValueError,
        "`dilation` must be a positive integer, got 0",
    ),
    "features": (lambda: jaxrnn.conv_gru(0, (3,)), ValueError, "`features` must be a positive"),
    "no feature axes": (
        lambda: jaxrnn.rnn(CELL._replace(num_feature_axes=0)),
        ValueError,
        "`num_feature_axes` must be a positive integer, got 0",
    ),
    "native": (
        lambda: jaxrnn.unroll(CELL, PARAMS, None, XS, implementation="native"),
        ValueError,
        "'native'` cannot run this cell",
    ),
}


@pytest.mark.parametrize(("call", "error", "message"), REFUSED.values(), ids=REFUSED)
def test_it_is_told_by_name(call, error, message):
    with pytest.raises(error, match=message):
        call()
