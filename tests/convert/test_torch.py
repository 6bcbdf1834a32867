"""Weights from and to torch."""

import jax
import numpy as np
import pytest

import jaxrnn
from jaxrnn import convert
from jaxrnn.cells import ElmanParams, GRUParams, LSTMParams, ProjectedLSTMParams
from jaxrnn.convert import from_torch, to_torch
from tests.convert.converting import (
    SHAPES,
    Case,
    H,
    I,
    Peer,
    assert_bits,
    assert_close,
    check_conversion,
    check_float32,
    check_narrow_round_trip,
    check_outputs,
    loss_weights,
    random_inputs,
    random_params,
    without_biases,
)

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")

MODULES = {
    LSTMParams: torch.nn.LSTM,
    GRUParams: torch.nn.GRU,
    ElmanParams: torch.nn.RNN,
    ProjectedLSTMParams: torch.nn.LSTM,
}
# Only torch has this cell. Its outputs have size H, its memory size M.
M = H + 2
SHAPES[ProjectedLSTMParams] = lambda width: ((width, 4 * M), (H, 4 * M), (4 * M,), (M, H))
every_cell = pytest.mark.parametrize("cell", MODULES, ids=lambda cell: cell.__name__)


def module_of(case, **options):
    options |= {"num_layers": case.layers, "bidirectional": case.directions == 2}
    options = {"dtype": torch.float64} | options
    if case.cell is ProjectedLSTMParams:
        return torch.nn.LSTM(I, M, proj_size=H, **options)
    return MODULES[case.cell](I, H, **options)


def run(module):
    """A function from a state dict and inputs to the outputs and gradients of `module`."""

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
    case = Case(ElmanParams, layers=1)
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
    module = module_of(case, bias=False)
    layer, params = from_torch(module)
    assert_bits(params, without_biases(params))
    assert "use_bias=False" in repr(layer)
    state = to_torch(params)
    assert not any("bias" in name for name in state)
    assert_bits(from_torch(state).params, params)
    xs = random_inputs(np.random.default_rng(0))
    with torch.no_grad():
        assert_close(layer.apply(params, None, xs)[1], module(torch.from_numpy(xs))[0], 1e-12)
    module.load_state_dict(state)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@every_cell
def test_float32(cell):
    case = Case(cell, layers=2, directions=2)
    check_float32(case, Peer(to_torch, from_torch, run(module_of(case, dtype=torch.float32))))


LSTM = random_params(Case(LSTMParams, layers=2, directions=2), np.random.default_rng(0))
PROJECTED = random_params(Case(ProjectedLSTMParams, 2, directions=2), np.random.default_rng(0))


def test_module_with_a_projection():
    module = module_of(Case(ProjectedLSTMParams, layers=2, directions=2))
    module.load_state_dict(to_torch(PROJECTED))
    layer, params = from_torch(module)
    assert_bits(params, PROJECTED)
    xs = random_inputs(np.random.default_rng(1))
    with torch.no_grad():
        want, (h, c) = module(torch.from_numpy(xs))
    final, ys = layer.apply(params, None, xs)
    assert_close(ys, want, 1e-12)
    cells = [cell for layer in final for cell in layer]
    assert_close([cell.h for cell in cells], h, 1e-12)
    assert_close([cell.c for cell in cells], c, 1e-12)


OTHERS = ["keras", "linen", "nnx", "haiku", "equinox", "onnx", "cudnn"]


@pytest.mark.parametrize("peer", OTHERS)
def test_projections_unsupported_by_other_libraries(peer):
    if peer == "onnx":
        pytest.importorskip("onnx", reason="onnx is not installed")
    cell = random_params(Case(ProjectedLSTMParams, layers=1), np.random.default_rng(0))
    for params in (cell, (cell, cell)):
        with pytest.raises(
            TypeError, match="no LSTM with a projection; torch has one, with `proj_"
        ):
            getattr(convert, f"to_{peer}")(params)


def test_a_projection_is_a_product_after_an_lstm():
    """As the error message for other libraries says."""
    rng = np.random.default_rng(0)
    params, xs = random_params(Case(ProjectedLSTMParams, layers=1), rng), random_inputs(rng)
    recurrent_kernel = params.projection @ params.recurrent_kernel
    plain = LSTMParams(params.kernel, recurrent_kernel, params.bias)
    _, ys = jaxrnn.unroll(jaxrnn.lstm(M), plain, None, xs)
    _, want = jaxrnn.unroll(jaxrnn.projected_lstm(M, H), params, None, xs)
    assert_close(ys @ params.projection, want, 1e-13)


def projected(**changes):
    """The arrays of a projected torch LSTM with `changes`; None removes an array."""
    state = {name: tensor.numpy() for name, tensor in to_torch(PROJECTED).items()} | changes
    return {name: array for name, array in state.items() if array is not None}


BAD_PROJECTIONS = {
    "missing in one direction": (
        {"weight_hr_l1_reverse": None},
        r"missing \[weight_hr_l1_reverse\], unexpected \[\]",
    ),
    "not a matrix": ({"weight_hr_l0": np.ones(H)}, "`weight_hr_l0` must be a matrix"),
    "another width": (
        {"weight_hr_l0": np.ones((H + 1, M))},
        r"`weight_hr_l0` must have shape \(5, 7\) .*, got \(6, 7\)",
    ),
    "transposed": ({"weight_hr_l0": np.ones((M, H))}, "28 gate units for 5 hidden units"),
    "of a GRU": (
        {"weight_hh_l0": np.ones((3 * M, H)), "weight_ih_l0": np.ones((3 * M, I))},
        r"3 gates.*expected one of \[4\]",
    ),
}


@pytest.mark.parametrize(("changes", "message"), BAD_PROJECTIONS.values(), ids=BAD_PROJECTIONS)
def test_bad_projections(changes, message):
    with pytest.raises(ValueError, match=message):
        from_torch(projected(**changes))


def test_projections_unsupported_by_torch():
    forward = PROJECTED[0].forward
    transposed = forward._replace(projection=forward.projection.T)
    with pytest.raises(ValueError, match=r"`kernel` must have shape \(3, 20\)"):
        to_torch(transposed)
    xs = jax.ShapeDtypeStruct((2, I), np.float64)
    layers = [jaxrnn.rnn(jaxrnn.projected_lstm(size, H)) for size in (M, M + 1)]
    shapes = jax.eval_shape(jaxrnn.stack(*layers).init, jax.random.key(0), xs)
    with pytest.raises(ValueError, match="one hidden size"):
        to_torch(jax.tree.map(lambda shape: np.zeros(shape.shape), shapes))


@pytest.mark.parametrize("network", ["lstm", "projected"])
def test_file_and_prefix(network, tmp_path):
    save_file = pytest.importorskip("safetensors.torch", reason="needs safetensors").save_file
    params = {"lstm": LSTM, "projected": PROJECTED}[network]
    state = {f"encoder.lstm.{name}": tensor for name, tensor in to_torch(params).items()}
    state |= {"head.weight": torch.ones(2), "encoder.steps": torch.ones(1, dtype=torch.int32)}
    save_file(state, tmp_path / "model.safetensors")
    for source in (state, tmp_path / "model.safetensors", str(tmp_path / "model.safetensors")):
        assert_bits(from_torch(source, prefix="encoder.lstm.").params, params)


def test_converted_arrays_share_no_memory():
    module = module_of(Case(LSTMParams, layers=1))
    params = from_torch(module).params
    before = np.array(params.kernel)
    with torch.no_grad():
        module.weight_ih_l0.zero_()
    np.testing.assert_array_equal(params.kernel, before)
