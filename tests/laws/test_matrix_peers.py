"""Cells whose state is a matrix, and Mamba, beside the plain forms of fla, xlstm and mambapy."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.cells._matrix_state import Readout, recall
from tests.laws.peers import plain_form
from tests.laws.tables import generator

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
T, B, I, H, N = 70, 2, 5, 8, 2


def unrolled(cell, dtype=jnp.float32):
    """What the cell projects, as tensors, and its outputs in parallel over time."""
    rng = generator(jax.random.key(0))
    xs = jnp.asarray(rng.standard_normal((T, B, I)), dtype)
    params = jax.tree.map(
        lambda leaf: leaf + jnp.asarray(rng.standard_normal(leaf.shape) / 3, dtype),
        cell.init(jax.random.key(0), xs[0]),
    )
    _, ys = jaxrnn.unroll(cell, params, None, xs, implementation="associative")
    u = cell.project(params, xs)
    return params, jax.tree.map(lambda x: torch.tensor(np.asarray(x)), u), np.asarray(ys)


def reading(cell):
    """The cell with what it recalls for an output."""
    return cell._replace(output=Readout(recall, lambda params, recalled, extra: recalled))


def batch_first(x, *axes):
    return x.permute(1, *axes)


def test_gated_linear_attention_equals_fla():
    plain = plain_form("fla", "ops/gla/naive.py")
    _, u, ys = unrolled(reading(jaxrnn.gated_linear_attention(H, N)))
    q, k, v, gate = (batch_first(x, 0, 2, 3) for x in (u.query, u.key, u.value, u.gate))
    expected, _ = plain.naive_recurrent_gla(q * (H // N) ** 0.5, k, v, gate)
    np.testing.assert_allclose(ys, expected.permute(1, 0, 2, 3), rtol=1e-5, atol=1e-5)


def test_retention_equals_fla():
    plain = plain_form("fla", "ops/retention/naive.py")
    _, u, ys = unrolled(reading(jaxrnn.retention(H, N)))
    q, k, v = (batch_first(x, 2, 0, 3) for x in (u.query, u.key, u.value))
    expected = plain.naive_retention(q * (H // N) ** 0.5, k, v)
    np.testing.assert_allclose(ys, expected.permute(2, 0, 1, 3), rtol=1e-5, atol=1e-5)


def test_delta_net_equals_fla():
    pytest.importorskip("einops", reason="einops, which fla asks for, is not installed")
    plain = plain_form("fla", "ops/delta_rule/naive.py")
    _, u, ys = unrolled(reading(jaxrnn.delta_net(H, N)))
    q, k, v, rate = (batch_first(x, 2, 0, 3) for x in (u.query, u.key, u.value, u.gate))
    expected, _ = plain.delta_rule_recurrence(q * (H // N) ** 0.5, k, v, rate)
    np.testing.assert_allclose(ys, expected.permute(2, 0, 1, 3), rtol=1e-5, atol=1e-5)


def test_mlstm_equals_xlstm():
    step = plain_form("xlstm", "blocks/mlstm/backends.py").recurrent_step_stabilized_simple
    cell = jaxrnn.mlstm(H, N)
    _, u, ys = unrolled(cell, jnp.float64)
    size = H // N
    states = torch.zeros(B, N, size, size), torch.zeros(B, N, size, 1), torch.zeros(B, N, 1, 1)
    states = [state.double() for state in states]
    forget = torch.log(u.gate.log_forget.exp() / -torch.expm1(u.gate.log_forget))
    for t in range(T):
        q, k, v = (x[t][:, :, None].clone() for x in (u.query, u.key * size**0.5, u.value))
        i, f = (x[t][..., None, None] for x in (u.gate.log_input, forget))
        y, states = step(*states, q, k, v, i, f, eps=0.0)
        expected = torch.sigmoid(u.extra[t]) * y[:, :, 0]
        np.testing.assert_allclose(ys[t], expected.reshape(B, H), rtol=1e-9, atol=1e-10)


def test_mamba_equals_mambapy():
    block = plain_form("mambapy", "mamba.py").MambaBlock
    cell = jaxrnn.mamba(4)
    params, u, ys = unrolled(cell)
    xs = u.extra[1]
    low, b, c = np.split(np.asarray(xs) @ np.asarray(params.kernel), [1, 5], axis=-1)
    step = torch.tensor(low @ np.asarray(params.step_kernel) + np.asarray(params.step_bias))
    sizes = types.SimpleNamespace(d_inner=I, d_state=4)
    expected = block.selective_scan_seq(
        types.SimpleNamespace(config=sizes),
        *(batch_first(x, 0, 2) for x in (xs, torch.nn.functional.softplus(step))),
        -torch.exp(torch.tensor(np.asarray(params.log_decay))),
        *(batch_first(torch.tensor(x), 0, 2) for x in (b, c)),
        torch.tensor(np.asarray(params.skip)),
    )
    np.testing.assert_allclose(ys, expected.permute(1, 0, 2), rtol=1e-5, atol=1e-5)
