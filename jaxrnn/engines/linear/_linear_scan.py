"""Linear recurrences for everyone: masks, resets, and the way that is taken."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_array, check_bool, check_sequence, describe
from jaxrnn._core.flags import check_flags
from jaxrnn._core.masking import select, zero_where_masked
from jaxrnn._core.mesh import on_any_mesh, undivided_in_time
from jaxrnn._core.numerics import sum_dtype
from jaxrnn._core.shardings import like_argument
from jaxrnn.engines.linear._recurrence import recurrence
from jaxrnn.engines.linear._ways import WAYS

NAMES = (*WAYS, "native", "pallas")


@on_any_mesh(like_argument("b"))
def linear_scan(
    a: jax.Array,
    b: jax.Array,
    h0: jax.Array | None = None,
    *,
    resets: jax.Array | None = None,
    mask: jax.Array | None = None,
    reverse: bool = False,
    implementation: str | None = None,
) -> jax.Array:
    """A linear recurrence over time, element by element: ``h_t = a_t h_{t-1} + b_t``.

    Its gradient is a linear recurrence too, which runs the other way, the same way: it keeps `a`
    and the states, and no products of many steps. An ``|a|`` above 1 is allowed, and then states
    may grow beyond what their dtype holds.

    Args:
      a: real or complex, (T, ...), with any axes after time. T may be 0.
      b: of the shape and dtype of `a`. Real `b` for complex `a` are ``b.astype(a.dtype)``.
      h0: (...), the state before the first step; None means zeros.
      resets: bool (T, ...), with any leading axes of `a`; where True the state is 0 before the
        step. No gradient crosses a reset.
      mask: bool (T, ...), True = a real step. Where False the state is held, and nothing in `a` and
        `b` reaches a state or a gradient.
      reverse: whether to run from the last step to the first. States stay where their inputs are.
      implementation: how it is run. All give the same numbers, up to rounding.

        - ``"scan"``: step by step, by `jax.lax.scan`.
        - ``"associative"``: log2(T) rounds of pairs, by `jax.lax.associative_scan`.
        - ``"chunked"``: √T chunks side by side.
        - ``"native"``: a C++ kernel on a CPU, which reads and writes each number once.
        - ``"pallas"``: a kernel that reads and writes each number once, for a TPU and for an NVIDIA
          GPU; on a CPU it is interpreted, for tests. No record says yet what it gains.
        - None: ``"native"`` where it can run, else ``"scan"``.

    Returns:
      The states after each step, (T, ...), in the dtype of `a`. Narrow dtypes are computed in
      float32.

    Raises:
      ValueError, TypeError: an argument does not fit the others, or `implementation` is unknown or
        cannot run here.

    References: Blelloch, 1990, "Prefix sums and their applications"; Martin and Cundy, 2018,
    "Parallelizing linear recurrent neural nets over sequence length".

    Examples:
      >>> a, b = jnp.full((4, 1), 0.5), jnp.ones((4, 1))  # (T, N)
      >>> jaxrnn.linear_scan(a, b).ravel().tolist()
      [1.0, 1.5, 1.75, 1.875]
      >>> resets = jnp.array([False, False, True, False])
      >>> jaxrnn.linear_scan(a, b, jnp.array([2.0]), resets=resets).ravel().tolist()
      [2.0, 2.0, 1.0, 1.5]
    """
    check_bool("reverse", reverse)
    check_coefficients(("a", a), ("b", b))
    if h0 is None:
        h0 = jnp.zeros(a.shape[1:], a.dtype)
    check_state(("h0", h0), ("a", a))
    check_flags("mask", mask, a, of="a")
    check_flags("resets", resets, a, of="a")
    way = _way(implementation, a)
    a, b, resets, mask = undivided_in_time((jnp.asarray(a), jnp.asarray(b), resets, mask))
    if resets is not None:
        a = select(resets, jnp.zeros_like(a), a)
    if mask is not None:
        a = select(mask, a, jnp.ones_like(a))
        b = zero_where_masked(mask, b)
    return _in_sum_dtype(way, bool(reverse), a, b, jnp.asarray(h0))


def states_by_pallas(a: jax.Array, b: jax.Array, h0: jax.Array, *, reverse: bool) -> jax.Array:
    """All states of a linear recurrence by the Pallas kernel; arguments as of `states`."""
    return _in_sum_dtype("pallas", reverse, a, b, h0)


def states(a: jax.Array, b: jax.Array, h0: jax.Array, *, reverse: bool) -> jax.Array:
    """All states of a linear recurrence in parallel over time: by the native kernel, or in rounds.

    Args:
      a: (T, ...).
      b: (T, ...).
      h0: (...).
      reverse: whether the last step runs first.
    """
    way = "associative" if why_not_native(a.shape) else "native"
    return _in_sum_dtype(way, reverse, a, b, h0)


def _in_sum_dtype(way, reverse, a, b, h0):
    dtype = b.dtype
    wide = sum_dtype(dtype) if jnp.issubdtype(dtype, jnp.floating) else dtype
    a, b, h0 = (x.astype(wide) for x in (a, b, h0))
    return recurrence(a, b, h0, way=way, reverse=reverse).astype(dtype)


def _way(implementation, a):
    if implementation not in (None, *NAMES):
        raise ValueError(
            f"`implementation` must be None or one of {list(NAMES)}, got {implementation!r}."
        )
    if implementation == "pallas" and any(map(jax.export.is_symbolic_dim, a.shape)):
        raise ValueError(
            "`implementation='pallas'` cannot run this: `jax.export` leaves sizes of "
            f"{a.shape} open."
        )
    if implementation not in (None, "native"):
        return implementation
    problem = why_not_native(a.shape)
    if problem and implementation:
        raise ValueError(f"`implementation='native'` cannot run this: {problem}.")
    return "scan" if problem else "native"


def why_not_native(shape: tuple[int, ...] = ()) -> str | None:
    """Why the native kernel cannot run arrays of this shape; None if it can."""
    platform = jax.default_backend()
    if platform != "cpu":
        return f"it is for a CPU, and arrays are on {platform} here"
    if any(map(jax.export.is_symbolic_dim, shape)):
        return f"`jax.export` leaves sizes of {shape} open"
    from jaxrnn.engines.cpu._library import problem

    return problem()


def check_coefficients(first: tuple[str, Any], second: tuple[str, Any]) -> None:
    """Raises unless two arrays, given with their names, are sequences of one shape and dtype."""
    for name, x in (first, second):
        check_array(name, x)
        if not jnp.issubdtype(x.dtype, jnp.inexact):
            raise TypeError(f"`{name}` must be floating or complex, got {describe(x)}.")
        check_sequence(x, name)
    (name_a, a), (name_b, b) = first, second
    if a.dtype != b.dtype:
        cast = name_b if jnp.issubdtype(a.dtype, jnp.complexfloating) else name_a
        raise TypeError(
            f"`{name_a}` and `{name_b}` must have one dtype, got {describe(a)} and {describe(b)}. "
            f"Nothing is promoted silently: cast `{cast}` with `.astype`."
        )
    if a.shape != b.shape:
        raise ValueError(
            f"`{name_a}` and `{name_b}` must have one shape (T, ...), got {tuple(a.shape)} and "
            f"{tuple(b.shape)}. What is the same at all steps or in all rows is "
            f"`jnp.broadcast_to({name_a}, {name_b}.shape)`."
        )


def check_state(state: tuple[str, Any], sequence: tuple[str, Any]) -> None:
    """Raises unless an array, given with its name, is like one step of a sequence."""
    (name, h0), (of, a) = state, sequence
    check_array(name, h0)
    if tuple(h0.shape) != tuple(a.shape[1:]) or h0.dtype != a.dtype:
        raise ValueError(
            f"`{name}` must be {a.dtype}{tuple(a.shape[1:])}, one state for `{of}` {describe(a)}, "
            f"got {describe(h0)}."
        )
