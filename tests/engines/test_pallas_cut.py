"""What the backward kernel of Pallas reads, and what it computes again."""

import jax
import jax.numpy as jnp
import pytest

import jaxrnn
from jaxrnn.engines.pallas._cut import cut
from tests.laws.tables import H, assert_close, cell_example, total


def divided(function, fixed, varying):
    """The number of bytes handed on, the operations of the second part, and both parts' results."""
    program = jax.make_jaxpr(lambda *args: list(function(*args)))(*fixed, *varying)
    first, second = cut(program, len(fixed))
    handed = first(fixed, varying)
    operations = jax.make_jaxpr(second)(fixed, handed).eqns
    sizes = sum(x.size * 4 for x in handed)
    return sizes, [e.primitive.name for e in operations], second(fixed, handed)


def test_as_few_bytes_as_possible_and_then_as_few_operations():
    x = jnp.arange(4.0, dtype=jnp.float32)
    y = x + 1

    def function(scale, x, y):
        z = jnp.exp(x * scale)
        return z * y, z + jnp.sin(y), z

    sizes, operations, results = divided(function, [jnp.float32(2)], [x, y])
    assert sizes == 2 * 16  # z and y, and not x, from which z follows
    assert sorted(operations) == ["add", "mul", "sin"]
    assert_close(results, list(function(jnp.float32(2), x, y)), 1e-6)


def test_products_and_sums_are_not_computed_again():
    x, kernel = jnp.ones((3, 4)), jnp.ones((4, 8))
    sizes, operations, _ = divided(lambda kernel, x: (x @ kernel, x.sum(1)), [kernel], [x])
    assert sizes == 4 * (3 * 8 + 3)  # though x is smaller
    assert operations == []


@jax.custom_jvp
def rounded(x):
    return jnp.round(4 * x) / 4


rounded.defjvp(lambda primals, tangents: (rounded(*primals), tangents[0] * primals[0]))


@pytest.mark.parametrize("order", [1, 2])
def test_a_derivative_of_its_own_is_kept(order):
    """A step whose rounding has a derivative that JAX would not find, by the rule for unrolls."""
    cell = jaxrnn.elman(H)

    def update(params, carry, u, v):
        h = carry.h
        return type(carry)(jnp.tanh(u + v) * rounded(h) + 0.5 * rounded(u))

    cell = cell._replace(update=update)
    ex = cell_example(cell)

    def loss(xs, engine):
        return total(jaxrnn.unroll(cell, ex.params, ex.carry, xs, implementation=engine))

    def run(engine):
        one = jax.grad(loss)
        two = jax.grad(lambda xs: total(one(xs, engine)))
        return jax.jit(two if order == 2 else lambda xs: one(xs, engine))(ex.xs)

    assert_close(run("pallas"), run("xla"), 1e-12)
