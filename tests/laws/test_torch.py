"""Parity with torch, in values and gradients, for the cells that it has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import CELLS, B, H, I, P, T, cell_example, total

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")


def torch_module(name, params):
    """The torch module with these parameters, and its two biases for ours."""
    case = CELLS[name]
    projected = {"proj_size": P} if hasattr(params, "projection") else {}
    module = getattr(torch.nn, case.torch)(I, H, **projected).double()
    values = {
        "weight_ih_l0": params.kernel.T,
        "weight_hh_l0": params.recurrent_kernel.T,
        "bias_ih_l0": params.bias,
        "bias_hh_l0": jnp.zeros_like(params.bias),
    }
    if case.torch == "GRU":
        values["bias_hh_l0"] = values["bias_hh_l0"].at[2 * H :].set(params.recurrent_bias)
    if projected:
        values["weight_hr_l0"] = params.projection.T
    tensors = {k: torch.from_numpy(np.array(v)) for k, v in values.items()}
    module.load_state_dict(tensors)
    return module


@pytest.mark.parametrize("name", ["elman", "lstm", "gru", "projected_lstm"])
@pytest.mark.parametrize("implementation", ["scan", "xla"])
def test_values_and_gradients(name, implementation):
    ex = cell_example(CELLS[name].cell)

    def loss(params, carry, xs):
        out = jaxrnn.unroll(CELLS[name].cell, params, carry, xs, implementation=implementation)
        return total(out), out

    grad = jax.jit(jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True))
    (_, (carry, ys)), (dparams, dcarry, dxs) = grad(ex.params, ex.carry, ex.xs)

    module = torch_module(name, ex.params)
    tensor = [torch.from_numpy(np.array(a)).requires_grad_() for a in (*ex.carry, ex.xs)]
    *state, xs = tensor
    state = [h[None] for h in state]
    want_ys, want_carry = module(xs, tuple(state) if len(state) > 1 else state[0])
    want_carry = want_carry if isinstance(want_carry, tuple) else (want_carry,)
    outputs = [h[0] for h in want_carry] + [want_ys]
    torch_total(outputs).backward()

    def close(actual, expected):
        np.testing.assert_allclose(actual, expected.detach().numpy(), rtol=1e-10, atol=1e-12)

    for actual, expected in zip((*carry, ys), outputs, strict=True):
        close(actual, expected)
    for actual, expected in zip((*dcarry, dxs), tensor, strict=True):
        close(actual, expected.grad)
    close(dparams.kernel, module.weight_ih_l0.grad.T)
    close(dparams.recurrent_kernel, module.weight_hh_l0.grad.T)
    close(dparams.bias, module.bias_ih_l0.grad)
    if name == "gru":
        close(dparams.recurrent_bias, module.bias_hh_l0.grad[2 * H :])
    if name == "projected_lstm":
        close(dparams.projection, module.weight_hr_l0.grad.T)
    assert ys.shape == (T, B, P if name == "projected_lstm" else H)


def torch_total(leaves):
    """`tests.tables.total` in torch."""
    weights = [torch.cos(torch.arange(leaf.numel(), dtype=leaf.dtype)) for leaf in leaves]
    return sum(
        (w.reshape(leaf.shape) * torch.sin(leaf)).sum()
        for w, leaf in zip(weights, leaves, strict=True)
    )
