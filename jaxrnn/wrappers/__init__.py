"""Wrappers: functions from a cell to a cell that behaves differently."""

from jaxrnn._core.exports import functions as _functions
from jaxrnn._core.masking import WithResets
from jaxrnn._core.noise import CountedCarry, Noisy, StateDropoutCarry
from jaxrnn.wrappers._attention import AttentionCarry, AttentionParams, attention
from jaxrnn.wrappers._clip_carry_gradient import clip_carry_gradient
from jaxrnn.wrappers._drop_connect import drop_connect
from jaxrnn.wrappers._emit_carry import Emitted, emit_carry
from jaxrnn.wrappers._heads import heads
from jaxrnn.wrappers._learned_carry import LearnedCarryParams, learned_carry
from jaxrnn.wrappers._recurrent_dropout import candidate_dropout, state_dropout
from jaxrnn.wrappers._reset_leaves import reset_leaves
from jaxrnn.wrappers._weight_norm import WeightNormParams, weight_norm
from jaxrnn.wrappers._zoneout import zoneout

__all__ = _functions(vars())
