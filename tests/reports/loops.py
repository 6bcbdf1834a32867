"""Recurrent networks as Python loops over time, for JAX to differentiate.

The tests compare with them. They are written from the equations and share nothing with the library.
"""

import jax
import jax.numpy as jnp


def elman_step(params, h, x):
    return jnp.tanh(x @ params.kernel + h @ params.recurrent_kernel + params.bias)


def lstm_step(params, carry, x):
    h, c = carry
    a = x @ params.kernel + h @ params.recurrent_kernel + params.bias
    i, f, g, o = jnp.split(a, 4, axis=-1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return (jax.nn.sigmoid(o) * jnp.tanh(c), c)


def gru_step(params, h, x):
    from_x = jnp.split(x @ params.kernel + params.bias, 3, axis=-1)
    from_h = jnp.split(h @ params.recurrent_kernel, 3, axis=-1)
    r = jax.nn.sigmoid(from_x[0] + from_h[0])
    z = jax.nn.sigmoid(from_x[1] + from_h[1])
    n = jnp.tanh(from_x[2] + r * (from_h[2] + params.recurrent_bias))
    return (1 - z) * n + z * h


def lstm(params, carry, xs):
    """The carry (h, c) after the last step, and the outputs (T, ..., H)."""
    ys = []
    for x in xs:
        carry = lstm_step(params, carry, x)
        ys.append(carry[0])
    return carry, jnp.stack(ys)


def gru(params, h, xs):
    """The state after the last step, and the outputs (T, ..., H)."""
    ys = []
    for x in xs:
        h = gru_step(params, h, x)
        ys.append(h)
    return h, jnp.stack(ys)
