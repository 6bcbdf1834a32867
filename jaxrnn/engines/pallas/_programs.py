"""The program of a step: what it closes over, what is the same at all steps, what nothing reads."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Literal

from jaxrnn.wrappers._clip_carry_gradient import PRIMITIVE as CLIP

VARYING = ("pvary", "pcast")  # of `jax.shard_map`
TRANSPOSED = (*VARYING, CLIP)  # after transposing: the identity, whose transpose clips
CUSTOM = ("custom_jvp_call", "custom_vjp_call")  # calls with a derivative of their own
_CALLS = ("jit", "pjit", "closed_call", "core_call", "remat2", *CUSTOM)


def closed(function: Callable, *shapes: Any) -> tuple[ClosedJaxpr, list[jax.Array]]:
    """A program that takes the arrays that `function` closes over, and those arrays.

    Args:
      function: from lists of arrays to a list of arrays.
      shapes: a list of arrays, or of their shapes, for each argument.

    Returns:
      The program, of the arrays first and then all the arguments, flat; and the arrays.
    """
    found = jax.make_jaxpr(function)(*shapes)
    consts = list(found.consts)
    leaves = [leaf for given in shapes for leaf in given]

    def run(*arrays):
        split = arrays[: len(consts)], arrays[len(consts) :]
        return _evaluate(found.jaxpr, *split, keeps_custom=True)

    # Without the axes of a mesh over which arrays vary in `jax.shard_map`: all vary alike.
    plain = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in (*consts, *leaves)]
    return jax.make_jaxpr(run)(*plain), consts


def simplified(
    program: ClosedJaxpr, identities: tuple[str, ...] = VARYING, *, keeps_custom: bool = False
) -> ClosedJaxpr:
    """`program` without calls, without choices between platforms and with plain products.

    Args:
      program: to simplify.
      identities: names of operations that are taken for the identity.
      keeps_custom: whether calls with a derivative of their own stay, since it is still needed.
    """

    def run(*args):
        return _evaluate(program.jaxpr, program.consts, args, identities, keeps_custom)

    return jax.make_jaxpr(run)(*program.in_avals)


def pruned(
    program: ClosedJaxpr, used: Sequence[bool], always: Sequence[bool]
) -> tuple[ClosedJaxpr, list[bool]]:
    """The `used` results of a program, of the operands that these depend on, or that are `always`.

    Returns:
      The program, and for each operand whether it has it still.
    """
    from jax.interpreters import partial_eval

    jaxpr, reads = partial_eval.dce_jaxpr(program.jaxpr, list(used), list(always))
    return ClosedJaxpr(jaxpr, program.consts), list(reads)


def hoisted(program: ClosedJaxpr, count: int) -> tuple[Callable, Callable]:
    """A program in two parts: what follows from its first `count` operands alone, and the rest.

    Broadcasts are left to the rest, so that what the first part hands on stays small.

    Returns:
      ``outer(*consts) -> kept`` and ``inner(kept, *others) -> results``, of lists.
    """
    jaxpr, fixed = program.jaxpr, set()
    fixed.update(jaxpr.invars[:count], jaxpr.constvars)
    first, rest = [], []
    for equation in jaxpr.eqns:
        inputs = [var for var in equation.invars if not isinstance(var, Literal)]
        is_fixed = inputs and fixed.issuperset(inputs) and not equation.effects
        if is_fixed and equation.primitive.name not in ("broadcast_in_dim", "iota"):
            first.append(equation)
            fixed.update(equation.outvars)
        else:
            rest.append(equation)
    needed = {var for e in rest for var in e.invars if not isinstance(var, Literal)}
    needed.update(var for var in jaxpr.outvars if not isinstance(var, Literal))
    made = [*jaxpr.constvars, *jaxpr.invars[:count], *(v for e in first for v in e.outvars)]
    kept = [var for var in made if var in needed]

    def outer(*consts):
        env = environment(jaxpr.constvars, program.consts, jaxpr.invars[:count], consts)
        run_equations(first, env)
        return [env[var] for var in kept]

    def inner(values, *others):
        env = environment(kept, values, jaxpr.invars[count:], others)
        run_equations(rest, env)
        return [read(env, var) for var in jaxpr.outvars]

    return outer, inner


def environment(*pairs: Sequence) -> dict:
    """Variables and their values, from lists of the first and the second in turn."""
    env = {}
    for names, values in zip(pairs[::2], pairs[1::2], strict=True):
        env.update(zip(names, values, strict=True))
    return env


def read(env: dict, var: Any) -> Any:
    """The value of a variable, or of a number that is written in its place."""
    return var.val if isinstance(var, Literal) else env[var]


def varying(jaxpr: Any, inputs: Sequence) -> set:
    """The variables of a program that depend on these inputs, and the inputs."""
    found = set(inputs)
    for equation in jaxpr.eqns:
        if any(not isinstance(var, Literal) and var in found for var in equation.invars):
            found.update(equation.outvars)
    return found


def leading_to(jaxpr: Any, outputs: Sequence, known: set) -> list:
    """The equations that lead from the variables that are known to the outputs, in order."""
    wanted, found = {var for var in outputs if not isinstance(var, Literal)} - known, []
    for equation in reversed(jaxpr.eqns):
        if wanted.intersection(equation.outvars):
            found.append(equation)
            wanted.difference_update(equation.outvars)
            wanted.update(var for var in equation.invars if not isinstance(var, Literal))
            wanted -= known
    return found[::-1]


def run_equations(equations: Sequence, env: dict) -> None:
    """Adds to `env` what the equations make of what is in it."""
    for equation in equations:
        out = _bind(equation, [read(env, var) for var in equation.invars])
        env.update(zip(equation.outvars, out, strict=True))


def _bind(equation, values):
    params = equation.primitive.get_bind_params(equation.params)
    functions, params = (
        params if isinstance(params, tuple) else ((), params)
    )  # a tuple in jax 0.10.0
    out = equation.primitive.bind(*functions, *values, **params)
    return out if equation.primitive.multiple_results else [out]


class _Row:
    """A vector (N,) that the program sees as one row (1, N)."""

    def __init__(self, vector):
        self.vector = vector

    def whole(self):
        return self.vector[None]


def _evaluate(jaxpr, consts, args, identities=VARYING, keeps_custom=False):
    """The results of a program, with what it calls evaluated in place.

    The product of one sequence is written with a row (1, N), which under `jax.vmap` would become
    an axis of size 1 in the middle. So it is taken as the product of a vector.
    """
    env = environment(jaxpr.constvars, consts, jaxpr.invars, args)
    for equation in jaxpr.eqns:
        if not equation.outvars:
            continue
        values = [read(env, var) for var in equation.invars]
        row = _of_row(equation, values)
        if row is not None:
            out = [row]
        else:
            values = [v.whole() if isinstance(v, _Row) else v for v in values]
            out = _step_into(equation, values, identities, keeps_custom)
        env.update(zip(equation.outvars, out, strict=True))
    out = [read(env, var) for var in jaxpr.outvars]
    return [value.whole() if isinstance(value, _Row) else value for value in out]


def _of_row(equation, values):
    """What an operation that makes or takes a row comes to; None for another operation."""
    name, first = equation.primitive.name, values[0] if values else None
    shape = equation.outvars[0].aval.shape
    if name in ("reshape", "broadcast_in_dim") and not isinstance(first, _Row):
        is_row = np.ndim(first) == 1 and shape == (1, *first.shape) and first.shape != (1,)
        is_last = name == "reshape" or equation.params["broadcast_dimensions"] == (1,)
        return _Row(first) if is_row and is_last else None
    if not isinstance(first, _Row):
        return None
    if name in ("reshape", "squeeze") and shape == first.vector.shape:
        return first.vector
    if name != "dot_general" or isinstance(values[1], _Row):
        return None
    (ours, theirs), batch = equation.params["dimension_numbers"]
    if ours != (1,) or batch != ((), ()) or values[1].ndim != 2:
        return None
    params = dict(equation.params, dimension_numbers=(((0,), theirs), batch))
    return _Row(lax.dot_general_p.bind(first.vector, values[1], **params))


def _step_into(equation, values, identities, keeps_custom):
    name, params = equation.primitive.name, equation.params
    if name in identities:
        return values
    if name == "jaxrnn_choice":
        return params["otherwise"](*values)
    if name == "pad":
        return [_padded(*values, params["padding_config"])]
    found = params.get("jaxpr", params.get("call_jaxpr")) if name in _CALLS else None
    inner = getattr(found, "jaxpr", found)
    if inner is None or (keeps_custom and name in CUSTOM and _is_plain(inner)):
        return _bind(equation, values)
    return _evaluate(inner, getattr(found, "consts", ()), values, identities, keeps_custom)


def _is_plain(jaxpr):
    """Whether a program is one that arrays of any mesh, and of none, can go through."""
    return not any(equation.primitive.name in VARYING for equation in jaxpr.eqns)


def _padded(x, value, config):
    """`lax.pad`, with slices where it takes away: Pallas only adds."""
    out = lax.pad(x, value, [(max(low, 0), max(high, 0), inner) for low, high, inner in config])
    starts = [max(-low, 0) for low, _, _ in config]
    ends = [size - max(-high, 0) for size, (_, high, _) in zip(out.shape, config, strict=True)]
    return (
        lax.slice(out, starts, ends) if any(low < 0 or high < 0 for low, high, _ in config) else out
    )
