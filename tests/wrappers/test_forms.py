"""A wrapper sees the same state whatever form the output of a cell has, and whatever its inputs."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import B, H, I, T, assert_close, cell_example, noisy

KEY = jax.random.key(3)
LSTM = jaxrnn.lstm(H)

FORMS = {
    "plus zero": lambda params, carry, u: carry.h + 0.0,
    "times one": lambda params, carry, u: 1.0 * carry.h,
    "reshaped": lambda params, carry, u: jnp.squeeze(carry.h[None], 0),
    "joined": lambda params, carry, u: jnp.concatenate([carry.h[..., :2], carry.h[..., 2:]], -1),
    "jitted": jax.jit(lambda params, carry, u: carry.h),
}
WRAPPERS = {
    "zoneout": lambda cell: jaxrnn.zoneout(cell, 0.4),
    "candidate": lambda cell: jaxrnn.candidate_dropout(cell, 0.4),
    "state": lambda cell: jaxrnn.state_dropout(cell, 0.4),
    "clip": lambda cell: jaxrnn.clip_carry_gradient(cell, 1e-3),
    "learned": jaxrnn.learned_carry,
    "weight_norm": jaxrnn.weight_norm,
}


@pytest.mark.thorough
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_the_form_of_the_output_changes_nothing(wrapper, form):
    ex = cell_example(LSTM)
    results = []
    for cell in LSTM, LSTM._replace(output=FORMS[form]):
        layer = jaxrnn.rnn(WRAPPERS[wrapper](cell))
        params = noisy(layer.init(KEY, ex.xs), KEY)
        results.append(layer.apply(params, None, ex.xs, mask=ex.mask, resets=ex.resets, key=KEY))
    assert_close(*results, 1e-15)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_evaluation_keeps_the_carry_of_the_cell(wrapper):
    layer = jaxrnn.rnn(WRAPPERS[wrapper](LSTM))
    ex = cell_example(LSTM)
    params = layer.init(KEY, ex.xs)
    carry, _ = layer.apply(params, None, ex.xs)
    expected = jaxrnn.wrappers.StateDropoutCarry if wrapper == "state" else jaxrnn.LSTMCarry
    assert type(carry) is expected
    assert type(layer.init_carry(params, ex.xs)) is expected


def test_a_counted_carry_goes_on_counting_without_a_key():
    layer = jaxrnn.rnn(jaxrnn.zoneout(LSTM, 0.3))
    ex = cell_example(LSTM)
    params = layer.init(KEY, ex.xs)
    carry, _ = layer.apply(params, None, ex.xs[:3], key=KEY)
    assert type(carry) is jaxrnn.wrappers.CountedCarry
    carry, _ = layer.apply(params, carry, ex.xs[3:5])
    assert np.asarray(carry.position).tolist() == [5] * B


class Timed(NamedTuple):
    x: jax.Array  # (..., I)
    dt: jax.Array  # (...)


def timed():
    """A cell for inputs with time gaps, (x, dt)."""
    cell = jaxrnn.elman(H)

    def init(key, x):
        return cell.init(key, x.x)

    def init_carry(params, x):
        return cell.init_carry(params, x.x)

    def project(params, x):
        return cell.project(params, x.x), x.dt[..., None]

    def update(params, carry, u, v):
        u, dt = u
        return jaxrnn.HiddenCarry(carry.h + dt * (jnp.tanh(u + v) - carry.h))

    return cell._replace(init=init, init_carry=init_carry, project=project, update=update)


@pytest.mark.parametrize("wrapper", [w for w in WRAPPERS if w != "candidate"])
def test_wrappers_take_inputs_of_several_arrays(wrapper):
    xs = Timed(jax.random.normal(KEY, (T, B, I)), jnp.full((T, B), 0.5))
    layer = jaxrnn.rnn(WRAPPERS[wrapper](timed()))
    params = layer.init(KEY, xs)
    carry, whole = layer.apply(params, None, xs, key=KEY)
    carry, first = layer.apply(params, None, jax.tree.map(lambda x: x[:3], xs), key=KEY)
    _, second = layer.apply(params, carry, jax.tree.map(lambda x: x[3:], xs), key=KEY)
    assert_close(jnp.concatenate([first, second]), whole, 1e-13)


def test_kernels_run_what_changes_no_state_equation():
    """Reparametrized weights, a learned carry, emitted carries and an output of one's own."""
    cell = jaxrnn.gru(H)._replace(output=lambda params, carry, u: jnp.sin(carry.h) + u[..., :H])
    cell = jaxrnn.emit_carry(jaxrnn.weight_norm(jaxrnn.drop_connect(cell, 0.2)))
    cell = jaxrnn.learned_carry(cell)
    reasons = jaxrnn.explain(cell, jnp.ones((T, B, I))).reasons
    if "not built" in reasons["native"]:
        pytest.skip(reasons["native"])
    ex = cell_example(cell)
    runs = [
        jaxrnn.rnn(cell, implementation=name).apply(
            ex.params, None, ex.xs, mask=ex.mask, resets=ex.resets, key=KEY
        )
        for name in ("scan", "native")
    ]
    assert_close(*runs, 1e-12)


def test_an_output_that_reads_the_memory_runs_by_a_program():
    cell = jaxrnn.emit_carry(LSTM)
    found = jaxrnn.explain(cell, jnp.ones((50, 8, I)), verbose=True)
    if "not built" in found.reasons["native"]:
        pytest.skip(found.reasons["native"])
    assert found.implementation == "native"
    assert "operations" in found.program
