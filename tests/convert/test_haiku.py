"""Weights from and to Haiku."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.cells import ElmanParams, GRUParams, LSTMParams, ResetBeforeGRUParams
from jaxrnn.convert import from_haiku, to_haiku
from tests.convert.converting import (
    B,
    Case,
    H,
    I,
    Peer,
    T,
    assert_bits,
    check_conversion,
    check_float32,
    check_narrow_round_trip,
    gradients,
    random_params,
)

hk = pytest.importorskip("haiku", reason="haiku is not installed: pip install dm-haiku")

CORES = {
    LSTMParams: hk.LSTM,
    ResetBeforeGRUParams: hk.GRU,
    ElmanParams: hk.VanillaRNN,
}
every_cell = pytest.mark.parametrize("cell", CORES, ids=lambda cell: cell.__name__)


def rounded(params):
    """`params` with forget biases from which 1 can be subtracted exactly."""

    def near_one(p):
        if not isinstance(p, LSTMParams):
            return p
        return p._replace(bias=(np.round(p.bias * 16) / 16 + 0).astype(p.bias.dtype))

    return jax.tree.map(near_one, params, is_leaf=lambda p: isinstance(p, LSTMParams))


def peer_of(case, dtype=jnp.float64):
    def apply(xs):
        cores = [CORES[case.cell](H) for _ in range(case.layers)]
        core = hk.DeepRNN(cores) if case.layers > 1 else cores[0]
        ys, _ = hk.dynamic_unroll(core, xs, jax.tree.map(cast, core.initial_state(B)))
        return ys

    def cast(state):
        return state.astype(dtype)

    run = gradients(hk.without_apply_rng(hk.transform(apply)).apply)
    return Peer(to_haiku, from_haiku, run, rounded)


@every_cell
def test_outputs_gradients_and_round_trip(cell):
    case = Case(cell, layers=3)
    check_conversion(case, peer_of(case))


def test_float32():
    case = Case(LSTMParams, layers=2)
    check_float32(case, peer_of(case, jnp.float32))


@every_cell
def test_narrow_round_trip(cell):
    peer = Peer(to_haiku, from_haiku, None, rounded)
    check_narrow_round_trip(Case(cell, layers=1), lambda dtype: peer)


def test_the_forget_bias_is_rounded_once():
    params = random_params(Case(LSTMParams, layers=1), np.random.default_rng(0))
    back = from_haiku(to_haiku(params)).params
    assert_bits(back[:2], params[:2])
    others = np.delete(np.arange(4 * H), np.s_[H : 2 * H])
    assert_bits(back.bias[others], params.bias[others])
    np.testing.assert_allclose(back.bias, params.bias, rtol=0, atol=np.finfo(float).eps)


@every_cell
def test_cores_inside_a_module(cell):
    params = rounded(random_params(Case(cell, layers=12), np.random.default_rng(0)))
    inside = to_haiku(params, name="model/~/core")
    assert any(name.startswith("model/~/core_11") for name in inside)
    assert_bits(from_haiku(dict(sorted(inside.items()))).params, params)


def test_a_single_bias():
    params = random_params(Case(ElmanParams, layers=1), np.random.default_rng(0))
    modules = to_haiku(params)
    del modules["vanilla_rnn/linear_1"]["b"]
    assert_bits(from_haiku(modules).params, params)


LSTM = random_params(Case(LSTMParams, layers=1), np.random.default_rng(0))
BAD = {
    "a missing weight": ({"lstm/linear": {"w": np.ones((8, 20))}}, ValueError, "linear/b"),
    "an extra weight": (
        {"gru": {"w_i": 1.0 * np.ones((I, 3)), "offset": np.ones(3)}},
        ValueError,
        "offset",
    ),
    "a wrong number of gates": (
        {"gru": {"w_i": np.ones((I, 20)), "w_h": np.ones((H, 20)), "b": np.ones(20)}},
        ValueError,
        "4 gates",
    ),
    "half a gate": (
        {"lstm/linear": {"w": np.ones((8, 18)), "b": np.ones(18)}},
        ValueError,
        "4.5 gates",
    ),
    "transposed": (
        {"lstm/linear": {"w": np.ones((5, 32)), "b": np.ones(32)}},
        ValueError,
        "no row is left",
    ),
    "a wrong shape": (
        {"lstm/linear": {"w": np.ones((8, 20)), "b": np.ones(5)}},
        ValueError,
        r"`linear/b` must have shape \(20,\)",
    ),
    "several kinds": (
        {**to_haiku(LSTM), "gru": {"w_i": np.ones((3, 3))}},
        ValueError,
        r"one kind, got \['gru', 'lstm'\]",
    ),
    "another library": ({"weight_ih_l0": np.ones((20, 3))}, ValueError, "no module"),
    "not a mapping": ([1.0], TypeError, "got list"),
}


@pytest.mark.parametrize(("params", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input(params, error, message):
    with pytest.raises(error, match=message):
        from_haiku(params)


def test_unsupported_params():
    rng = np.random.default_rng(0)
    with pytest.raises(TypeError, match="different functions"):
        to_haiku(random_params(Case(GRUParams, layers=1), rng))
    with pytest.raises(TypeError, match="no bidirectional layer"):
        to_haiku(random_params(Case(ElmanParams, 1, 2), rng))


def test_resets_for_each_leaf_are_those_of_the_reset_core():
    resets = jaxrnn.LSTMCarry(*np.random.default_rng(2).random((2, T, B)) < 0.4)
    xs, ones = np.random.default_rng(3).normal(size=(T, B, I)), np.ones((B, H))

    def apply(xs, resets):
        core = hk.ResetCore(hk.LSTM(H))
        return hk.dynamic_unroll(core, (xs, resets), hk.LSTMState(ones, ones))

    run = hk.without_apply_rng(hk.transform(apply))
    flags = hk.LSTMState(hidden=resets.h, cell=resets.c)
    weights = jax.tree.map(np.asarray, run.init(jax.random.key(0), xs, flags))
    ys, state = run.apply(weights, xs, flags)
    cell, params = jaxrnn.reset_leaves(jaxrnn.lstm(H)), from_haiku(weights).params
    start = jaxrnn.LSTMCarry(h=ones, c=ones)
    carry, ours = jaxrnn.unroll(cell, params, start, jaxrnn.WithResets(xs, resets))
    for actual, expected in (carry.h, state.hidden), (carry.c, state.cell), (ours, ys):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-13)
