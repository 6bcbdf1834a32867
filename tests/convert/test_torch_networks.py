"""Cells, reparametrized modules and whole networks from torch."""

import jax
import numpy as np
import pytest

import jaxrnn
from jaxrnn.cells import ElmanParams, GRUParams, LSTMParams
from jaxrnn.convert import from_torch, to_torch
from jaxrnn.wrappers import WeightNormParams
from tests.convert.converting import B, H, I, T, assert_bits, assert_close, random_inputs

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
nn = torch.nn
SYMBOLS = 11
DOUBLE = {"dtype": torch.float64}


def outputs(network, xs):
    layer, params = network
    return layer.apply(params, None, xs)[1]


def inputs():
    return random_inputs(np.random.default_rng(0))


def run_cell(cell, xs):
    state, ys = None, []
    for x in torch.from_numpy(xs):
        state = cell(x, state)
        ys.append(state[0] if isinstance(state, tuple) else state)
    return torch.stack(ys).detach().numpy()


CELLS = {
    "LSTMCell": (nn.LSTMCell, {}, LSTMParams),
    "GRUCell": (nn.GRUCell, {}, GRUParams),
    "RNNCell": (nn.RNNCell, {}, ElmanParams),
    "RNNCell with relu": (nn.RNNCell, {"nonlinearity": "relu"}, ElmanParams),
    "LSTMCell without biases": (nn.LSTMCell, {"bias": False}, LSTMParams),
}


@pytest.mark.parametrize(("kind", "options", "params"), CELLS.values(), ids=CELLS)
def test_cells(kind, options, params):
    cell, xs = kind(I, H, **options, **DOUBLE), inputs()
    network = from_torch(cell)
    assert isinstance(network.params, params)
    assert_close(outputs(network, xs), run_cell(cell, xs), 1e-12)
    if "nonlinearity" not in options:
        assert from_torch(cell.state_dict()).layer == network.layer


def modern(module, name):
    return nn.utils.parametrizations.weight_norm(module, name)


def legacy(module, name):
    with pytest.warns(FutureWarning, match="weight_norm"):
        return nn.utils.weight_norm(module, name)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("normalize", [modern, legacy])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "projected"])
def test_weight_norm(kind, normalize):
    options = {"num_layers": 2, "bidirectional": True, **DOUBLE}
    if kind == "projected":
        module = nn.LSTM(I, H + 2, proj_size=H, **options)
    else:
        module = getattr(nn, kind)(I, H, **options)
    names = ["weight_hh_l0", "weight_hh_l0_reverse", "weight_ih_l1"]
    names += ["weight_hr_l1"] if kind == "projected" else []
    for name in names:
        normalize(module, name)
    with torch.no_grad():
        for weight in module.parameters():
            weight += 0.1 * torch.randn_like(weight)  # so that g is not the length of v
    xs = inputs()
    want = module(torch.from_numpy(xs))[0].detach()
    for source in (module, module.state_dict()):
        network = from_torch(source)
        assert_close(outputs(network, xs), want, 1e-12)
    first, second = network.params
    assert isinstance(first.forward, WeightNormParams)
    assert first.forward.gains.kernel is None
    assert second.backward.__class__ is not WeightNormParams
    if normalize is modern:
        state = to_torch(network.params)
        assert_bits(from_torch(state).params, network.params)
        module.load_state_dict(state)
        assert_close(module(torch.from_numpy(xs))[0].detach(), want, 1e-12)


def test_weight_norm_of_rows_only():
    module = nn.LSTM(I, H)
    nn.utils.parametrizations.weight_norm(module, "weight_hh_l0", dim=1)
    with pytest.raises(ValueError, match=r"`weight_hh_l0` must have one length for each row"):
        from_torch(module)


def test_other_parametrizations():
    module = nn.LSTM(I, H)
    nn.utils.parametrizations.spectral_norm(module, "weight_hh_l0")
    with pytest.raises(ValueError, match=r"parametrizations.weight_hh_l0.*not `weight_norm`"):
        from_torch(module)


class Tagger(nn.Module):
    def __init__(self, width=2 * H):
        super().__init__()
        self.embed = nn.Embedding(SYMBOLS, I, **DOUBLE)
        self.encoder = nn.LSTM(I, H, num_layers=2, bidirectional=True, batch_first=True, **DOUBLE)
        self.drop = nn.Dropout(0.4)
        self.decoder = nn.GRU(width, H, bias=False, batch_first=True, **DOUBLE)
        linears = nn.Linear(H, 6, **DOUBLE), nn.Linear(6, 3, **DOUBLE)
        self.head = nn.Sequential(nn.Identity(), *linears)

    def forward(self, symbols):
        ys, _ = self.encoder(self.embed(symbols))
        ys, _ = self.decoder(self.drop(ys))
        return self.head(ys)


def test_a_network():
    module = Tagger().eval()
    symbols = np.random.default_rng(0).integers(0, SYMBOLS, (T, B))
    network = from_torch(module)
    with torch.no_grad():
        want = module(torch.from_numpy(symbols.T)).numpy().swapaxes(0, 1)
    assert_close(outputs(network, symbols), want, 1e-12)
    assert network.layer == jaxrnn.stack(
        jaxrnn.embed(SYMBOLS, I, dtype=np.dtype("float64")),
        jaxrnn.bidirectional(jaxrnn.lstm(H), jaxrnn.lstm(H)),
        jaxrnn.bidirectional(jaxrnn.lstm(H), jaxrnn.lstm(H)),
        jaxrnn.dropout(0.4),
        jaxrnn.rnn(jaxrnn.gru(H, use_bias=False)),
        jaxrnn.dense(6),
        jaxrnn.dense(3),
    )
    layer, params = network
    noisy = layer.apply(params, None, symbols, key=jax.random.key(0))[1]
    assert np.abs(noisy - want).max() > 1e-3  # the dropout is there


def test_a_shared_module_is_read_at_each_place():
    shared = nn.Linear(H, H, bias=False, **DOUBLE)
    network = from_torch(nn.Sequential(nn.LSTM(H, H, **DOUBLE), shared, shared))
    assert network.layer == jaxrnn.stack(
        jaxrnn.rnn(jaxrnn.lstm(H)), *[jaxrnn.dense(H, use_bias=False)] * 2
    )


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(H))
        self.rnn = nn.GRU(I, H)


BAD = {
    "a layer that jaxrnn has not": (
        lambda: nn.Sequential(nn.LSTM(I, H), nn.LayerNorm(H)),
        TypeError,
        r"`1` \(LayerNorm\) has parameters of its own",
    ),
    "an activation": (
        lambda: nn.ModuleDict({"rnn": nn.LSTM(I, H), "act": nn.ReLU()}),
        TypeError,
        r"`act` \(ReLU\) has no jaxrnn layer",
    ),
    "parameters of its own": (Scaled, TypeError, r"parameters of its own, \['scale'\]"),
    "children that do not chain": (
        lambda: Tagger(width=H),
        ValueError,
        r"`encoder` \(LSTM\), layer 1 returns 10 features, but `decoder` \(GRU\) expects 5",
    ),
    "an embedding in between": (
        lambda: nn.Sequential(nn.Linear(I, H), nn.Embedding(SYMBOLS, I)),
        ValueError,
        r"`0` \(Linear\) returns 5 features, but `1` \(Embedding\) expects symbols",
    ),
    "an embedding with a norm": (
        lambda: nn.Sequential(nn.Embedding(SYMBOLS, I, max_norm=1.0)),
        ValueError,
        r"`0` \(Embedding\) has `max_norm`",
    ),
    "a reparametrized Linear": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(I, H))),
        ValueError,
        r"`0` \(ParametrizedLinear\) has the unexpected weights",
    ),
    "nothing": (lambda: nn.Sequential(), TypeError, "Sequential has no jaxrnn layer"),
}


@pytest.mark.parametrize(("make", "error", "message"), BAD.values(), ids=BAD)
def test_bad_networks(make, error, message):
    with pytest.raises(error, match=message):
        from_torch(make())
