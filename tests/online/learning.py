"""A loss with weights for each step, forward in time and by backpropagation through time."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxrnn
from jaxrnn import online
from tests.laws.tables import B, I, cell_example, over_features, total

T = 6  # two chunks of one program


class Stream(NamedTuple):
    xs: jax.Array  # (T, B, I), NaN where masked
    mask: jax.Array  # bool (T, B)
    resets: jax.Array  # bool (T, B)
    weights: jax.Array  # (T,)


def stream(cell, **choices):
    """Parameters, and steps with padding, resets and weights."""
    ex = cell_example(cell, shape=(T, B, I), **choices)
    xs = jnp.where(over_features(ex.mask, ex.xs), ex.xs, jnp.nan)
    return ex.params, Stream(xs, ex.mask, ex.resets, jnp.asarray(np.cos(np.arange(T)), xs.dtype))


@functools.cache
def chunk(method, cell):
    """The start, and the jitted gradient of a chunk."""
    learner = method(cell)

    def loss(params, state, step):
        state, y = learner.step(params, state, step.xs, mask=step.mask, resets=step.resets)
        return step.weights * total(y), state

    return learner, jax.jit(functools.partial(online.accumulate, loss))


def forward(method, cell, params, steps, key=None):
    """The gradient, forward in time, of two chunks one after the other."""
    learner, run = chunk(method, cell)
    state = learner.init(params, jax.ShapeDtypeStruct(steps.xs.shape[1:], steps.xs.dtype), key=key)
    state, first, early = run(params, state, jax.tree.map(lambda x: x[: T // 2], steps))
    _, second, late = run(params, state, jax.tree.map(lambda x: x[T // 2 :], steps))
    return jnp.concatenate([first, second]), jax.tree.map(jnp.add, early, late)


def backward(cell, params, steps):
    """The values of the loss at each step, and its gradient by backpropagation through time."""

    def loss(params):
        flags = {"mask": steps.mask, "resets": steps.resets}
        _, ys = jaxrnn.unroll(cell, params, None, steps.xs, **flags, implementation="scan")
        values = steps.weights * jax.vmap(total)(ys)
        return values.sum(), values

    grads, values = jax.jit(jax.grad(loss, has_aux=True))(params)
    return values, grads


def cosine(a, b):
    """Of the angle between two trees."""
    a, b = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (a, b))
    return a @ b / np.sqrt((a @ a) * (b @ b))
