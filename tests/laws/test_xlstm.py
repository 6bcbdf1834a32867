"""The sLSTM beside the plain form of xlstm: outputs and gradients of the inputs."""

import pytest

import jaxrnn
from tests.laws.peers import assert_equals, plain_form

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
H = 5


def test_equals_xlstm():
    step = plain_form("xlstm", "blocks/slstm/src/vanilla/slstm.py").slstm_forward_pointwise

    def theirs(params, xs):
        kernel, recurrent, bias = params
        states, outputs = torch.zeros(4, xs.shape[1], H, dtype=torch.float64), []
        for x in xs:
            states, _ = step(x @ kernel, states[0] @ recurrent, bias, states, {})
            outputs.append(states[0])
        return torch.stack(outputs)

    assert_equals(jaxrnn.slstm(H), theirs)
