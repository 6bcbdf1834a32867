"""Cells side by side."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn

T, B, I, H, N = 5, 3, 4, 2, 3


@pytest.mark.parametrize("build", [jaxrnn.lstm, jaxrnn.mgu])
def test_heads_are_cells_run_alone(build):
    one, cell = build(H), jaxrnn.heads(build(H), N)
    xs = jax.random.normal(jax.random.key(0), (T, B, I))
    params = cell.init(jax.random.key(1), xs[0])
    carry, ys = jaxrnn.unroll(cell, params, None, xs)
    assert ys.shape == (T, B, N * H)
    for head in range(N):
        own = jax.tree.map(lambda leaf, head=head: leaf[head], params)
        want_carry, want = jaxrnn.unroll(one, own, None, xs)
        np.testing.assert_allclose(ys[..., head * H : (head + 1) * H], want, rtol=1e-12)
        got = jax.tree.map(lambda leaf, head=head: leaf[:, head], carry)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), got, want_carry)


def test_noise_goes_around_them():
    cell = jaxrnn.zoneout(jaxrnn.heads(jaxrnn.lstm(H), N), 0.5)
    layer = jaxrnn.rnn(cell)
    xs = jnp.ones((T, B, I))
    params = layer.init(jax.random.key(0), xs)
    _, ys = layer.apply(params, None, xs, key=jax.random.key(1))
    assert (ys[1:] == ys[:-1]).any()  # units that kept their state
    assert ys.shape == (T, B, N * H)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: jaxrnn.heads(jaxrnn.lstm(H), 0), "`num_heads` must be a positive integer, got 0"),
        (
            lambda: jaxrnn.heads(jaxrnn.zoneout(jaxrnn.lstm(H), 0.1), 2),
            "`heads` needs a cell .* draws",
        ),
        (lambda: jaxrnn.heads(jaxrnn.conv_lstm(H, (3,)), 2), r"`heads` needs a cell for inputs"),
        (lambda: jaxrnn.heads(jaxrnn.rnn(jaxrnn.lstm(H)), 2), "`cell` must be a Cell"),
    ],
)
def test_what_cannot_have_heads_is_told(build, message):
    with pytest.raises((ValueError, TypeError), match=message):
        build()
