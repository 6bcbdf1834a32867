"""Cells beside the plain forms of flashrnn: outputs and gradients of the inputs."""

import pytest

import jaxrnn
from tests.laws.peers import assert_equals, plain_form

torch = pytest.importorskip("torch", reason="torch is not installed: pip install torch==2.13.0")
H = 5


def gru_of_flashrnn(params):
    """Kernels and bias in the gates of flashrnn: r z n of the input, n r z of the state."""
    n, r, z = (slice(k * H, (k + 1) * H) for k in (2, 0, 1))
    recurrent = torch.cat([params.recurrent_kernel[:, gate] for gate in (n, r, z)], dim=1)
    bias = torch.cat([params.recurrent_bias, params.bias[r], params.bias[z], params.bias[n]])
    return params.kernel, recurrent, bias


CASES = {
    "elman": (jaxrnn.elman(H), 1, tuple),
    "lstm": (jaxrnn.lstm(H), 2, tuple),
    "gru": (jaxrnn.gru(H), 1, gru_of_flashrnn),
    "slstm": (jaxrnn.slstm(H), 4, tuple),
}


@pytest.mark.parametrize("kind", CASES)
def test_equals_flashrnn(kind):
    step = plain_form("flashrnn", f"flashrnn/vanilla/{kind}.py").flashrnn_forward_pointwise
    cell, num_states, given = CASES[kind]

    def theirs(params, xs):
        (kernel, recurrent, bias), batch = given(params), xs.shape[1]
        states, outputs = torch.zeros(batch, num_states, 1, H, dtype=torch.float64), []
        for x in xs:
            projected = (x @ kernel).view(batch, -1, 1, H)
            fed_back = (states[:, 0, 0] @ recurrent).view(batch, -1, 1, H)
            states, _ = step(projected, fed_back, bias.view(-1, 1, H), states, {})
            outputs.append(states[:, 0, 0])
        return torch.stack(outputs)

    assert_equals(cell, theirs)
