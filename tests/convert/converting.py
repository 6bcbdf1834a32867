"""Shared by the conversion tests: random networks, and the properties that every peer must have."""

import functools
import re
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn.cells import (
    CoupledLSTMParams,
    ElmanParams,
    GRUParams,
    LSTMParams,
    PeepholeLSTMParams,
    ResetBeforeGRUParams,
)
from jaxrnn.layers import BidirectionalParams

T, B, I, H = 4, 2, 3, 5
SEEDS = 50
SHAPES = {
    LSTMParams: lambda width: ((width, 4 * H), (H, 4 * H), (4 * H,)),
    GRUParams: lambda width: ((width, 3 * H), (H, 3 * H), (3 * H,), (H,)),
    ResetBeforeGRUParams: lambda width: ((width, 3 * H), (H, 3 * H), (3 * H,)),
    ElmanParams: lambda width: ((width, H), (H, H), (H,)),
    PeepholeLSTMParams: lambda width: ((width, 4 * H), (H, 4 * H), (4 * H,), (3 * H,)),
    CoupledLSTMParams: lambda width: ((width, 3 * H), (H, 3 * H), (3 * H,), (2 * H,)),
}


class Case(NamedTuple):
    cell: type
    layers: int = 2
    directions: int = 1


class Peer(NamedTuple):
    """How to convert one network to and from another library, and how to run it there."""

    write: Callable  # params -> weights, a pytree of arrays
    read: Callable  # weights -> Network
    # (weights, xs) -> ys, dxs, dweights. The gradients belong to the loss below. If they are None,
    # the test uses finite differences of the loss instead.
    run: Callable
    prepare: Callable = lambda params: params  # to params that the peer represents exactly
    tolerance: float = 1e-12  # for outputs; gradients have ten times as much


def random_params(case, rng, dtype=np.float64):
    """NumPy parameters of layers in sequence."""

    def cell(width):
        return case.cell(*(rng.normal(0, 0.5, s).astype(dtype) for s in SHAPES[case.cell](width)))

    def layer(width):
        if case.directions == 1:
            return cell(width)
        return BidirectionalParams(cell(width), cell(width))

    widths = [I] + [case.directions * H] * (case.layers - 1)
    found = tuple(map(layer, widths))
    return found if case.layers > 1 else found[0]


def without_biases(params):
    """`params` of cells whose biases are None."""

    def remove(cell):
        if isinstance(cell, BidirectionalParams):
            return BidirectionalParams(*map(remove, cell))
        biases = [name for name in ("bias", "recurrent_bias") if name in cell._fields]
        return cell._replace(**dict.fromkeys(biases))

    return tuple(map(remove, params)) if type(params) is tuple else remove(params)


def random_inputs(rng, dtype=np.float64):
    return rng.normal(size=(T, B, I)).astype(dtype)


def loss_weights(ys):
    """The weight of each output in the loss, which is their weighted sum."""
    return np.cos(np.arange(ys.size)).reshape(ys.shape).astype(ys.dtype)


def gradients(apply):
    """The outputs of ``apply(weights, xs)``, and its gradients for inputs and weights, with JAX."""

    def loss(xs, weights):
        ys = apply(weights, xs)
        return (loss_weights(ys) * ys).sum(), ys

    grad = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    grad = jax.jit(grad, compiler_options={"xla_backend_optimization_level": 0})  # compiles faster

    def run(weights, xs):
        with jax.numpy_dtype_promotion("standard"):
            (_, ys), (dxs, dweights) = grad(xs, weights)
        return ys, dxs, dweights

    return run


def outputs(layer, params, xs):
    return layer.apply(params, None, xs)[1]


def program(layer, params, xs):
    """The program of a layer as text. Layers with equal programs are the same function."""
    jaxpr = jax.make_jaxpr(functools.partial(outputs, layer))(params, xs)
    return re.sub(r" at 0x\w+", "", str(jaxpr))


COMPILED = {}  # by program, so that peers with the same layer share one compilation


def compiled(layer, params, xs):
    """`gradients` of a layer."""
    key = program(layer, params, xs)
    if key not in COMPILED:
        COMPILED[key] = gradients(functools.partial(outputs, layer))
    return COMPILED[key]


def check_conversion(case, peer):
    """Outputs and gradients agree in both directions, and the round trip is exact."""
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        params, xs = peer.prepare(random_params(case, rng)), random_inputs(rng)
        weights = peer.write(params)
        layer, back = peer.read(weights)
        assert_bits(back, params)
        if seed == 0:
            ours = compiled(layer, back, xs)
        check_same(ours(back, xs), peer.run(weights, xs), params, xs, peer, rng)

        theirs = noisy(weights, rng)
        ys = ours(peer.read(theirs).params, xs)[0]
        assert_close(ys, peer.run(theirs, xs)[0], peer.tolerance)


def check_same(ours, theirs, params, xs, peer, rng):
    """Outputs, input gradients, and weight gradients along a random direction agree.

    `write` is affine, so a step in our parameters maps to a step in the peer's weights, and both
    losses have the same directional derivative.
    """
    ys, dxs, dparams = ours
    want_ys, want_dxs, want_dweights = theirs
    assert_close(ys, want_ys, peer.tolerance)
    step = peer.prepare(jax.tree.map(lambda p: rng.normal(size=p.shape), params))
    if want_dxs is None:
        dx = rng.normal(size=xs.shape)
        got = inner(dparams, step) + inner(dxs, dx)
        assert_close(got, difference(peer, params, xs, step, dx), 1e-6)
        return
    assert_close(dxs, want_dxs, 10 * peer.tolerance)
    end = peer.write(jax.tree.map(np.add, params, step))
    weights_step = jax.tree.map(lambda a, b: np.asarray(a) - np.asarray(b), end, peer.write(params))
    assert_close(inner(dparams, step), inner(want_dweights, weights_step), 10 * peer.tolerance)


def difference(peer, params, xs, step, dx, size=1e-5):
    """The directional derivative of a peer's loss, by a central difference."""

    def loss(size):
        moved = jax.tree.map(lambda p, s: p + size * s, params, step)
        ys = peer.run(peer.write(moved), xs + size * dx)[0]
        return (loss_weights(ys) * ys).sum()

    return (loss(size) - loss(-size)) / (2 * size)


def inner(a, b):
    parts = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return np.array(sum(np.vdot(np.asarray(x), np.asarray(y)) for x, y in parts))


def noisy(weights, rng):
    """Weights with noise: unlike the weights from `write`, no second bias is zero."""

    def add(array):
        noise = rng.normal(0, 0.3, np.shape(array))
        return array + (array.new_tensor(noise) if hasattr(array, "new_tensor") else noise)

    return jax.tree.map(add, weights)


def check_outputs(case, peer):
    """The converted layer has the outputs of the peer, for one random network."""
    rng = np.random.default_rng(0)
    weights, xs = peer.write(random_params(case, rng)), random_inputs(rng)
    layer, params = peer.read(weights)
    assert_close(outputs(layer, params, xs), peer.run(weights, xs)[0], peer.tolerance)


def check_float32(case, peer):
    """In float32, outputs agree to 1e-6 and gradients to 1e-5."""
    rng = np.random.default_rng(0)
    params, xs = random_params(case, rng, np.float32), random_inputs(rng, np.float32)
    weights = peer.write(params)
    layer, back = peer.read(weights)
    ours, theirs = compiled(layer, back, xs)(back, xs), peer.run(weights, xs)
    assert {leaf.dtype.name for leaf in jax.tree.leaves(ours)} == {"float32"}
    check_same(ours, theirs, params, xs, peer._replace(tolerance=1e-6), rng)


def check_narrow_round_trip(case, peer_of):
    """The round trip is exact in float32 and bfloat16, including the sign of zero."""
    for dtype in ("float32", "bfloat16"):
        peer = peer_of(dtype)
        params = peer.prepare(random_params(case, np.random.default_rng(0), jnp.dtype(dtype)))
        zeros = jax.tree.map(lambda p: np.where(np.abs(p) < 0.2, -np.zeros_like(p), p), params)
        for given in (params, peer.prepare(zeros)):
            assert_bits(peer.read(peer.write(given)).params, given)


def assert_close(actual, expected, tolerance):
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.isfinite(expected).all()
    assert np.abs(actual - expected).max() <= tolerance * max(1, np.abs(expected).max())


def assert_bits(actual, expected):
    """Equal structure, dtypes and bits."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        a, e = np.asarray(a), np.asarray(e)
        assert (a.dtype, a.shape) == (e.dtype, e.shape)
        assert a.tobytes() == e.tobytes()
