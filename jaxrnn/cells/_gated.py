"""Shared by gated cells: the input kernel, the recurrent kernel, the bias, and the carries."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_features, check_key, check_params
from jaxrnn._core.drawing import draw
from jaxrnn._core.equality import fixed_key
from jaxrnn._core.numerics import affine, matmul, tanh
from jaxrnn._core.timed import features
from jaxrnn._core.types import Carry, Cell, Params
from jaxrnn.activations import Activation
from jaxrnn.initializers import Initializer


class HiddenCarry(NamedTuple):
    """The carry of a cell with a hidden state only."""

    h: jax.Array  # (..., H)


class LSTMCarry(NamedTuple):
    """The carry of a cell with a hidden state and a memory cell."""

    h: jax.Array  # (..., H)
    c: jax.Array  # (..., H)


def lean_activations(**activations: Activation) -> list[Activation]:
    """These functions, with a `tanh` that keeps less for the backward pass where one is `jnp.tanh`.

    Raises for one that is not a function, by its name.
    """
    for name, activation in activations.items():
        if not callable(activation):
            raise TypeError(f"`{name}` must be a function such as jnp.tanh, got {activation!r}.")
    return [tanh if a is jnp.tanh or a is jax.nn.tanh else a for a in activations.values()]


def lstm_activations(
    gate_activation: Activation, activation: Activation, output_activation: Activation | None
) -> list[Activation]:
    """The three activations of an LSTM, checked; the last is `activation` where it is None."""
    return lean_activations(
        gate_activation=gate_activation,
        activation=activation,
        output_activation=activation if output_activation is None else output_activation,
    )


def one_for_each(build: Callable) -> Callable:
    """`build`, which returns one function for equal choices: kernels know a cell by its functions.

    Nothing is kept for a choice that can change, such as a function that holds an array.
    """
    kept = {}

    @functools.wraps(build)
    def find(*choices):
        key = fixed_key(choices)
        if key is None:
            return build(*choices)
        if key not in kept:
            kept[key] = build(*choices)
        return kept[key]

    return find


def draw_gates(
    key: jax.Array,
    x: jax.Array,
    hidden_size: int,
    num_gates: int,
    inits: tuple[Initializer | None, ...],
    *,
    recurrent_gates: int | None = None,
    kernel_size: tuple[int, ...] = (),
) -> tuple[jax.Array, jax.Array, jax.Array | None]:
    """Draws the kernel (I, G*H), the recurrent kernel (H, G*H) and the bias (G*H,) of a cell.

    Args:
      key: the random key.
      x: an example step (..., I), or its shape and dtype.
      hidden_size: H.
      num_gates: G.
      inits: an initializer for each of the three; None for a cell without a bias.
      recurrent_gates: the G of the recurrent kernel, where not all gates see the state.
      kernel_size: the leading axes of both kernels, for a cell that convolves.

    Returns:
      The three arrays, in the dtype of x; None for a bias without an initializer.

    Raises:
      ValueError, TypeError: `key` is not one key, x is not floating (..., I), or an initializer
        returns another shape or dtype.

    Examples:
      >>> zeros, ones = jax.nn.initializers.zeros, jax.nn.initializers.ones
      >>> inits = zeros, jaxrnn.initializers.orthogonal(3), ones
      >>> x = jax.ShapeDtypeStruct((5,), jnp.float32)  # H = 4, G = 3
      >>> drawn = jaxrnn.authoring.draw_gates(jax.random.key(0), x, 4, 3, inits)
      >>> [array.shape for array in drawn]
      [(5, 12), (4, 12), (12,)]
    """
    check_key(key)
    x = features(x)
    check_features(x)
    width = num_gates * hidden_size
    names = "kernel", "recurrent_kernel", "bias"
    recurrent = width if recurrent_gates is None else recurrent_gates * hidden_size
    shapes = (*kernel_size, x.shape[-1], width), (*kernel_size, hidden_size, recurrent), (width,)
    given = zip(names, inits, jax.random.split(key, 3), shapes, strict=True)
    return tuple(draw(*each, x.dtype) for each in given)


def draw_each(key: jax.Array, x: jax.Array, **parts: tuple[Initializer | None, tuple]) -> list:
    """Draws parameters by name, each from a key of its own, in the dtype of x.

    Args:
      key: the random key.
      x: an example step (..., I), or its shape and dtype.
      **parts: ``name=(initializer, shape)``; None in place of an initializer draws None.

    Returns:
      The arrays, in the order of the names.

    Raises:
      ValueError, TypeError: as `draw_gates`.

    Examples:
      >>> ones = jax.nn.initializers.ones
      >>> key, x = jax.random.key(0), jnp.zeros((3, 5), jnp.bfloat16)
      >>> leak, gain = jaxrnn.authoring.draw_each(key, x, leak=(ones, (4,)), gain=(None, (4,)))
      >>> leak, gain
      (Array([1, 1, 1, 1], dtype=bfloat16), None)
    """
    check_key(key)
    x = features(x)
    check_features(x)
    keys = jax.random.split(key, len(parts))
    given = zip(parts.items(), keys, strict=True)
    return [draw(name, init, k, shape, x.dtype) for (name, (init, shape)), k in given]


def of_gates(
    params_type: type,
    carry_type: type,
    hidden_size: int,
    num_gates: int,
    inits: tuple[Initializer | None, ...],
    update: Callable,
    *,
    recurrent_gates: int | None = None,
) -> Cell:
    """The cell with `kernel`, `recurrent_kernel` and `bias`, and carries of H units.

    Args:
      params_type: the NamedTuple of the three.
      carry_type: the NamedTuple of the carry; each field is (..., H).
      hidden_size: H.
      num_gates: G.
      inits: as in `draw_gates`.
      update: the state equation.
      recurrent_gates: as in `draw_gates`.

    Returns:
      A `Cell`, whose output is the field h of the carry.

    Examples:
      >>> def update(params, carry, u, v):
      ...     return jaxrnn.HiddenCarry(jnp.tanh(u + v))
      >>> zeros = jax.nn.initializers.zeros
      >>> types = jaxrnn.cells.ElmanParams, jaxrnn.HiddenCarry
      >>> cell = jaxrnn.authoring.of_gates(*types, 4, 1, (zeros, zeros, zeros), update)
      >>> cell.init(jax.random.key(0), jnp.zeros((3, 5))).kernel.shape
      (5, 4)
    """

    def init(key, x):
        drawn = draw_gates(key, x, hidden_size, num_gates, inits, recurrent_gates=recurrent_gates)
        return params_type(*drawn)

    init_carry = zero_carry(params_type, carry_type, *[hidden_size] * len(carry_type._fields))
    return Cell(init, init_carry, project, recur, update)


def zero_carry(
    params_type: type, carry_type: type, *sizes: int
) -> Callable[[Params, jax.Array], Carry]:
    """Makes an `init_carry` that returns zeros, in the dtype of ``params.kernel``.

    Args:
      params_type: the NamedTuple of the cell's parameters; other types raise an error.
      carry_type: the NamedTuple of the cell's carry.
      *sizes: the number of units of each field of the carry.

    Returns:
      ``(params, x) -> carry``, with the batch axes of x (..., I).

    Examples:
      >>> types = jaxrnn.cells.LSTMParams, jaxrnn.LSTMCarry
      >>> init_carry = jaxrnn.authoring.zero_carry(*types, 4, 6)
      >>> params = jaxrnn.cells.LSTMParams(jnp.zeros((5, 16)), jnp.zeros((4, 16)), None)
      >>> carry = init_carry(params, jnp.zeros((3, 5)))
      >>> carry.h.shape, carry.c.shape
      ((3, 4), (3, 6))
    """

    def init_carry(params, x):
        check_params(params, params_type)
        x = features(x)
        check_features(x)
        dtype = params.kernel.dtype
        return carry_type(*(jnp.zeros((*x.shape[:-1], size), dtype) for size in sizes))

    return init_carry


def project(params: Params, x: jax.Array) -> jax.Array:
    """W x + b, the `project` of a gated cell: (..., I) -> (..., G*H).

    Args:
      params: with `kernel` (I, G*H) and `bias`, (G*H,) or None.
      x: inputs (..., I).

    Raises:
      ValueError, TypeError: x has other features than the kernel, or another dtype.

    Examples:
      >>> params = jaxrnn.cells.GRUParams(jnp.ones((5, 12)), None, jnp.ones(12), None)
      >>> u = jaxrnn.authoring.project(params, jnp.ones((7, 3, 5)))  # all steps at once
      >>> u.shape, float(u[0, 0, 0])
      ((7, 3, 12), 6.0)
    """
    check_features(x, params.kernel.shape[0], params.kernel.dtype)
    return affine(x, params.kernel, params.bias)


def recur(params: Params, carry: Carry) -> jax.Array:
    """U h, the `recur` of a gated cell: (..., H) -> (..., G*H).

    Args:
      params: with `recurrent_kernel` (H, G*H).
      carry: with `h` (..., H).

    Examples:
      >>> params = jaxrnn.cells.LSTMParams(None, 2 * jnp.ones((4, 16)), None)
      >>> v = jaxrnn.authoring.recur(params, jaxrnn.LSTMCarry(jnp.ones((3, 4)), None))
      >>> v.shape, float(v[0, 0])
      ((3, 16), 8.0)
    """
    return matmul(carry.h, params.recurrent_kernel)
