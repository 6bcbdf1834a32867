"""Cells that read time beside ncps, with its weights: outputs and gradients of the inputs."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.cells import CfCParams, LTCParams, Synapses
from tests.laws.tables import generator

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
pytest.importorskip("ncps", reason="ncps is not installed")
import ncps.torch  # noqa: E402
import ncps.wirings  # noqa: E402

T, B, I, H, K = 6, 3, 4, 5, 7


def cfc():
    theirs = ncps.torch.CfCCell(I, H, backbone_units=K).double()
    w = {name: p.detach().numpy().T for name, p in theirs.named_parameters()}
    heads = "ff1", "ff2", "time_a", "time_b"
    params = CfCParams(
        w["backbone.0.weight"][:I],
        w["backbone.0.weight"][I:],
        w["backbone.0.bias"],
        *(np.concatenate([w[f"{h}.{part}"] for h in heads], -1) for part in ("weight", "bias")),
    )
    return jaxrnn.cfc(H, backbone_size=K), params, theirs


def ltc():
    wiring = ncps.wirings.FullyConnected(H)
    theirs = ncps.torch.LTCCell(
        wiring,
        I,
        input_mapping=None,
        output_mapping=None,
        implicit_param_constraints=True,
        epsilon=0.0,
    ).double()
    w = {name: p.detach().numpy() for name, p in theirs.named_parameters()}

    def synapses(kind):
        names = ("w", "sigma", "mu", "erev")
        return Synapses(*(w[kind + name].astype(np.float64) for name in names))

    params = LTCParams(synapses("sensory_"), synapses(""), w["gleak"], w["vleak"], w["cm"])
    return jaxrnn.ltc(H), params, theirs


@pytest.mark.parametrize("build", [cfc, ltc])
def test_equals_ncps(build):
    torch.manual_seed(0)
    cell, params, theirs = build()
    params = jax.tree.map(jnp.asarray, params)
    rng = generator(jax.random.key(0))
    xs, dt = rng.standard_normal((T, B, I)), rng.exponential(size=(T, B)) + 0.1
    weights = rng.standard_normal((T, B, H))

    def loss(xs, dt):
        _, ys = jaxrnn.unroll(cell, params, None, jaxrnn.Timed(xs, dt))
        return (weights * ys).sum(), ys

    grads, ys = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(jnp.asarray(xs), jnp.asarray(dt))
    inputs = [torch.tensor(array, requires_grad=True) for array in (xs, dt)]
    h, outputs = torch.zeros(B, H, dtype=torch.float64), []
    for x, gap in zip(*inputs, strict=True):
        _, h = theirs(x, h, gap[:, None])
        outputs.append(h)
    outputs = torch.stack(outputs)
    (torch.tensor(weights) * outputs).sum().backward()
    np.testing.assert_allclose(ys, outputs.detach(), rtol=1e-10, atol=1e-12)
    for got, want in zip(grads, inputs, strict=True):
        np.testing.assert_allclose(got, want.grad, rtol=1e-9, atol=1e-12)
