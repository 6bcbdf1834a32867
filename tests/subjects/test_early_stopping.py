"""Early stopping keeps the best parameters and stops at the same score after a restart."""

import functools
import math
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.training import early_stopping
from tests.devices import with_devices

NAN = math.nan
SCORES = (NAN, 3.0, 2.1, 2.1, NAN, 1.9, 2.5, 1.9, 0.1 + 0.2, 0.3, NAN, math.inf, 0.3, 0.3, 0.2)


def params_of(step):
    return {"kernel": jnp.full((2, 3), step, jnp.float32), "steps": (jnp.int32(step), None)}


def expected(scores, patience, min_delta, mode):
    """The step with the best score, and the one after which to stop."""
    best, at, waited, end = math.inf if mode == "min" else -math.inf, -1, 0, None
    for step, score in enumerate(scores):
        better = score < best - min_delta if mode == "min" else score > best + min_delta
        best, at, waited = (score, step, 0) if better else (best, at, waited + 1)
        if waited >= patience:
            end = step
            break
    return best, at, waited, end


def run(stopping, scores, state, first=0, visit=lambda state: state):
    update = jax.jit(stopping.update)
    for step, score in enumerate(scores[first:], first):
        state = visit(update(state, score, params_of(step)))
        if stopping.should_stop(state):
            return state, step
    return state, None


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("patience", [1, 2, 3, 9])
@pytest.mark.parametrize("min_delta", [0.0, 0.25])
def test_equals_a_plain_loop(mode, patience, min_delta):
    scores = SCORES if mode == "min" else [-score for score in SCORES]
    stopping = early_stopping(patience, min_delta=min_delta, mode=mode)
    state, end = run(stopping, scores, stopping.init(params_of(-1)))
    best, at, waited, want_end = expected(scores, patience, min_delta, mode)
    assert (float(state.score), int(state.params["steps"][0])) == (best, at)
    assert (int(state.waited), end) == (waited, want_end)
    assert (state.params["kernel"] == at).all()


@pytest.mark.parametrize("wide", [True, False])
def test_a_restart_after_any_score_changes_nothing(tmp_path, wide):
    """In float32, 0.1 + 0.2 is 0.3: a score is compared in the dtype in which it is saved."""
    stopping, path = early_stopping(4), tmp_path / "state.safetensors"

    def save_and_load(state):
        jaxrnn.checkpoint.save(path, state)
        like = jax.eval_shape(stopping.init, params_of(0))
        return jaxrnn.checkpoint.load(path, like)

    with jax.enable_x64(wide):
        start = stopping.init(params_of(-1))
        straight, end = run(stopping, SCORES, start)
        restarted, same_end = run(stopping, SCORES, start, visit=save_and_load)
        assert end == same_end == (13 if wide else 12)
        jax.tree.map(np.testing.assert_array_equal, straight, restarted)
        assert jax.tree.structure(straight) == jax.tree.structure(restarted)


def test_parameters_may_be_donated():
    stopping = early_stopping(3)
    train = jax.jit(lambda params: jax.tree.map(jnp.negative, params), donate_argnums=0)
    params = jnp.ones(3, jnp.float32)
    state = stopping.init(params)
    for score in (2.0, 1.0, 5.0):
        params = train(params)
        state = stopping.update(state, score, params)
    np.testing.assert_array_equal(train(params), np.ones(3))
    assert params.is_deleted()
    np.testing.assert_array_equal(state.params, np.ones(3))


def test_each_run_of_a_sweep_stops_for_itself():
    stopping = early_stopping(2)
    scores = np.array([[3.0, 1.0], [2.0, 1.0], [1.0, NAN]])
    states = jax.vmap(stopping.init)(jnp.zeros(2))
    for step, score in enumerate(scores):
        states = jax.vmap(stopping.update)(states, score, jnp.full(2, step, float))
    assert stopping.should_stop(states).tolist() == [False, True]
    assert states.params.tolist() == [2.0, 0.0]


def test_keys_and_numpy_scores_and_debugging():
    stopping = early_stopping(1)
    key = jax.random.key(1)
    with jax.debug_nans(True):
        state = stopping.init(jax.random.key(0))
        state = stopping.update(state, np.float64(0.5), key)
        state = stopping.update(state, jnp.bfloat16(0.25), key)
        state = stopping.update(state, jnp.int32(1), jax.random.key(2))
    assert state.params == key
    assert float(state.score) == 0.25
    assert stopping.should_stop(state)


ON_A_MESH = """
import contextlib
import jax
import jax.numpy as jnp
import jaxrnn

stopping = jaxrnn.training.early_stopping(2)
for kind in (jax.sharding.AxisType.Auto, jax.sharding.AxisType.Explicit):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(kind,))
    for context in (contextlib.nullcontext(), jax.set_mesh(mesh)):
        with context:
            by_row = jax.NamedSharding(mesh, jax.P("data"))
            params = jax.device_put(jnp.arange(8.0), by_row)
            state = stopping.update(stopping.init(params), 2.0, params + 1)
            state = jax.jit(stopping.update)(state, params.min(), params + 2)
            state = stopping.update(state, params.max(), params + 3)
            assert state.params.sharding.is_equivalent_to(by_row, 1)
            assert (state.params == params + 2).all()
            assert not stopping.should_stop(state)
            mean = jaxrnn.training.evaluate(lambda _, x: (x.mean(), 8), 0, [params, state.params])
            assert mean == 4.5
"""


@pytest.mark.thorough
def test_parameters_keep_their_sharding():
    subprocess.run([sys.executable, "-c", ON_A_MESH], env=with_devices(4), check=True)


UPDATE = functools.partial(early_stopping(1).update, early_stopping(1).init(params_of(0)))
WRONG = {
    "no patience": (
        lambda: early_stopping(0),
        ValueError,
        "`patience` must be a positive integer, got 0",
    ),
    "half of patience": (lambda: early_stopping(0.5), TypeError, "`patience` must be a positive"),
    "a negative delta": (
        lambda: early_stopping(1, min_delta=-1),
        ValueError,
        "`min_delta` must be a finite number of 0 or more, got -1",
    ),
    "an endless delta": (
        lambda: early_stopping(1, min_delta=math.inf),
        ValueError,
        "`min_delta` must be a finite number of 0 or more, got inf",
    ),
    "a delta of words": (
        lambda: early_stopping(1, min_delta="small"),
        TypeError,
        "`min_delta` must be a number of 0 or more, got str",
    ),
    "neither": (
        lambda: early_stopping(1, mode="best"),
        ValueError,
        '`mode` must be "min" or "max", got \'best\'',
    ),
    "scores": (
        lambda: UPDATE(jnp.ones(2), params_of(1)),
        TypeError,
        r"`score` must be one real number, got float64\(2,\)",
    ),
    "no score": (lambda: UPDATE(None, params_of(1)), TypeError, "`score` must be one real number"),
    "a complex score": (lambda: UPDATE(1j, params_of(1)), TypeError, "`score` must be one real"),
    "other parameters": (
        lambda: UPDATE(1.0, {"kernel": jnp.ones(2)}),
        TypeError,
        r"`params` must be \{kernel.*The arguments are `\(state, score, params\)`",
    ),
    "parameters of another shape": (
        lambda: UPDATE(1.0, params_of(1) | {"kernel": jnp.ones((3, 3), jnp.float32)}),
        ValueError,
        r"`params\['kernel'\]` must have shape \(2, 3\), got \(3, 3\)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_named(case):
    call, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        call()
