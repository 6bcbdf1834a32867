"""What the online gradients require of a cell and of the arrays that they get."""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_array, check_key, describe
from jaxrnn._core.context import prepared
from jaxrnn._core.dependency import floating
from jaxrnn._core.memo import call_shapes, remembered
from jaxrnn._core.noise import without_noise
from jaxrnn._core.types import Carry, Cell, Params, check_cell, is_whole
from jaxrnn.engines._contract import check_given_carry, check_params_of, checked_step
from jaxrnn.online._types import OnlineState


def check_learnable(name: str, cell: Cell) -> None:
    """Raises unless `cell` is a `Cell` with a state equation."""
    check_cell(cell)
    if is_whole(cell):
        raise ValueError(
            f"`{name}` needs the derivative of the state equation, and this cell, made by "
            "`from_step`, has its state and its output in one function. Write it as a "
            "`jaxrnn.Cell`."
        )


def check_start(
    name: str, cell: Cell, params: Params, carry: Carry | None, x: Any, key: Any, draws: bool
) -> None:
    """Raises unless the arguments of `init` fit `cell`, and its derivative can go forward."""
    for leaf in jax.tree.leaves(x):
        check_array("x", leaf)
    check_params_of(cell, params, x)
    if draws:
        check_key(key)
    if carry is not None:
        check_given_carry(carry, call_shapes(cell.init_carry, params, without_noise(x)))
    remembered(_check_step, cell, name, (params, x))


def _check_step(cell, name, arguments):
    params, x = arguments

    def run(params, x):
        carry = cell.init_carry(params, x)
        return carry, checked_step(cell, prepared(cell, params, None), carry, x)

    program, (carry, _) = jax.make_jaxpr(run, return_shape=True)(params, x)
    if not floating(carry):
        raise ValueError(f"the carry of {cell!r} holds no floating array: it has no derivative.")
    for leaf in floating((params, carry)):
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            raise TypeError(
                f"`{name}` is for real numbers, and {cell!r} holds {describe(leaf)}. Keep the real "
                "and the imaginary part as two arrays."
            )
    if "clip_carry_gradient" in _operations(program.jaxpr):
        raise ValueError(
            f"`{name}` passes no gradient backward through the carry, so `clip_carry_gradient` has "
            "nothing to clip: leave it out, and clip the gradient of the parameters."
        )


def _operations(program) -> Iterator[str]:
    """The names of all operations of a program, and of the programs in it."""
    for equation in program.eqns:
        yield equation.primitive.name
        for inner in jax.tree.leaves(list(equation.params.values())):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from _operations(inner)


def check_state(cell: Cell, params: Params, state: Any, x: Any) -> None:
    """Raises unless the arguments of `step` fit `cell`."""
    if not isinstance(state, OnlineState):
        raise TypeError(
            f"`state` must be an OnlineState, as `init` makes it, got {describe(state)}. It holds "
            "the carry, so a carry alone cannot take its place."
        )
    for leaf in jax.tree.leaves(x):
        check_array("x", leaf)
    check_params_of(cell, params, x)
    check_given_carry(state.carry, call_shapes(cell.init_carry, params, without_noise(x)))


def check_flag(name: str, flag: Any, batch: tuple[int, ...]) -> None:
    """Raises unless `flag`, a mask or resets of one step, is bool with these batch axes."""
    if flag is None:
        return
    if not hasattr(flag, "dtype") or flag.dtype != jnp.bool_:
        raise TypeError(f"`{name}` must be a bool array {batch}, got {describe(flag)}.")
    if tuple(flag.shape) != batch:
        raise ValueError(
            f"`{name}` must be {batch}, one value for each row of this one step, got "
            f"{tuple(flag.shape)}. It has no time axis."
        )
