"""Cells beside the plain forms of flashrnn: outputs and gradients of the inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.peers import plain_form
from tests.laws.tables import generator

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
T, B, I, H = 9, 3, 4, 5


def gru_of_flashrnn(params):
    """Kernels and bias in the gates of flashrnn: r z n of the input, n r z of the state."""
    n, r, z = (slice(k * H, (k + 1) * H) for k in (2, 0, 1))
    recurrent = torch.cat([params.recurrent_kernel[:, gate] for gate in (n, r, z)], dim=1)
    bias = torch.cat([params.recurrent_bias, params.bias[r], params.bias[z], params.bias[n]])
    return params.kernel, recurrent, bias


CASES = {
    "elman": (jaxrnn.elman(H), 1, tuple),
    "lstm": (jaxrnn.lstm(H), 2, tuple),
    "gru": (jaxrnn.gru(H), 1, gru_of_flashrnn),
    "slstm": (jaxrnn.slstm(H), 4, tuple),
}


@pytest.mark.parametrize("kind", CASES)
def test_equals_flashrnn(kind):
    step = plain_form("flashrnn", f"flashrnn/vanilla/{kind}.py").flashrnn_forward_pointwise
    cell, num_states, given = CASES[kind]
    rng = generator(jax.random.key(0))
    xs, weights = rng.standard_normal((T, B, I)), rng.standard_normal((T, B, H))
    params = cell.init(jax.random.key(1), jnp.zeros((B, I)))
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.standard_normal(leaf.shape)), params)

    @jax.jit
    def ours(xs):
        _, ys = jaxrnn.unroll(cell, params, None, xs)
        return (weights * ys).sum(), ys

    grad, ys = jax.grad(ours, has_aux=True)(jnp.asarray(xs))
    kernel, recurrent, bias = given(
        jax.tree.map(lambda leaf: torch.tensor(np.asarray(leaf)), params)
    )
    inputs = torch.tensor(xs, requires_grad=True)
    states, outputs = torch.zeros(B, num_states, 1, H, dtype=torch.float64), []
    for x in inputs:
        projected, fed_back = (
            (v @ m).view(B, -1, 1, H) for v, m in ((x, kernel), (states[:, 0, 0], recurrent))
        )
        states, _ = step(projected, fed_back, bias.view(-1, 1, H), states, {})
        outputs.append(states[:, 0, 0])
    (torch.tensor(weights) * torch.stack(outputs)).sum().backward()
    np.testing.assert_allclose(ys, torch.stack(outputs).detach(), rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(grad, inputs.grad, rtol=1e-9, atol=1e-11)
