"""Weights from and to Flax, linen and nnx."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn.cells import ElmanParams, GRUParams, LSTMParams
from jaxrnn.convert import from_linen, from_nnx, to_linen, to_nnx
from tests.convert.converting import (
    Case,
    H,
    I,
    Peer,
    assert_bits,
    check_conversion,
    check_float32,
    check_narrow_round_trip,
    check_outputs,
    gradients,
    random_params,
)

pytest.importorskip("flax", reason="flax is not installed: pip install flax")
import flax.linen as nn
from flax import nnx

LINEN = {
    LSTMParams: nn.OptimizedLSTMCell,
    GRUParams: nn.GRUCell,
    ElmanParams: nn.SimpleCell,
}
NNX = {
    LSTMParams: nnx.OptimizedLSTMCell,
    GRUParams: nnx.GRUCell,
    ElmanParams: nnx.SimpleCell,
}
every_cell = pytest.mark.parametrize("cell", LINEN, ids=lambda cell: cell.__name__)
every_depth = pytest.mark.parametrize(("layers", "directions"), [(1, 1), (2, 2)])


def linen_module(case, cell=None):
    cell = cell or LINEN[case.cell]

    def layer():
        rnns = [nn.RNN(cell(H, param_dtype=float)) for _ in range(case.directions)]
        return nn.Bidirectional(*rnns) if case.directions == 2 else rnns[0]

    return nn.Sequential([layer() for _ in range(case.layers)]) if case.layers > 1 else layer()


def nnx_module(case, cell=None, **options):
    cell = cell or NNX[case.cell]
    options = {"rngs": nnx.Rngs(0), "param_dtype": float, "dtype": float} | options

    def layer(width):
        rnns = [nnx.RNN(cell(width, H, **options)) for _ in range(case.directions)]
        return nnx.Bidirectional(*rnns) if case.directions == 2 else rnns[0]

    layers = [layer(case.directions * H if i else I) for i in range(case.layers)]
    return nnx.Sequential(*layers) if case.layers > 1 else layers[0]


def runner(apply):
    """`gradients` of a batch-first ``apply(weights, xs)``."""
    return gradients(lambda weights, xs: apply(weights, xs.swapaxes(0, 1)).swapaxes(0, 1))


def nnx_apply(module):
    graph, params, rest = nnx.split(module, nnx.Param, ...)

    def apply(weights, xs):
        state, others = jax.tree.map(lambda a: a, (params, rest))  # variables of this trace
        nnx.replace_by_pure_dict(state, weights)
        return nnx.merge(graph, state, others)(xs)

    return apply


def without_recurrent_bias(params):
    """`params` with a zero recurrent bias, because the nnx GRU has none."""

    def clear(p):
        return p._replace(recurrent_bias=np.zeros_like(p.recurrent_bias))

    is_gru = lambda p: isinstance(p, GRUParams)  # noqa: E731
    return jax.tree.map(lambda p: clear(p) if is_gru(p) else p, params, is_leaf=is_gru)


def linen_peer(case):
    return Peer(to_linen, from_linen, runner(linen_module(case).apply))


def nnx_peer(case, **options):
    run = runner(nnx_apply(nnx_module(case, **options)))
    return Peer(to_nnx, from_nnx, run, without_recurrent_bias)


@every_cell
@pytest.mark.parametrize(
    "peer_of", [linen_peer, pytest.param(nnx_peer, marks=pytest.mark.thorough)]
)
def test_outputs_gradients_and_round_trip(cell, peer_of, thorough):
    if cell.__name__ != "GRUParams" and not thorough:
        pytest.skip("needs --thorough")
    case = Case(cell, layers=2, directions=2)
    check_conversion(case, peer_of(case))


@pytest.mark.thorough
def test_float32():
    case = Case(LSTMParams, layers=2, directions=2)
    check_float32(case, linen_peer(case))
    check_float32(case, nnx_peer(case, dtype=np.float32, param_dtype=np.float32))


@every_cell
@pytest.mark.parametrize("directions", [1, 2])
def test_narrow_round_trip(cell, directions):
    case = Case(cell, 1, directions)
    linen = Peer(to_linen, from_linen, None)
    nnx_ = Peer(to_nnx, from_nnx, None, without_recurrent_bias)
    for peer in (linen, nnx_):
        check_narrow_round_trip(case, lambda dtype, peer=peer: peer)


def test_cells_with_an_array_for_each_gate():
    """`nn.LSTMCell` has the names of `nn.OptimizedLSTMCell`, and `nnx.LSTMCell` nearly so."""
    case = Case(LSTMParams, layers=1)
    params = random_params(case, np.random.default_rng(0))
    run = runner(linen_module(case, nn.LSTMCell).apply)
    check_outputs(case, Peer(to_linen, from_linen, run))
    gates = to_linen(params)["params"]["cell"]
    gates["if_"] = gates.pop("if")
    module = nnx_module(case, nnx.LSTMCell)
    nnx.update(module, {"cell": gates})
    assert_bits(from_nnx(module).params, params)


def test_options_of_nnx_modules():
    case = Case(ElmanParams, layers=1)
    module = nnx_module(case, activation_fn=jax.nn.relu)
    run = runner(nnx_apply(module))

    def read(weights):
        nnx.update(module, weights)
        return from_nnx(module)

    check_outputs(case, Peer(to_nnx, read, run))
    check_outputs(case, Peer(to_nnx, lambda w: from_nnx(w, activation=jax.nn.relu), run))
    state = nnx.state(module, nnx.Param)
    assert_bits(from_nnx(state).params, from_nnx(module).params)
    assert_bits(from_nnx(module.cell).params, from_nnx(module).params)


def test_recurrent_bias_of_a_gru_is_not_dropped_in_nnx():
    params = random_params(Case(GRUParams, layers=1), np.random.default_rng(0))
    with pytest.raises(ValueError, match="`recurrent_bias` is not zero"):
        to_nnx(params)
    assert_bits(from_linen(to_linen(params)).params, params)


RNGS = nnx.Rngs(0)
LSTM = to_linen(random_params(Case(LSTMParams, layers=1), np.random.default_rng(0)))


def changed(name, value):
    cell = LSTM["params"]["cell"] | {name: value}
    return {"params": {"cell": {k: v for k, v in cell.items() if v is not None}}}


BAD = {
    "a missing gate": (
        from_linen,
        lambda: changed("hf", None),
        ValueError,
        r"missing \[hf/bias, hf/kernel\]",
    ),
    "an extra weight": (
        from_linen,
        lambda: changed("norm", {"scale": np.ones(3)}),
        ValueError,
        r"unexpected \[norm/scale\]",
    ),
    "a wrong shape": (
        from_linen,
        lambda: changed("if", {"kernel": np.ones((I, H + 1))}),
        ValueError,
        r"`if/kernel` must have shape \(3, 5\)",
    ),
    "a matrix that is not square": (
        from_linen,
        lambda: changed("hi", {"kernel": np.ones((H, 2 * H)), "bias": np.ones(H)}),
        ValueError,
        "2 gates",
    ),
    "a wrong number of gates": (
        from_nnx,
        lambda: {"dense_i": {"kernel": np.ones((I, H))}, "dense_h": {"kernel": np.ones((H, 9))}},
        ValueError,
        "1.8 gates",
    ),
    "a larger model": (
        from_linen,
        lambda: {"params": LSTM["params"] | {"Dense_0": {"kernel": np.ones((H, 2))}}},
        ValueError,
        r"unexpected \[Dense_0\]",
    ),
    "a missing direction": (
        from_linen,
        lambda: {"params": {"forward_rnn": LSTM["params"]}},
        ValueError,
        r"missing \[backward_rnn\]",
    ),
    "another library": (
        from_linen,
        lambda: {"weight_ih_l0": np.ones((4 * H, I))},
        ValueError,
        "another library",
    ),
    "not a mapping": (from_linen, lambda: "params.msgpack", TypeError, "got str"),
    "not a module": (from_nnx, lambda: nn.LSTMCell(H), TypeError, "nnx module or its state"),
    "another module": (
        from_nnx,
        lambda: nnx.Linear(I, H, rngs=RNGS),
        ValueError,
        "missing .dense_h/kernel, dense_i/kernel.",
    ),
    "other gates": (
        from_nnx,
        lambda: nnx.GRUCell(I, H, rngs=RNGS, gate_fn=jax.nn.hard_sigmoid),
        ValueError,
        "`gate_fn` of GRUCell",
    ),
    "a residual connection": (
        from_nnx,
        lambda: nnx.SimpleCell(I, H, rngs=RNGS, residual=True),
        ValueError,
        "`residual` of SimpleCell",
    ),
    "backwards": (
        from_nnx,
        lambda: nnx.RNN(nnx.GRUCell(I, H, rngs=RNGS), reverse=True),
        ValueError,
        "`reverse` of RNN",
    ),
    "another merge_fn": (
        from_nnx,
        lambda: nnx.Bidirectional(
            *[nnx.RNN(nnx.GRUCell(I, H, rngs=RNGS)) for _ in range(2)], merge_fn=jnp.add
        ),
        ValueError,
        "merge_fn",
    ),
}


@pytest.mark.parametrize(("read", "make", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input(read, make, error, message):
    with pytest.raises(error, match=message):
        read(make())
