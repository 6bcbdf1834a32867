"""What the derivative finds out about a cell."""

import jax
import jax.numpy as jnp
import pytest
from jaxrnn._structure import projects_linearly, takes_sum

import jaxrnn
from jaxrnn._core.masking import masked

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
    """An Elman cell with other gates."""

    def update(params, carry, u, v):
        h, y = function(u, v)
        return jaxrnn.HiddenCarry(h), y

    return ELMAN._replace(update=update)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (jaxrnn.lstm(H), True),
        (ELMAN, True),
        (jaxrnn.gru(H), False),
        (jaxrnn.layer_norm_lstm(H), False),
        (updating(lambda u, v: (jnp.tanh(v + u), v + u)), False),  # two sums
        (updating(lambda u, v: (jnp.tanh(u + v), v)), False),
        (updating(lambda u, v: (jnp.tanh(u + v) * u, u + v)), False),
        (updating(lambda u, v: (jnp.tanh(u + 1), u + 1)), False),
        (updating(lambda u, v: (jnp.tanh(u + u), v)), False),
        (updating(lambda u, v: (jnp.tanh(u - v),) * 2), False),
    ],
)
def test_takes_sum(cell, expected):
    carry = jax.eval_shape(lambda x: cell.init_carry(cell.init(jax.random.key(0), x), x), X)
    assert ask(takes_sum, cell, carry) == expected
