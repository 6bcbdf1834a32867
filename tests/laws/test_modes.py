"""Every cell and every layer runs and is differentiated in each mode of JAX that people use."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn import decode
from tests.laws.tables import (
    CELLS,
    LAYERS,
    I,
    cell_example,
    layer_example,
    over_features,
    total,
)

ONE_BY_ONE = {
    "x64 off": lambda: jax.enable_x64(False),
    "x64": lambda: jax.enable_x64(True),
    "rank promotion": lambda: jax.numpy_rank_promotion("raise"),
    "strict dtypes": lambda: jax.numpy_dtype_promotion("strict"),
    "debug_nans": lambda: jax.debug_nans(True),
    "checking_leaks": jax.checking_leaks,
}


@contextlib.contextmanager
def all_together():
    with contextlib.ExitStack() as stack:
        for mode in ONE_BY_ONE.keys() - {"x64", "checking_leaks"}:
            stack.enter_context(ONE_BY_ONE[mode]())
        yield


MODES = {"all together": all_together, "disable_jit": jax.disable_jit, **ONE_BY_ONE}


def every_mode():
    """All modes; one by one where the run is thorough."""
    marked = [pytest.param(m, marks=[pytest.mark.thorough] * (m in ONE_BY_ONE)) for m in MODES]
    return pytest.mark.parametrize("mode", marked)


# The cells that the tests write as a user would: with vectors (H,) beside rows (B, H).
THEIR_OWN = {"leaky", "independent", "twice", "whole", "linear"}

SHAPE = 3, 3, I
FEW_CELLS = "attention_fed_back", "regularized"  # of the others, where it is thorough
FEW_LAYERS = ("stack",)
SLOW = {
    ("stack", "disable_jit"),
    ("regularized", "disable_jit"),
    *(("attention_fed_back", m) for m in MODES if m != "all together"),
}


def poisoned(xs, mask):
    """`xs` with NaN in the padding, made where JAX does not stop at it."""
    if not jnp.issubdtype(xs.dtype, jnp.floating):
        return xs
    with jax.debug_nans(False):
        return jnp.where(over_features(mask, xs), xs, jnp.full_like(xs, jnp.nan))


def skip_unless_thorough(name, mode, few, thorough):
    if (name not in few or (name, mode) in SLOW) and not thorough:
        pytest.skip("needs --thorough")


@every_mode()
@pytest.mark.parametrize("name", CELLS)
def test_cell(name, mode, thorough):
    skip_unless_thorough(name, mode, FEW_CELLS, thorough)
    if mode in ("rank promotion", "all together") and name in THEIR_OWN:
        pytest.skip("the tests' own cell promotes")
    with MODES[mode]():
        cell = CELLS[name].cell
        params, carry, xs, mask, resets = cell_example(
            cell, shape=SHAPE, dtype=jnp.result_type(float)
        )
        xs = poisoned(xs, mask)

        def loss(params, carry):
            return total(jaxrnn.unroll(cell, params, carry, xs, mask=mask, resets=resets))

        value, grads = jax.value_and_grad(loss, allow_int=True)(params, carry)
        _, y = jaxrnn.step(cell, params, carry, jnp.ones(xs.shape[1:], xs.dtype))
    assert np.isfinite(value)
    for grad in jax.tree.leaves(grads):
        assert grad.dtype == jax.dtypes.float0 or np.isfinite(grad).all()
    assert jax.tree.leaves(y)


@every_mode()
@pytest.mark.parametrize("name", LAYERS)
def test_layer(name, mode, thorough):
    skip_unless_thorough(name, mode, FEW_LAYERS, thorough)
    case = LAYERS[name]
    with MODES[mode]():
        dtype = jnp.result_type(float) if case.vocabulary is None else jnp.float32
        params, carry, xs, mask, resets = layer_example(case, shape=SHAPE, dtype=dtype)
        xs = poisoned(xs, mask)
        key = jax.random.key(1)

        def loss(params, carry):
            flags = {"mask": mask, "resets": resets, "key": key}
            return total(case.layer.apply(params, carry, xs, **flags))

        value, grads = jax.value_and_grad(loss, allow_int=True)(params, carry)
    assert np.isfinite(value)
    for grad in jax.tree.leaves(grads):
        assert grad.dtype == jax.dtypes.float0 or np.isfinite(grad).all()


def decoded(model, params, context):
    """Every decoder once, on symbols (3, 3) and frames (5, 2, 4)."""
    symbols, key = jnp.zeros((3, 3), jnp.int32), jax.random.key(0)
    real = jnp.array([[True, False, True], [True, True, True], [True, True, False]])
    sample = decode.categorical(temperature=0.7, top_k=3, top_p=0.9, min_p=0.01)
    options = {"mask": real, "context": context}
    frames = jnp.sin(jnp.arange(40.0)).reshape(5, 2, 4)
    return [
        decode.generate(model, params, symbols, key, 4, sample=sample, stop=1, **options).mask,
        decode.beam_search(model, params, symbols, 3, 4, stop=1, **options).scores,
        decode.scheduled_sampling(model, params, None, symbols, key, 0.5, **options)[1],
        decode.ctc_greedy(frames).scores,
        decode.ctc_beam_search(frames, 3).scores,
        decode.edit_distance(symbols, jnp.ones((2, 3), jnp.int32), real),
        decode.error_rate(symbols, symbols, real, real),
    ]


@pytest.mark.thorough
@every_mode()
def test_decoders(mode, thorough):
    if mode == "disable_jit" and not thorough:
        pytest.skip("needs --thorough")
    with MODES[mode]():
        cell = jaxrnn.attention(jaxrnn.gru(3), 2)
        model = jaxrnn.stack(jaxrnn.embed(4, 3), jaxrnn.rnn(cell), jaxrnn.dense(4))
        params = model.init(jax.random.key(1), jnp.zeros((3, 3), jnp.int32))
        outs = decoded(model, params, {"memory": jnp.ones((3, 2, 2), jnp.float32)})
    for out in outs:
        assert np.isfinite(out).all()
