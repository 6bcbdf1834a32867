"""Cells without biases in the libraries whose cells always have biases: these are zero."""

import numpy as np
import pytest

from jaxrnn import convert
from jaxrnn.cells import ElmanParams, GRUParams, LSTMParams, ResetBeforeGRUParams
from tests.convert.converting import Case, H, I, random_params, without_biases

CASES = {
    "linen": (LSTMParams, GRUParams, ElmanParams),
    "nnx": (LSTMParams, GRUParams, ElmanParams),
    "haiku": (LSTMParams, ResetBeforeGRUParams, ElmanParams),
    "cudnn": (LSTMParams,),
}


@pytest.mark.parametrize(
    ("peer", "cell"), [(peer, cell) for peer, cells in CASES.items() for cell in cells]
)
def test_biases_are_zero(peer, cell):
    params = without_biases(random_params(Case(cell, layers=1), np.random.default_rng(0)))
    options = {"input_size": I, "hidden_size": H} if peer == "cudnn" else {}
    write, read = getattr(convert, f"to_{peer}"), getattr(convert, f"from_{peer}")
    back = read(write(params), **options).params
    assert not any(bias.any() for bias in back[2:])
    np.testing.assert_array_equal(back.kernel, params.kernel)
    np.testing.assert_array_equal(back.recurrent_kernel, params.recurrent_kernel)


def test_one_bias_of_two():
    """A GRU with a bias and no recurrent bias, or the reverse, has zeros for the other."""
    pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
    params = random_params(Case(GRUParams, layers=1), np.random.default_rng(0))
    for name in ("bias", "recurrent_bias"):
        back = convert.from_torch(convert.to_torch(params._replace(**{name: None}))).params
        zeros = np.zeros_like(getattr(params, name))
        np.testing.assert_array_equal(getattr(back, name), zeros)
