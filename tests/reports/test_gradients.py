"""Derivatives that users of other libraries asked for, against Python loops."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.engines.cpu._library import problem
from tests.laws.tables import assert_close, assert_same, cell_example, total
from tests.reports import loops

T, B, I, H = 3, 2, 2, 3
LSTM, GRU = jaxrnn.lstm(H), jaxrnn.gru(H)
EX = cell_example(LSTM, shape=(T, B, I))
GRU_EX = cell_example(GRU, shape=(T, I))
XLA = ["scan", "xla"]
every_engine = pytest.mark.parametrize("implementation", XLA + ["native"] * (problem() is None))
on_xla = pytest.mark.parametrize("implementation", XLA)


def lstm(implementation):
    return functools.partial(jaxrnn.unroll, LSTM, implementation=implementation)


@every_engine
def test_parameters_held_outside(implementation):
    """pytorch#90500: parameters held outside of the module get all gradients."""

    def loss(held, layer):
        carry = jaxrnn.LSTMCarry(*held["start"])
        _, ys = layer(held["cell"], carry, EX.xs)
        return total(ys @ held["readout"])

    held = {"cell": EX.params, "start": tuple(EX.carry), "readout": jnp.ones((H, 2))}
    grad = jax.jit(jax.grad(loss), static_argnums=1)
    grads = grad(held, lstm(implementation))
    assert_close(grads, grad(held, loops.lstm), 1e-13)
    assert all((grad != 0).all() for grad in jax.tree.leaves(grads))


@on_xla
def test_jacobians_by_the_parameters(implementation):
    """pytorch#103161: `jacrev` and `jacfwd` by the parameters of a recurrent layer."""

    def ys(params, layer):
        return layer(params, EX.carry, EX.xs)[1]

    layers = [loops.lstm, *[lstm(implementation)] * 2]
    modes = [jax.jacrev, jax.jacrev, jax.jacfwd]

    @jax.jit
    def jacobians(params):
        return [mode(ys)(params, layer) for mode, layer in zip(modes, layers, strict=True)]

    want, *others = jacobians(EX.params)
    for got in others:
        assert_close(got, want, 1e-13)


@every_engine
def test_gradients_of_each_example(implementation):
    """functorch#1089, tensorflow#43904: per-example gradients from a given initial state."""

    def loss(params, carry, xs, layer):
        return total(layer(params, carry, xs))

    def grad(layer):
        return jax.grad(functools.partial(loss, layer=layer))

    got = jax.jit(jax.vmap(grad(lstm(implementation)), (None, 0, 1)))(EX.params, EX.carry, EX.xs)
    alone = jax.jit(grad(loops.lstm))
    for i in range(B):
        carry = jaxrnn.LSTMCarry(*(leaf[i] for leaf in EX.carry))
        want = alone(EX.params, carry, EX.xs[:, i])
        assert_close(jax.tree.map(lambda leaf, i=i: leaf[i], got), want, 1e-13)


@pytest.mark.parametrize(
    "outer", [jax.jacfwd, pytest.param(jax.jacrev, marks=pytest.mark.thorough)]
)
@pytest.mark.parametrize(
    "inner", [jax.jacrev, pytest.param(jax.jacfwd, marks=pytest.mark.thorough)]
)
@on_xla
def test_hessian(implementation, inner, outer, hessian_of_the_loop):
    """Theano#1357: the Hessian through the loop, in each order of modes."""
    layer = functools.partial(jaxrnn.unroll, GRU, implementation=implementation)
    got = jax.jit(outer(inner(functools.partial(gru_loss, layer))))(GRU_EX.params)
    assert_close(got, hessian_of_the_loop, 1e-12)


def gru_loss(layer, params):
    return total(layer(params, GRU_EX.carry, GRU_EX.xs)[1])


@pytest.fixture(scope="module")
def hessian_of_the_loop():
    def layer(params, carry, xs):
        return loops.gru(params, carry.h, xs)

    return jax.jit(jax.hessian(functools.partial(gru_loss, layer)))(GRU_EX.params)


def test_forward_mode_of_a_step():
    """pytorch#174355: forward mode of one step of a GRU."""
    ex = cell_example(GRU, shape=(T, B, I))
    args = ex.params, ex.carry, ex.xs[0]
    tangents = jax.tree.map(lambda leaf: jnp.cos(3 * leaf), args)

    @jax.jit
    def both(args, tangents):
        got = jax.jvp(lambda p, h, x: jaxrnn.step(GRU, p, h, x)[1], args, tangents)
        return got, jax.jvp(lambda p, h, x: loops.gru_step(p, h.h, x), args, tangents)

    assert_close(*both(args, tangents), 1e-14)


@every_engine
def test_one_pullback_twice(implementation):
    """pytorch#777: a pullback is called again, and gives the same bits in between others."""
    (carry, ys), pull = jax.vjp(
        lambda params, carry: lstm(implementation)(params, carry, EX.xs), EX.params, EX.carry
    )
    first = jax.tree.map(jnp.cos, (carry, ys))
    second = jax.tree.map(jnp.sin, (carry, ys))
    pulled = pull(first)
    sums = jax.tree.map(jnp.add, pulled, pull(second))
    assert_close(pull(jax.tree.map(jnp.add, first, second)), sums, 1e-13)
    assert_same(pull(first), pulled)


def test_a_carry_that_is_used_in_part():
    """jax#1082: a loss that leaves a part of the carry unused, under `jit`."""

    def loss(params, layer):
        (_, c), _ = layer(params, EX.carry, EX.xs)
        return total(c)

    @jax.jit
    def grads(params):
        return [jax.grad(loss)(params, layer) for layer in (lstm("xla"), loops.lstm)]

    assert_close(*grads(EX.params), 1e-13)


def test_dropped_recurrent_weights():
    """pytorch#32346, fastai2#427: dropped weights have no gradient, and keep their raw values."""
    rate, key, size = 0.4, jax.random.key(2), 6
    cell = jaxrnn.elman(size)
    ex = cell_example(cell, shape=(T, B, I))
    run = jax.jit(jaxrnn.rnn(jaxrnn.drop_connect(cell, rate)).apply)

    # The outputs for unit carries and no input show which weights were used.
    no_input = ex.params._replace(kernel=0 * ex.params.kernel, bias=0 * ex.params.bias)
    units = jaxrnn.HiddenCarry(jnp.eye(size)), jnp.zeros((1, size, I))
    kept = run(no_input, *units, key=key)[1][0] != 0
    assert 0 < kept.sum() < kept.size

    @jax.jit
    @jax.grad
    def dropped(params):
        return total(run(params, None, ex.xs, key=key)[1])

    @jax.jit
    @jax.grad
    def plain(params):
        weights = jnp.where(kept, params.recurrent_kernel / (1 - rate), 0)
        params, h, ys = params._replace(recurrent_kernel=weights), jnp.zeros((B, size)), []
        for x in ex.xs:
            h = loops.elman_step(params, h, x)
            ys.append(h)
        return total(jnp.stack(ys))

    grads = dropped(ex.params)
    assert_close(grads, plain(ex.params), 1e-12)
    np.testing.assert_array_equal(grads.recurrent_kernel != 0, kept)


@pytest.mark.parametrize("implementation", ["scan", None])
def test_a_surrogate_derivative_with_a_learned_slope(implementation):
    """spikingjelly#268, jax#5440: a surrogate derivative by `custom_vjp` learns its slope."""

    @jax.custom_vjp
    def spike(x, slope):
        return (x > 0).astype(x.dtype)

    def backward(saved, g):
        x, slope = saved
        return slope * g * jax.nn.sigmoid(slope * x), (g * jnp.cos(x)).sum()

    spike.defvjp(lambda x, slope: (spike(x, slope), (x, slope)), backward)

    def library(params, slope):
        cell = jaxrnn.elman(H, lambda x: spike(x, slope))
        return total(jaxrnn.unroll(cell, params, None, EX.xs, implementation=implementation)[1])

    def loop(params, slope):
        h, ys = jnp.zeros((B, H)), []
        for x in EX.xs:
            a = x @ params.kernel + h @ params.recurrent_kernel + params.bias
            h = spike(a, slope)
            ys.append(h)
        return total(jnp.stack(ys))

    @jax.jit
    def grads(params, slope):
        return [jax.grad(loss, (0, 1))(params, slope) for loss in (library, loop)]

    params = cell_example(jaxrnn.elman(H), shape=(T, B, I)).params
    got, want = grads(params, jnp.asarray(3.0))
    assert_close(got, want, 1e-13)
    assert got[1] != 0


def test_several_layers_give_the_same_bits_each_time():
    """flax#769: three LSTMs in a row have equal gradients in each run."""
    model = jaxrnn.stack(*[jaxrnn.rnn(LSTM)] * 3)
    params = model.init(jax.random.key(0), EX.xs)
    grad = jax.jit(jax.grad(lambda params: total(model.apply(params, None, EX.xs))))
    first = grad(params)
    for _ in range(10):
        assert_same(grad(params), first)
