"""The native kernel of a linear recurrence."""

import jax

from jaxrnn._core.loop import shape_like, varying_like


def run(a: jax.Array, b: jax.Array, h0: jax.Array, reverse: bool, lagged: bool) -> jax.Array:
    """The states (T, ...) of a linear recurrence.

    Args:
      a: (T, ...), of the dtype of all arrays: float32, float64, complex64 or complex128.
      b: (T, ...).
      h0: (...).
      reverse: whether the last step runs first.
      lagged: whether each step takes the a of the step before, and the first one 1.
    """
    call = jax.ffi.ffi_call("jaxrnn_linear", shape_like(b, b.shape, b.dtype))
    return call(*varying_like(b, (a, b, h0)), reverse=reverse, lagged=lagged)
