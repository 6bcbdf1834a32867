"""What the functions of a cell hold decides whether two cells are equal, and what is kept."""

import dataclasses
import gc
import operator
import types
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn._core.equality import fixed_key
from tests.laws.compiled import compilations
from tests.laws.tables import B, H, I, T

XS = jnp.ones((T, B, I))


def with_output(function):
    return jaxrnn.lstm(H)._replace(output=lambda params, carry, u: function(carry.h))


def scaled(factor):
    return lambda x: factor * x


def test_functions_written_in_c_are_compared_as_they_are():
    for function in operator.neg, np.tanh:
        assert fixed_key(function) == fixed_key(function) != fixed_key(operator.pos)


class Scale:
    factor = 2.0

    def __call__(self, x):
        return self.factor * x


@dataclasses.dataclass
class Unhashable:
    factor: float

    def __call__(self, x):
        return self.factor * x


def run(cell, **options):
    params = jaxrnn.lstm(H).init(jax.random.key(0), XS[0])
    return jaxrnn.unroll(cell, params, None, XS, **options)[1]


def test_functions_are_compared_by_what_they_hold():
    assert with_output(scaled(2)) == with_output(scaled(2))
    assert hash(with_output(scaled(2))) == hash(with_output(scaled(2)))
    assert with_output(scaled(2)) != with_output(scaled(3))
    assert with_output(scaled(2)) != with_output(scaled(2.0))
    assert with_output(scaled(jnp.ones(H))) != with_output(scaled(jnp.ones(H)))
    assert with_output(jnp.tanh) == with_output(jnp.tanh)
    assert with_output(jax.jit(jnp.tanh)).fixed_key is not None


HELD = {
    "array": (jnp.ones(3), False),
    "numpy array": (np.ones(3), False),
    "list": ([1], False),
    "dict": ({}, False),
    "object": (Scale(), False),
    "method": (Scale().__call__, False),
    "unhashable": (Unhashable(1.0), False),
    "number": (1.5, True),
    "name": ("relu", True),
    "function of JAX": (jnp.tanh, True),
    "ufunc of NumPy": (np.maximum, True),
    "ufunc of JAX": (jnp.maximum, True),
    "ufunc of a user": (jnp.frompyfunc(jnp.maximum.__call__, 2, 1), False),
    "module": (jnp, True),
    "type": (jaxrnn.LSTMCarry, True),
    "cell": (jaxrnn.gru(2), True),
    "initializer": (jaxrnn.initializers.orthogonal(3), True),
    "tuple": ((1, "a", None), True),
    "tuple of an array": ((1, jnp.ones(3)), False),
}


@pytest.mark.parametrize("name", HELD)
def test_what_can_change_has_no_key(name):
    value, is_fixed = HELD[name]
    assert (fixed_key(lambda: value) is not None) == is_fixed


def test_globals_count():
    source = "def activation(x):\n    return gain(x)\n"
    first, second = {"gain": scaled(2)}, {"gain": scaled(jnp.ones(1))}
    exec(source, first)
    exec(source, second)
    assert fixed_key(first["activation"]) is not None
    assert fixed_key(second["activation"]) is None


def test_what_is_read_from_a_class_or_a_module_counts():
    class Settings:
        gain = 2.0
        table = np.ones(3)

        @classmethod
        def scale(cls, x):
            return 2 * x

    module = types.ModuleType("settings")
    module.gain, module.inner = 2.0, Settings
    reads = [
        lambda x: x * Settings.gain,
        lambda x: x * module.gain,
        lambda x: x * module.inner.gain,
        lambda x: (lambda y: y * Settings.gain)(x),
    ]
    for function in reads:
        Settings.gain = module.gain = 2.0
        before, again = fixed_key(function), fixed_key(function)
        Settings.gain = module.gain = 3.0
        assert before is not None
        assert before == again != fixed_key(function)
    assert fixed_key(lambda x: x * Settings.table) is None
    assert fixed_key(lambda x: x * Settings.missing) is None
    assert fixed_key(lambda x: module) is None  # and whatever is read from it later
    assert fixed_key(lambda x: Settings.scale(x)) is not None
    assert fixed_key(lambda x: isinstance(x, Settings)) is not None


def test_a_function_defined_again_is_another():
    """The same text may refer to something else by then, as in a notebook."""
    source = "def activation(x):\n    return x\n"
    first, second = {}, {}
    exec(source, first)
    exec(source, second)
    assert fixed_key(first["activation"]) != fixed_key(second["activation"])


def test_a_function_that_calls_itself_has_a_key():
    def power(x, n):
        return x * power(x, n - 1) if n else 1.0

    assert fixed_key(power) is not None


@pytest.mark.parametrize("make", [Scale, lambda: Unhashable(2.0)])
def test_an_eager_call_sees_what_has_changed(make):
    """A module that a cell holds is read at each call (flax#3362)."""
    scale = make()
    cell = with_output(scale)
    before, step_before = run(cell), step(cell)
    scale.factor = 6.0
    np.testing.assert_allclose(run(cell), 3 * before, rtol=1e-6)
    np.testing.assert_allclose(step(cell), 3 * step_before, rtol=1e-6)


def step(cell):
    params = jaxrnn.lstm(H).init(jax.random.key(0), XS[0])
    return jaxrnn.step(cell, params, None, XS[0])[1]


def test_an_eager_call_keeps_no_array():
    array = jnp.full(H, 2.0)
    alive = weakref.ref(array)
    run(with_output(scaled(array)))
    del array
    gc.collect()
    assert alive() is None


def test_an_eager_call_of_a_rebuilt_cell_compiles_nothing():
    run(with_output(scaled(2)))
    with compilations() as compiled:
        run(with_output(scaled(2)))
    assert compiled == []


@pytest.mark.thorough
def test_nothing_leaks_from_a_cell_that_holds_a_traced_array():
    @jax.jit
    def loss(weight):
        return run(with_output(scaled(weight))).sum()

    with jax.checking_leaks():
        assert np.isfinite(jax.grad(loss)(jnp.ones(H))).all()


@pytest.mark.parametrize("activation", [Unhashable(2.0), Unhashable(2.0).__call__])
def test_an_activation_need_not_be_hashable(activation):
    """equinox#558: a module, or its method."""
    cell = jaxrnn.elman(H, activation)
    params = cell.init(jax.random.key(0), XS[0])
    _, ys = jaxrnn.unroll(cell, params, None, XS)
    expected = jaxrnn.unroll(jaxrnn.elman(H, lambda x: 2.0 * x), params, None, XS)[1]
    np.testing.assert_allclose(ys, expected, rtol=1e-6)
    hash(cell)


def surrogate(slope):
    """A step function whose derivative is that of a sigmoid with a learned slope."""

    @jax.custom_jvp
    def spike(x):
        return jnp.where(x > 0, jnp.ones_like(x), jnp.zeros_like(x))

    @spike.defjvp
    def rule(primals, tangents):
        gate = jax.nn.sigmoid(slope * primals[0])
        return spike(*primals), slope * gate * (1 - gate) * tangents[0]

    return spike


@pytest.mark.parametrize("implementation", ["scan", "xla", None])
def test_a_derivative_rule_may_close_over_a_traced_array(implementation):
    """spikingjelly#268, jax#3822: a surrogate gradient whose slope is traced."""
    xs = jax.random.normal(jax.random.key(1), (T, B, I))

    def loss(params, slope):
        cell = jaxrnn.elman(H, surrogate(slope))
        _, ys = jaxrnn.unroll(cell, params, None, xs, implementation=implementation)
        return (ys * jnp.arange(1.0, H + 1)).sum()

    params = jaxrnn.elman(H).init(jax.random.key(0), xs[0])
    grads = jax.jit(jax.grad(loss))(params, 3.0)
    expected = jax.grad(plain_loss)(params, 3.0, xs)
    for grad, want in zip(grads, expected, strict=True):
        np.testing.assert_allclose(grad, want, atol=1e-10)
    jax.vmap(jax.grad(loss), (None, 0))(params, jnp.array([1.0, 3.0]))


def plain_loss(params, slope, xs):
    spike = surrogate(slope)

    def body(h, x):
        h = spike(x @ params.kernel + h @ params.recurrent_kernel + params.bias)
        return h, h

    _, ys = jax.lax.scan(body, jnp.zeros((B, H)), xs)
    return (ys * jnp.arange(1.0, H + 1)).sum()


def test_a_callback_runs_once_a_step():
    calls = []

    def update(params, carry, u, v):
        jax.debug.callback(lambda h: calls.append(h.shape), carry.h)
        return jaxrnn.HiddenCarry(jnp.tanh(u + v))

    cell = jaxrnn.elman(H)._replace(update=update)
    params = cell.init(jax.random.key(0), XS[0])
    assert "side effects" in jaxrnn.explain(cell, XS).reasons["xla"]
    calls.clear()
    jax.grad(lambda params: jaxrnn.unroll(cell, params, None, XS)[1].sum())(params)
    jax.effects_barrier()
    assert len(calls) == T


@pytest.mark.parametrize("where", ["carry", "xs"])
def test_typed_keys_in_a_carry_or_in_inputs(where):
    """flax#3362: random numbers drawn within the loop."""

    def noise(key):
        return jax.random.normal(key, (H,))

    if where == "carry":

        def step(params, carry, x):
            h, key = carry
            key, own = jax.random.split(key)
            return (h + noise(own), key), h

        start, xs = (jnp.zeros(H), jax.random.key(1)), jnp.zeros((T, 1))
    else:

        def step(params, carry, x):
            return carry + noise(x), carry

        start, xs = jnp.zeros(H), jax.random.split(jax.random.key(1), T)

    cell = jaxrnn.from_step(lambda key, x: (), lambda params, x: start, step)
    carry, ys = jaxrnn.unroll(cell, (), None, xs)
    again, rest = jaxrnn.unroll(cell, (), carry, xs)
    assert ys.shape == rest.shape == (T, H)
    jaxrnn.step(cell, (), again, xs[0])
    jaxrnn.rnn(cell).apply((), again, xs)
