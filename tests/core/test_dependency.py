"""What the derivative and its schedules find out about a cell."""

import jax
import jax.numpy as jnp
import pytest

import jaxrnn
from jaxrnn._core.dependency import dependent, nonlinear_term
from jaxrnn._core.masking import masked
from jaxrnn.engines._structure import projects_linearly, takes_sum

B, I, H = 3, 5, 4
X = jax.ShapeDtypeStruct((B, I), jnp.float32)
IS_REAL = jax.ShapeDtypeStruct((B,), jnp.bool_)
ELMAN = jaxrnn.elman(H)


def ask(question, cell, *more):
    """Of the cell, and of the same with a mask."""
    params = jax.eval_shape(lambda x: cell.init(jax.random.key(0), x), X)
    answer = question(cell, params, *more, X)
    assert question(masked(cell), params, *more, (X, IS_REAL)) == answer
    return answer


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (jaxrnn.lstm(H), True),
        (jaxrnn.gru(H), True),
        (ELMAN, True),
        (jaxrnn.projected_lstm(H, 2), True),
        (jaxrnn.layer_norm_lstm(H), False),
        (ELMAN._replace(project=lambda params, x: jnp.tanh(ELMAN.project(params, x))), False),
    ],
)
def test_projects_linearly(cell, expected):
    assert ask(projects_linearly, cell) == expected


def updating(function):
    """An Elman cell with another state equation."""

    def update(params, carry, u, v):
        return jaxrnn.HiddenCarry(function(u, v))

    return ELMAN._replace(update=update)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (jaxrnn.lstm(H), True),
        (ELMAN, True),
        (jaxrnn.gru(H), False),
        (jaxrnn.layer_norm_lstm(H), False),
        (updating(lambda u, v: jnp.tanh(v + u) * (v + u)), False),  # two sums
        (updating(lambda u, v: jnp.tanh(u + v) * v), False),
        (updating(lambda u, v: jnp.tanh(u + v) * u), False),
        (updating(lambda u, v: jnp.tanh(u + 1)), False),
        (updating(lambda u, v: jnp.tanh(u + u) + v), False),
        (updating(lambda u, v: jnp.tanh(u - v)), False),
    ],
)
def test_takes_sum(cell, expected):
    carry = jax.eval_shape(lambda x: cell.init_carry(cell.init(jax.random.key(0), x), x), X)
    assert ask(takes_sum, cell, carry) == expected


def test_dependent_follows_values_through_calls():
    def function(fixed, varying):
        halves = jax.jit(lambda w: (w[:2], w[2:]))(fixed)
        mixed = jax.jit(lambda a, b: (a, b))(halves[0], varying)
        return *halves, *mixed, varying @ fixed

    assert dependent(function, jnp.ones((4, 3)), jnp.ones(4)) == [False, False, False, True, True]


@pytest.mark.parametrize(
    ("function", "term"),
    [
        (lambda w, h: h @ w, None),
        (lambda w, h: h @ w + 1.0, None),
        (lambda w, h: jnp.split(3.0 * h, 2, axis=-1), None),
        (lambda w, h: jnp.where(w[0] > 0, h, 0.0), None),
        (lambda w, h: jax.jit(lambda h: h @ w)(h), None),
        (lambda w, h: jnp.tanh(h) @ w, "`tanh`"),
        (lambda w, h: h * h, "`mul`"),
        (lambda w, h: jax.jit(lambda h: h / (1 + h))(h), "`div`"),
        (lambda w, h: h @ h.T, "`dot_general`"),
    ],
)
def test_the_term_that_is_not_linear(function, term):
    found = nonlinear_term(function, jnp.ones((4, 4)), jnp.ones((2, 4)))
    assert (found is None) if term is None else found.startswith(term)
