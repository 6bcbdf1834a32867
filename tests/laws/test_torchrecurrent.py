"""Cells beside torchrecurrent, with its weights: outputs and gradients of the inputs.

Its LEM is left out, which reads the z before the step where the paper has the z after it.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
theirs = pytest.importorskip("torchrecurrent", reason="torchrecurrent is not installed")

T, B, I, H = 6, 3, 4, 5
STEPS = {"dt": 0.1, "gamma": 1.5, "epsilon": 2.5}


def swap(array, *order):
    """The gates of the last axis in another order."""
    parts = np.split(array, len(order), axis=-1)
    return np.concatenate([parts[i] for i in order], axis=-1)


# The parameters of ours from those of theirs, which are transposed, with one bias.
def usual(w):
    return w["weight_ih"], w["weight_hh"], w["bias_ih"]


def reordered(*order):
    def convert(w):
        return tuple(swap(w[name], *order) for name in ("weight_ih", "weight_hh", "bias_ih"))

    return convert


def bias_on_gates_alone(w):
    """Theirs has no bias on the candidate, which comes first."""
    bias = np.concatenate([w["bias_ih"], np.zeros(H)])
    return swap(w["weight_ih"], 1, 2, 0), w["weight_hh"], bias


CASES = {
    "mgu": (jaxrnn.mgu(H), "MGUCell", {}, usual),
    "ugrnn": (jaxrnn.ugrnn(H), "UGRNNCell", {}, reordered(1, 0)),
    "janet": (jaxrnn.janet(H), "JANETCell", {}, usual),
    "li_gru": (jaxrnn.li_gru(H), "LiGRUCell", {}, usual),
    "minimal_rnn": (
        jaxrnn.minimal_rnn(H),
        "MinimalRNNCell",
        {},
        lambda w: (
            w["weight_ih"],
            w["weight_mm"],
            w["weight_hh"],
            np.concatenate([w["bias_ih"], np.zeros(H)]),
        ),
    ),
    "indrnn": (
        jaxrnn.indrnn(H, jnp.tanh),
        "IndRNNCell",
        {},
        lambda w: (w["weight_ih"], w["vector_u"], w["bias_ih"]),
    ),
    "atr": (jaxrnn.atr(H), "ATRCell", {}, usual),
    "ran": (jaxrnn.ran(H), "RANCell", {}, bias_on_gates_alone),
    "star": (jaxrnn.star(H), "STARCell", {}, usual),
    "brc": (jaxrnn.brc(H), "BRCell", {}, usual),
    "nbrc": (jaxrnn.nbrc(H), "NBRCell", {}, usual),
    "fast_rnn": (
        jaxrnn.fast_rnn(H),
        "FastRNNCell",
        {},
        lambda w: (*usual(w), w["alpha"], w["beta"]),
    ),
    "fast_grnn": (
        jaxrnn.fast_grnn(H),
        "FastGRNNCell",
        {"nonlinearity": "sigmoid"},
        lambda w: (*usual(w), w["zeta"], w["nu"]),
    ),
    "wmc_lstm": (
        jaxrnn.wmc_lstm(H),
        "WMCLSTMCell",
        {},
        lambda w: (w["weight_ih"], w["weight_hh"], w["weight_mh"], w["bias_ih"]),
    ),
    "multiplicative_lstm": (
        jaxrnn.multiplicative_lstm(H),
        "MultiplicativeLSTMCell",
        {},
        lambda w: (
            w["weight_ih"][:, H:],
            w["weight_ih"][:, :H],
            w["weight_hh"],
            w["weight_mh"],
            w["bias_ih"][H:],
        ),
    ),
    "antisymmetric": (
        jaxrnn.antisymmetric(H, step_size=0.3, diffusion=0.02),
        "AntisymmetricRNNCell",
        {"epsilon": 0.3, "gamma": 0.02},
        usual,
    ),
    "gated_antisymmetric": (
        jaxrnn.gated_antisymmetric(H, step_size=0.3, diffusion=0.02),
        "GatedAntisymmetricRNNCell",
        {"epsilon": 0.3, "gamma": 0.02},
        usual,
    ),
    "cornn": (
        jaxrnn.cornn(H, step_size=0.1, gamma=1.5, epsilon=2.5),
        "coRNNCell",
        STEPS,
        lambda w: (
            w["weight_ih"],
            np.concatenate([w["weight_hh"], w["weight_ch"]]),
            w["bias_ih"],
        ),
    ),
    "unicornn": (
        jaxrnn.unicornn(H, step_size=0.2, alpha=0.9),
        "UnICORNNCell",
        {"dt": 0.2, "alpha": 0.9},
        lambda w: (w["weight_ih"], w["weight_hh"], w["weight_ch"], w["bias_ih"]),
    ),
    "peephole_lstm": (
        jaxrnn.peephole_lstm(H),
        "PeepholeLSTMCell",
        {},
        lambda w: (w["weight_ih"], w["weight_hh"], w["bias_ih"], w["weight_ph"]),
    ),
}


def weights_of(cell, seed=0):
    """Random weights in `cell`, of torchrecurrent, and the same as arrays, transposed."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for name, own in cell.named_parameters():
        if own.ndim == 0:  # a number that is not learned
            continue
        value = 0.6 * rng.standard_normal(own.shape)
        if name in ("bias_hh", "bias_ch", "bias_mh"):  # ours has one bias
            value[:] = 0
        if type(cell).__name__ == "MultiplicativeLSTMCell" and name == "bias_ih":
            value[:H] = 0  # ours has none on the factor
        own.data = torch.tensor(value)
        arrays[name] = value.T
    return arrays


@pytest.mark.parametrize("row", CASES)
def test_equals_torchrecurrent(row):
    ours, their_name, options, convert = CASES[row]
    cell = getattr(theirs, their_name)(I, H, dtype=torch.float64, **options)
    arrays = convert(weights_of(cell))
    xs = np.random.default_rng(1).standard_normal((T, B, I))

    inputs, state, outputs = torch.tensor(xs, requires_grad=True), None, []
    for x in inputs:
        state = cell(x, state)
        outputs.append(state[0] if isinstance(state, tuple) else state)
    torch.sin(torch.stack(outputs)).sum().backward()

    like = ours.init(jax.random.key(0), jax.ShapeDtypeStruct((I,), jnp.float64))
    params = type(like)(*map(jnp.asarray, arrays))
    shapes = jax.tree.map(jnp.shape, (params, like))
    assert shapes[0] == shapes[1]

    def loss(xs):
        _, ys = jaxrnn.unroll(ours, params, None, xs)
        return jnp.sin(ys).sum(), ys

    (_, ys), gradient = jax.value_and_grad(loss, has_aux=True)(jnp.asarray(xs))
    want = torch.stack(outputs).detach().numpy()
    np.testing.assert_allclose(ys, want, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(gradient, inputs.grad.numpy(), rtol=1e-9, atol=1e-11)
