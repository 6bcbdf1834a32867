"""One step of one sequence by the native kernels, as of a stream."""

import functools

import jax
import jax.numpy as jnp
import pytest

import jaxrnn
from jaxrnn.engines.cpu import _library
from tests.laws.compiled import hlo
from tests.laws.tables import assert_close, cell_example, total

pytestmark = pytest.mark.skipif(_library.problem() is not None, reason=str(_library.problem()))

SIZE, WIDTH = 64, 5
CELLS = {"lstm": jaxrnn.lstm(SIZE), "gru": jaxrnn.gru(SIZE), "elman": jaxrnn.elman(SIZE)}
every_cell = pytest.mark.parametrize("name", CELLS)


def step_of(name, implementation):
    """``(params, carry, xs) -> (carry, ys)``, of one step."""
    return functools.partial(jaxrnn.unroll, CELLS[name], implementation=implementation)


def arguments(name):
    ex = cell_example(CELLS[name], shape=(1, 1, WIDTH))
    return ex.params, ex.carry, ex.xs


def results(name, implementation, transform):
    return jax.jit(transform(step_of(name, implementation)))(*arguments(name))


def gradient(step):
    return jax.grad(lambda *args: total(step(*args)), argnums=(0, 1, 2))


def direction_of(args):
    return jax.tree.map(jnp.cos, args)


TRANSFORMS = {
    "value": lambda step: step,
    "gradient": gradient,
    "tangent": lambda step: lambda *args: jax.jvp(step, args, direction_of(args)),
    "second": lambda step: lambda *args: jax.jvp(gradient(step), args, direction_of(args)),
    "of rows": lambda step: (
        lambda params, *rest: jax.vmap(functools.partial(step, params))(
            *jax.tree.map(lambda leaf: jnp.stack([leaf, leaf / 2, -leaf]), rest)
        )
    ),
    "of weights": lambda step: (
        lambda params, *rest: jax.vmap(lambda p: step(p, *rest))(
            jax.tree.map(lambda leaf: jnp.stack([leaf, leaf / 2]), params)
        )
    ),
    "in a loop": lambda step: (
        lambda params, carry, xs: jax.lax.fori_loop(
            0, 4, lambda _, carry: step(params, carry, xs)[0], carry
        )
    ),
}


@every_cell
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_it_is_the_step_of_the_scan(name, transform):
    got, want = (results(name, how, TRANSFORMS[transform]) for how in ("native", "scan"))
    assert_close(got, want, 1e-11)


@every_cell
def test_the_kernel_makes_the_value_and_nothing_else(name):
    """A derivative and a mapped step would pack the weights for one product alone."""

    def calls(transform):
        text = hlo(TRANSFORMS[transform](step_of(name, "native")), *arguments(name))
        return text.count('custom_call_target="jaxrnn_single"'), text.count("jaxrnn_forward")

    assert calls("value") == calls("in a loop") == (1, 0)
    assert " dot(" not in hlo(step_of(name, "native"), *arguments(name))
    for transform in ("gradient", "tangent", "of rows", "of weights"):
        assert calls(transform) == (0, 0)


@every_cell
def test_none_takes_it_where_it_pays(name):
    params, carry, xs = arguments(name)

    def is_chosen(**flags):
        run = functools.partial(step_of(name, None), **flags)
        return "jaxrnn_" in hlo(run, params, carry, xs)

    flags = jnp.ones((1, 1), bool)
    assert is_chosen()
    assert not is_chosen(mask=flags)
    assert not is_chosen(resets=flags)
    small = getattr(jaxrnn, name)(8)
    assert jaxrnn.explain(CELLS[name], xs).implementation == "native"
    assert jaxrnn.explain(small, xs).implementation == "xla"
