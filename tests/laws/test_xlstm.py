"""The sLSTM beside the plain form of xlstm: outputs and gradients of the inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.peers import plain_form
from tests.laws.tables import generator

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
T, B, I, H = 9, 3, 4, 5


def test_equals_xlstm():
    path = "blocks/slstm/src/vanilla/slstm.py"
    step, cell = plain_form("xlstm", path).slstm_forward_pointwise, jaxrnn.slstm(H)
    rng = generator(jax.random.key(0))
    xs, weights = rng.standard_normal((T, B, I)), rng.standard_normal((T, B, H))
    params = cell.init(jax.random.key(1), jnp.zeros((B, I)))
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.standard_normal(leaf.shape)), params)

    @jax.jit
    def ours(xs):
        _, ys = jaxrnn.unroll(cell, params, None, xs)
        return (weights * ys).sum(), ys

    grad, ys = jax.grad(ours, has_aux=True)(jnp.asarray(xs))
    kernel, recurrent, bias = (torch.tensor(np.asarray(leaf)) for leaf in params)
    given = torch.tensor(xs, requires_grad=True)
    states, outputs = torch.zeros(4, B, H, dtype=torch.float64), []
    for x in given:
        states, _ = step(x @ kernel, states[0] @ recurrent, bias, states, {})
        outputs.append(states[0])
    (torch.tensor(weights) * torch.stack(outputs)).sum().backward()
    np.testing.assert_allclose(ys, torch.stack(outputs).detach(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grad, given.grad, rtol=1e-9, atol=1e-11)
