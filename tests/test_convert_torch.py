"""Weights from and to torch."""

import jax
import numpy as np
import pytest

import jaxrnn
from jaxrnn.convert import from_torch, to_torch
from tests.converting import (
    Case,
    H,
    I,
    Peer,
    assert_bits,
    check_conversion,
    check_narrow_round_trip,
    check_outputs,
    loss_weights,
    random_params,
)

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")

MODULES = {
    jaxrnn.LSTMParams: torch.nn.LSTM,
    jaxrnn.GRUParams: torch.nn.GRU,
    jaxrnn.ElmanParams: torch.nn.RNN,
}
every_cell = pytest.mark.parametrize("cell", MODULES, ids=lambda cell: cell.__name__)


def module_of(case, **options):
    options |= {"num_layers": case.layers, "bidirectional": case.directions == 2}
    return MODULES[case.cell](I, H, **{"dtype": torch.float64} | options)


def run(module):
    """Of this module: outputs and gradients for a state dict."""

    def values_and_gradients(state, xs):
        module.load_state_dict(state)
        module.zero_grad()
        xs = torch.tensor(xs, requires_grad=True)
        ys = module(xs)[0]
        (torch.from_numpy(loss_weights(ys.detach().numpy())) * ys).sum().backward()
        grads = {name: p.grad.numpy() for name, p in module.named_parameters()}
        return ys.detach().numpy(), xs.grad.numpy(), {name: grads[name] for name in state}

    return values_and_gradients


@every_cell
def test_outputs_gradients_and_round_trip(cell):
    case = Case(cell, layers=2, directions=2)
    check_conversion(case, Peer(to_torch, from_torch, run(module_of(case))))


@every_cell
def test_narrow_round_trip(cell):
    case = Case(cell, layers=3, directions=2)
    check_narrow_round_trip(case, lambda dtype: Peer(to_torch, from_torch, None))


def test_activation_of_the_module():
    case = Case(jaxrnn.ElmanParams, layers=1)
    module = module_of(case, nonlinearity="relu")

    def read(state):
        module.load_state_dict(state)
        return from_torch(module)

    def read_state(state):
        return from_torch(state, activation=jax.nn.relu)

    check_outputs(case, Peer(to_torch, read, run(module)))
    check_outputs(case, Peer(to_torch, read_state, run(module)))


@every_cell
def test_without_biases(cell):
    case = Case(cell, layers=2)
    params = from_torch(module_of(case, bias=False)).params
    assert all(not array.any() for p in params for array in p[2:])
    assert_bits(from_torch(to_torch(params)).params, params)


LSTM = random_params(Case(jaxrnn.LSTMParams, layers=2, directions=2), np.random.default_rng(0))


def test_a_file_and_a_prefix(tmp_path):
    save_file = pytest.importorskip("safetensors.torch", reason="needs safetensors").save_file
    state = {f"encoder.lstm.{name}": tensor for name, tensor in to_torch(LSTM).items()}
    state |= {"head.weight": torch.ones(2), "encoder.steps": torch.ones(1, dtype=torch.int32)}
    save_file(state, tmp_path / "model.safetensors")
    for source in (state, tmp_path / "model.safetensors", str(tmp_path / "model.safetensors")):
        assert_bits(from_torch(source, prefix="encoder.lstm.").params, LSTM)


def test_what_is_converted_shares_no_memory():
    module = module_of(Case(jaxrnn.LSTMParams, layers=1))
    params = from_torch(module).params
    before = np.array(params.kernel)
    with torch.no_grad():
        module.weight_ih_l0.zero_()
    np.testing.assert_array_equal(params.kernel, before)
