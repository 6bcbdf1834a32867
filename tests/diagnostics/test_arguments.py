"""Bad input is named."""

import jax
import jax.numpy as jnp
import optax
import pytest

import jaxrnn
from jaxrnn import diagnostics
from tests.laws.tables import B, H, I

CELL = jaxrnn.elman(H)
XS = jnp.zeros((6, I))
PARAMS = CELL.init(jax.random.key(0), XS[0])
STATES = jnp.zeros((6, B, H))


def total(ys):
    return ys.sum()


def test_models():
    with pytest.raises(TypeError, match="`model` must be a Cell or a Layer, got int"):
        diagnostics.jacobians(3, PARAMS, None, XS)
    both = jaxrnn.bidirectional(CELL)
    params = both.init(jax.random.key(0), XS)
    with pytest.raises(TypeError, match="`jacobians` follows the carry step by step"):
        diagnostics.jacobians(both, params, None, XS)
    pooled = jaxrnn.stack(jaxrnn.rnn(CELL), jaxrnn.pool_last)
    with pytest.raises(ValueError, match="`carry_gradients` needs a layer that returns a sequence"):
        diagnostics.carry_gradients(pooled, pooled.init(jax.random.key(0), XS), None, XS, total)


def test_sequences():
    with pytest.raises(ValueError, match=r"one sequence.*batch axes \(3,\).*`jax.vmap`"):
        diagnostics.jacobians(CELL, PARAMS, None, jnp.zeros((6, B, I)))
    with pytest.raises(ValueError, match="`xs` has no time step"):
        diagnostics.jacobians(CELL, PARAMS, None, XS[:0])
    with pytest.raises(ValueError, match="`xs` has 1 steps"):
        diagnostics.diagnose(CELL, PARAMS, XS[:1], total)
    with pytest.raises(ValueError, match=r"`carry.h` must have shape"):
        diagnostics.jacobians(CELL, PARAMS, jaxrnn.HiddenCarry(jnp.zeros(H + 1)), XS)


def test_losses():
    with pytest.raises(TypeError, match="`loss` must be a function"):
        diagnostics.carry_gradients(CELL, PARAMS, None, XS, 3.0)
    with pytest.raises(ValueError, match=r"`loss` must return a scalar, got float64\(6, 4\)"):
        diagnostics.carry_gradients(CELL, PARAMS, None, XS, lambda ys: ys)


def test_options():
    with pytest.raises(ValueError, match="`num` must be at most 4"):
        diagnostics.singular_values(CELL, PARAMS, None, XS, num=5)
    with pytest.raises(ValueError, match="`warmup` = 5 leaves 1 of 6 steps"):
        diagnostics.lyapunov_exponents(CELL, PARAMS, None, XS, warmup=5)
    with pytest.raises(ValueError, match=r"`margin` must be in \(0, 0.5\]"):
        diagnostics.gate_saturation(CELL, PARAMS, None, XS, margin=0.6)
    with pytest.raises(ValueError, match="`tolerance` must be a finite number above 0"):
        diagnostics.fixed_points(CELL, PARAMS, None, XS[0], tolerance=0)
    starts = jaxrnn.HiddenCarry(jnp.zeros((0, H)))
    with pytest.raises(ValueError, match="`starts` holds no carry"):
        diagnostics.fixed_points(CELL, PARAMS, starts, XS[0])
    with pytest.raises(ValueError, match=r"`lengths` must be increasing.*to T = 6, got \[3, 2\]"):
        diagnostics.context_length(CELL, PARAMS, XS, lengths=[3, 2])


def test_states():
    with pytest.raises(TypeError, match=r"`states` must be floating \(T, ..., H\)"):
        diagnostics.effective_rank(jnp.zeros(3))
    with pytest.raises(ValueError, match="`mask` must match"):
        diagnostics.dead_units(STATES, mask=jnp.ones((5, B), bool))
    with pytest.raises(ValueError, match="`num` must be at most 4"):
        diagnostics.principal_components(STATES, num=5)
    with pytest.raises(ValueError, match="`num_classes` must be given"):
        diagnostics.linear_probe(STATES, jnp.zeros((6, B), jnp.int32))
    with pytest.raises(ValueError, match=r"`targets` must be labels \(6, 3\)"):
        diagnostics.linear_probe(STATES, jnp.zeros(6, jnp.int32), num_classes=2)
    with pytest.raises(ValueError, match=r"`states` must be \(T, H\) and `signal` \(T,\)"):
        diagnostics.memory_capacity(STATES, jnp.zeros(6), max_delay=1)
    with pytest.raises(ValueError, match="too few for `warmup` = 0 and `max_delay` = 5"):
        diagnostics.memory_capacity(STATES[:, 0], jnp.zeros(6), max_delay=5)


def test_attributions():
    with pytest.raises(TypeError, match=r"`xs` must be floating.*Embed symbols first"):
        diagnostics.saliency(total, jnp.zeros((6, 2), jnp.int32))
    with pytest.raises(TypeError, match="`score` must be a function"):
        diagnostics.occlusion(None, XS)
    with pytest.raises(TypeError, match="`score` must return one array of real numbers"):
        diagnostics.saliency(lambda xs: (xs, xs), XS)
    with pytest.raises(ValueError, match=r"`baseline` must have shape \(6, 5\)"):
        diagnostics.integrated_gradients(total, XS, baseline=jnp.zeros(I))
    with pytest.raises(ValueError, match="`window` must be at most T = 6"):
        diagnostics.occlusion(total, XS, window=7)
    with pytest.raises(ValueError, match=f"`num_features` must be at most I = {I}, got 9"):
        diagnostics.feature_occlusion(total, XS, num_features=9)
    with pytest.raises(ValueError, match="`xs` must have time and features"):
        diagnostics.feature_occlusion(total, XS[:, 0])
    with pytest.raises(TypeError, match="`params` must be LSTMParams"):
        diagnostics.contextual_decomposition(PARAMS, XS, jnp.ones(6, bool))


def test_health():
    with pytest.raises(TypeError, match=r"`optimizer` must be an optax\.GradientTransformation"):
        diagnostics.record_health(3)
    optimizer = diagnostics.record_health(optax.sgd(0.1))
    with pytest.raises(ValueError, match="`params` must be given"):
        optimizer.update(PARAMS, optimizer.init(PARAMS))
