"""Rows of several windows: sequences longer than a training step sees are trained in order."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import data
from tests.laws.tables import H, I, assert_close, assert_same

LENGTHS = (11, 3, 0, 7, 2, 9)
LAYER = jaxrnn.rnn(jaxrnn.gru(H))


def ragged(lengths=LENGTHS):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(n, I)) for n in lengths]


@pytest.mark.parametrize("num_rows", [1, 2, 3, 8])
@pytest.mark.parametrize("window", [1, 4, np.uint8(200)])
def test_unpack_is_the_inverse(window, num_rows):
    sequences = ragged()
    packed = data.pack_windows(sequences, window, num_rows)
    assert packed.mask.shape[0] % int(window) == 0
    assert packed.mask.shape[1] == num_rows
    assert_same(data.unpack(packed.xs, packed.segment_ids, len(LENGTHS)), sequences)


def test_each_goes_to_the_shortest_row():
    packed = data.pack_windows([np.full(n, n) for n in (5, 2, 1, 4)], 3, 2)
    assert packed.xs.T.tolist() == [[5, 5, 5, 5, 5, 0, 0, 0, 0], [2, 2, 1, 4, 4, 4, 4, 0, 0]]
    assert packed.segment_ids.T.tolist() == [[0] * 5 + [-1] * 4, [1, 1, 2, 3, 3, 3, 3, -1, -1]]


def test_rows_are_as_even_as_the_sequences_allow():
    lengths = np.random.default_rng(1).integers(0, 50, 300)
    packed = data.pack_windows([np.zeros(n) for n in lengths], 16, 4)
    steps = packed.mask.sum(axis=0)
    assert steps.max() - steps.min() <= lengths.max()
    assert packed.mask.shape[0] - steps.max() < 16


def test_nothing_is_one_window_of_padding():
    packed = data.pack_windows([np.zeros((0, I))], 4, 2)
    assert packed.xs.shape == (4, 2, I)
    assert not packed.mask.any()


@pytest.mark.parametrize("window", [1, 4, 5])
def test_windows_in_order_are_the_sequences_apart(window):
    """The carry goes on from window to window, and starts anew where a sequence begins."""
    sequences = ragged()
    packed = data.pack_windows(sequences, window, 2)
    params = LAYER.init(jax.random.key(0), packed.xs)
    resets = data.segment_resets(packed.segment_ids)
    carry, outs = None, []
    for start in range(0, len(packed.mask), window):
        xs, mask, r = (x[start : start + window] for x in (packed.xs, packed.mask, resets))
        carry, ys = LAYER.apply(params, carry, xs, mask=mask, resets=r)
        outs.append(ys)
    got = data.unpack(jnp.concatenate(outs), packed.segment_ids, len(sequences))
    want = [LAYER.apply(params, None, x)[1] for x in sequences]
    assert_close([jnp.array(y) for y in got], want, 1e-13)


@pytest.mark.thorough
def test_truncated_backpropagation():
    """With one sequence to a row, a window has the gradient of that sequence truncated."""
    window, (xs, targets) = 4, (ragged((10,)), ragged((10,)))
    sequences = [(x, y[:, :H]) for x, y in zip(xs, targets, strict=True)]
    packed = data.pack_windows(sequences, window, 1)
    params = LAYER.init(jax.random.key(0), packed.xs[0])

    def total(ys, y, mask):
        return jnp.where(mask[..., None], (ys[..., : y.shape[-1]] - y) ** 2, 0).sum()

    def step(state, carry, batch):
        (xs, y), mask, resets = batch

        def loss(params):
            after, ys = LAYER.apply(params, carry, xs, mask=mask, resets=resets)
            return total(ys, y, mask), after

        gradient, after = jax.grad(loss, has_aux=True)(params)
        return jax.tree.map(jnp.add, state, gradient), after, ()

    resets = data.segment_resets(packed.segment_ids)
    batch = packed.xs, packed.mask, resets
    zeros = jax.tree.map(jnp.zeros_like, params)
    carry = LAYER.init_carry(params, packed.xs[0])
    got, _, _ = jaxrnn.training.train_windows(step, zeros, carry, batch, window)

    def whole(params):
        truncated = jaxrnn.truncate(LAYER, window)
        x, y = sequences[0]
        return total(truncated.apply(params, None, x)[1], y, jnp.ones(len(x), bool))

    assert_close(got, jax.grad(whole)(params), 1e-12)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("window", 0, ValueError),
        ("window", 2.0, TypeError),
        ("num_rows", 0, ValueError),
        ("num_rows", None, TypeError),
    ],
)
def test_a_wrong_size_is_named(name, value, error):
    call = functools.partial(data.pack_windows, ragged(), window=3, num_rows=2)
    with pytest.raises(error, match=f"`{name}` must be a positive integer, got {value}"):
        call(**{name: value})
