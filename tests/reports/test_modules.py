"""Models of other libraries with cells in them, as their users wanted to write them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import assert_close, assert_same, cell_example, total
from tests.reports import loops

T, B, I, H = 3, 2, 2, 3
ELMAN, GRU = jaxrnn.elman(H), jaxrnn.gru(H)
EX = cell_example(GRU, shape=(T, B, I))


@pytest.fixture(scope="module")
def equinox():
    return pytest.importorskip("equinox", reason="equinox is not installed")


@pytest.fixture(scope="module")
def model(equinox):
    class Tagger(equinox.Module):
        cell: jaxrnn.Cell = equinox.field(static=True)
        params: tuple
        readout: equinox.nn.Linear

        def __call__(self, xs):
            _, ys = jaxrnn.unroll(self.cell, self.params, None, xs)
            return jax.vmap(self.readout)(ys)

    return Tagger(GRU, EX.params, equinox.nn.Linear(H, 2, key=jax.random.key(0)))


def tagged(model, xs):
    """The outputs for one sequence, by a loop."""
    _, ys = loops.gru(model.params, jnp.zeros(H), xs)
    return ys @ model.readout.weight.T + model.readout.bias


def test_transformations_of_equinox(equinox, model):
    """equinox#709: a model of modules under `filter_jit`, `filter_grad` and `filter_vmap`."""

    def loss(model, apply):
        return total(equinox.filter_vmap(functools.partial(apply, model), in_axes=1)(EX.xs))

    @equinox.filter_jit
    def grads(model):
        by_library = equinox.filter_grad(loss)(model, lambda model, xs: model(xs))
        return by_library, equinox.filter_grad(loss)(model, tagged)

    got, want = grads(model)
    assert_close((got.params, got.readout.weight), (want.params, want.readout.weight), 1e-13)


def test_a_model_of_equinox_is_changed_and_saved(equinox, model, tmp_path):
    """equinox#709: `tree_at`, and a round trip by `tree_serialise_leaves`."""
    doubled = equinox.tree_at(lambda m: m.params.kernel, model, replace_fn=lambda k: 2 * k)
    assert_same(doubled.params.kernel, 2 * model.params.kernel)
    equinox.tree_serialise_leaves(tmp_path / "model.eqx", doubled)
    read = equinox.tree_deserialise_leaves(tmp_path / "model.eqx", model)
    assert_same(read(EX.xs[:, 0]), doubled(EX.xs[:, 0]))
    assert read.cell == GRU


def test_a_method_of_a_module_is_an_activation(equinox):
    """equinox#558: a method of a module with arrays, which cannot be hashed, and its gradient."""

    class Scaled(equinox.Module):
        factor: jax.Array

        def activate(self, x):
            return jnp.tanh(self.factor * x)

    params = cell_example(ELMAN, shape=(T, B, I)).params

    def loss(module):
        return total(jaxrnn.unroll(jaxrnn.elman(H, module.activate), params, None, EX.xs)[1])

    def loop(module):
        h, ys = jnp.zeros((B, H)), []
        for x in EX.xs:
            a = x @ params.kernel + h @ params.recurrent_kernel + params.bias
            h = jnp.tanh(module.factor * a)
            ys.append(h)
        return total(jnp.stack(ys))

    module = Scaled(jnp.array(1.5))
    both = jax.jit(lambda m: [jax.value_and_grad(f)(m) for f in (loss, loop)])
    assert_close(*both(module), 1e-13)


def test_a_closed_over_module_does_not_go_stale():
    """flax#3362: an eager call sees the new weights of an nnx module that a cell closes over."""
    nnx = pytest.importorskip("flax.nnx", reason="flax is not installed")
    linear = nnx.Linear(H, H, rngs=nnx.Rngs(0), param_dtype=float)

    def update(params, carry, u, v):
        return jaxrnn.HiddenCarry(jnp.tanh(linear(u + v)))

    cell, params = ELMAN._replace(update=update), cell_example(ELMAN, shape=(T, B, I)).params
    for _ in range(2):
        _, ys = jaxrnn.unroll(cell, params, None, EX.xs)
        want = jnp.zeros((B, H))
        for x in EX.xs:
            a = x @ params.kernel + want @ params.recurrent_kernel + params.bias
            want = jnp.tanh(a @ linear.kernel[...] + linear.bias[...])
        np.testing.assert_allclose(ys[-1], want, rtol=1e-13)
        linear.kernel[...] = 2 * linear.kernel[...]


def test_foreign_parameters_within_a_transformed_function():
    """haiku#352: the parameters of a cell within a transformed function, by `lift`."""
    haiku = pytest.importorskip("haiku", reason="haiku is not installed")

    def init(key, x):
        return {"gru": GRU.init(key, x)._asdict()}

    def network(xs):
        key = haiku.next_rng_key() if haiku.running_init() else None
        lifted = haiku.lift(init, name="lifted")(key, xs[0])
        return jaxrnn.unroll(GRU, jaxrnn.cells.GRUParams(**lifted["gru"]), None, xs)[1]

    transformed = haiku.transform(network)
    variables = transformed.init(jax.random.key(0), EX.xs)
    assert variables["lifted/gru"].keys() == EX.params._asdict().keys()
    got = jax.jit(transformed.apply)({"lifted/gru": EX.params._asdict()}, None, EX.xs)
    assert_close(got, loops.gru(EX.params, jnp.zeros((B, H)), EX.xs)[1], 1e-13)


def test_one_step_outside_of_a_module():
    """flax#4032: one step of a cell with the parameters of a Flax module, outside of it."""
    nnx = pytest.importorskip("flax.nnx", reason="flax is not installed")
    from jaxrnn.nnx import RNN

    module = RNN(GRU, I, time_major=True, param_dtype=float, rngs=nnx.Rngs(0))
    names = jaxrnn.cells.GRUParams._fields
    params = jaxrnn.cells.GRUParams(*(getattr(module.params, name)[...] for name in names))
    carry, ys = None, []
    for x in EX.xs:
        carry, y = jaxrnn.step(GRU, params, carry, x)
        ys.append(y)
    assert_close(jnp.stack(ys), module(EX.xs), 1e-14)
