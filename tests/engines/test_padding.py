"""The C++ kernels do not read inputs where they are masked, and skip masked steps of any kind."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.engines.cpu import _library
from tests.laws.tables import assert_close, total
from tests.marks import later

pytestmark = pytest.mark.skipif(_library.problem() is not None, reason=str(_library.problem()))

T, B, I, H = 7, 5, 3, 4


def adds_input(cell):
    """`cell`, whose output reads the projected input too."""

    def output(params, carry, u):
        return cell.output(params, carry, u) + u[..., :H]

    return cell._replace(output=output)


def squares_input(cell):
    """`cell`, whose projection is no product of the inputs alone."""

    def project(params, x):
        return cell.project(params, x * x)

    return cell._replace(project=project)


CELLS = {
    "lstm": jaxrnn.lstm(H),
    "gru": jaxrnn.gru(H),
    "coupled_lstm": jaxrnn.coupled_lstm(H),
    "output of a kernel": adds_input(jaxrnn.elman(H)),
    "output of a program": adds_input(jaxrnn.coupled_lstm(H)),
    "projection of a kernel": squares_input(jaxrnn.gru(H)),
    "projection of a program": squares_input(jaxrnn.coupled_lstm(H)),
    "mamba": jaxrnn.mamba(2),
}


def value(loss, params, xs):
    return loss(params, xs)


def gradient(loss, params, xs):
    return jax.grad(loss, (0, 1))(params, xs)


def tangent(loss, params, xs):
    return jax.jvp(loss, (params, xs), jax.tree.map(jnp.ones_like, (params, xs)))


def second_order(loss, params, xs):
    return jax.jvp(lambda p: jax.grad(loss, (0, 1))(p, xs), (params,), (params,))


def ensemble(loss, params, xs):
    several = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), params)
    return jax.vmap(jax.grad(loss, (0, 1)), (0, None))(several, xs)


@pytest.mark.parametrize("reverse", [False, later(True)])
@pytest.mark.parametrize("asked", [value, gradient, tangent, second_order, ensemble])
@pytest.mark.parametrize("name", CELLS)
def test_nan_in_padding_changes_no_bit(name, asked, reverse):
    cell = CELLS[name]
    mask = jaxrnn.length_mask(np.array([7, 0, 3, 1, 6]), T)
    xs = jax.random.normal(jax.random.key(0), (T, B, I))
    params = cell.init(jax.random.key(1), xs[0])

    @jax.jit
    def run(xs):
        def loss(params, xs):
            options = {"mask": mask, "reverse": reverse, "implementation": "native"}
            carry, ys = jaxrnn.unroll(cell, params, None, xs, **options)
            return jnp.mean(ys**2) + sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(carry))

        return asked(loss, params, xs)

    at = mask[..., None]
    jax.tree.map(
        np.testing.assert_array_equal, run(jnp.where(at, xs, jnp.nan)), run(jnp.where(at, xs, 1.0))
    )


ROWS = np.arange(B)
AS_MANY = {  # three real steps of each row
    "at the start": lambda t: np.broadcast_to(t < 3, (T, B)),
    "at the end": lambda t: np.broadcast_to(t >= T - 3, (T, B)),
    "apart": lambda t: np.broadcast_to(t % 3 == 1, (T, B)) | (t == 0),
    "elsewhere": lambda t: (t - ROWS) % T < 3,
}


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("has_resets", [False, True])
@pytest.mark.parametrize("where", AS_MANY)
@pytest.mark.parametrize("name", ["gru", "coupled_lstm", "output of a program", "mamba"])
def test_rows_with_as_many_real_steps(name, where, has_resets, reverse):
    """Their order stays, and arrays are read where they lie."""
    cell, mask = CELLS[name], jnp.array(AS_MANY[where](np.arange(T)[:, None]))
    xs = jax.random.normal(jax.random.key(0), (T, B, I))
    resets = jax.random.bernoulli(jax.random.key(2), 0.4, (T, B)) if has_resets else None
    params = cell.init(jax.random.key(1), xs[0])
    flags = {"mask": mask, "resets": resets, "reverse": reverse}

    def run(implementation):
        def loss(params, xs):
            carry, ys = jaxrnn.unroll(
                cell, params, None, xs, implementation=implementation, **flags
            )
            return total(ys) + total(carry), (carry, ys)

        return jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))(params, xs)

    assert len(set(np.asarray(mask).sum(0))) == 1
    assert_close(run("native"), run("scan"), 1e-11)
