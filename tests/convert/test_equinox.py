"""Weights from and to Equinox."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn.cells import ElmanParams, GRUParams, LSTMParams
from jaxrnn.convert import from_equinox, to_equinox
from tests.convert.converting import (
    Case,
    H,
    I,
    Peer,
    assert_bits,
    check_conversion,
    check_float32,
    check_narrow_round_trip,
    gradients,
    random_params,
    without_biases,
)

eqx = pytest.importorskip("equinox", reason="equinox is not installed: pip install equinox")
every_cell = pytest.mark.parametrize("cell", [LSTMParams, GRUParams])


def unroll(cell, xs):
    """One cell over one sequence (T, I), as in the Equinox documentation."""

    def step(state, x):
        state = cell(x, state)
        return state, state[0] if isinstance(cell, eqx.nn.LSTMCell) else state

    zeros = jnp.zeros(cell.hidden_size, xs.dtype)
    start = (zeros, zeros) if isinstance(cell, eqx.nn.LSTMCell) else zeros
    return jax.lax.scan(step, start, xs)[1]


def apply(cells, xs):
    for cell in cells:
        xs = jax.vmap(unroll, in_axes=(None, 1), out_axes=1)(cell, xs)
    return xs


@every_cell
def test_outputs_gradients_and_round_trip(cell):
    check_conversion(Case(cell, layers=2), Peer(to_equinox, from_equinox, gradients(apply)))


def test_float32():
    peer = Peer(to_equinox, from_equinox, gradients(apply))
    check_float32(Case(LSTMParams, layers=2), peer)


@every_cell
def test_narrow_round_trip(cell):
    peer = Peer(to_equinox, from_equinox, None)
    check_narrow_round_trip(Case(cell, layers=1), lambda dtype: peer)


@pytest.mark.parametrize("kind", [eqx.nn.LSTMCell, eqx.nn.GRUCell])
def test_without_biases_and_by_name(kind):
    cell = kind(I, H, use_bias=False, key=jax.random.key(0))
    layer, params = from_equinox(cell)
    assert_bits(params, without_biases(params))
    assert "use_bias=False" in repr(layer)
    arrays = {"weight_ih": cell.weight_ih, "weight_hh": cell.weight_hh}
    assert_bits(from_equinox(arrays).params, params)
    back = to_equinox(params)
    assert back.use_bias is False
    assert_bits(jax.tree.map(np.asarray, back), jax.tree.map(np.asarray, cell))


BAD = {
    "a missing weight": ({"weight_ih": np.ones((20, I))}, ValueError, r"missing \[weight_hh\]"),
    "a missing bias": (
        {"weight_ih": np.ones((15, I)), "weight_hh": np.ones((15, H)), "bias": np.ones(15)},
        ValueError,
        r"missing \[bias_n\]",
    ),
    "an extra bias": (
        {"weight_ih": np.ones((20, I)), "weight_hh": np.ones((20, H)), "bias_n": np.ones(H)},
        ValueError,
        r"unexpected \[bias_n\]",
    ),
    "a wrong number of gates": (
        {"weight_ih": np.ones((H, I)), "weight_hh": np.ones((H, H))},
        ValueError,
        "1 gates",
    ),
    "another module": (eqx.nn.Linear(I, H, key=jax.random.key(0)), TypeError, "got Linear"),
    "a file": ("model.eqx", TypeError, "got str"),
}


@pytest.mark.parametrize(("source", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input(source, error, message):
    with pytest.raises(error, match=message):
        from_equinox(source)


def test_unsupported_params():
    rng = np.random.default_rng(0)
    with pytest.raises(TypeError, match="got ElmanParams"):
        to_equinox(random_params(Case(ElmanParams, layers=1), rng))
    with pytest.raises(TypeError, match="no bidirectional layer"):
        to_equinox(random_params(Case(LSTMParams, 1, 2), rng))
