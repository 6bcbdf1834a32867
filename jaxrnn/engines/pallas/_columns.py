"""A step on arrays that are cut into columns, for Triton, whose arrays are powers of two.

The gates of a cell, (B, G*H), are G arrays (B, H): to split gates is to pick some, to concatenate
them is to list them, and a product with (H, G*H) is G products.
"""

import itertools
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Literal

ARITHMETIC = {"add", "add_any", "sub", "mul", "div", "rem", "max", "min", "neg", "abs", "square"}
ARITHMETIC |= {"one_minus_square"}  # in the derivative of tanh, from jax 0.12 on
POWERS = {"pow", "integer_pow", "exp", "exp2", "expm1", "log", "log1p", "sqrt", "rsqrt"}
CURVES = {"tanh", "logistic", "sin", "cos", "erf", "sign", "floor", "ceil", "round", "clamp"}
CHOICES = {"eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not", "xor", "select_n", "is_finite"}
COPIES = {"copy", "convert_element_type", "stop_gradient"}
ELEMENTWISE = ARITHMETIC | POWERS | CURVES | CHOICES | COPIES
REDUCTIONS = {"reduce_sum": jnp.add, "reduce_max": jnp.maximum, "reduce_min": jnp.minimum}


class Columns(list):
    """The pieces of an array along its last axis, in order."""


class Blocks(list):
    """The `Columns` of a matrix whose rows are cut too, by which rows are multiplied."""


def cuts(size: int, unit: int) -> list[int]:
    """The widths into which an axis is cut, each a power of two: H = 48 is 32 and 16.

    Args:
      size: of the axis.
      unit: H; an axis of G*H is cut into G times the same. 0 for an axis that stays whole.

    Raises:
      ValueError: it is to stay whole, and is no power of two.
    """
    if not unit and size & (size - 1):
        raise ValueError(f"Triton takes powers of two, and an axis has {size} numbers")
    width = unit if unit and size % unit == 0 else size
    powers = [1 << i for i in reversed(range(width.bit_length())) if width >> i & 1]
    return powers * (size // max(width, 1))


def multipliers(program: ClosedJaxpr) -> list[bool]:
    """For each operand whether it is a matrix by which rows are multiplied, and nothing else."""
    uses = {}
    for equation in program.jaxpr.eqns:
        for place, var in enumerate(equation.invars):
            if not isinstance(var, Literal):
                right = equation.primitive.name == "dot_general" and place == 1
                uses.setdefault(var, []).append(right and var.aval.ndim == 2)
    return [all(uses.get(var, [False])) for var in program.jaxpr.invars]


def evaluate(program: ClosedJaxpr, args: list[Columns | Blocks], unit: int) -> list[Columns]:
    """The results of a program on columns; raises for an operation that mixes them.

    Args:
      program: of a step.
      args: of its operands.
      unit: H, the width into which axes are cut that are a multiple of it.
    """
    jaxpr, env = program.jaxpr, {}
    env.update(zip(jaxpr.constvars, [Columns([c]) for c in program.consts], strict=True))
    env.update(zip(jaxpr.invars, args, strict=True))

    def read(var):
        return Columns([var.val]) if isinstance(var, Literal) else env[var]

    for equation in jaxpr.eqns:
        values = [read(var) for var in equation.invars]
        env.update(zip(equation.outvars, _apply(equation, values, unit), strict=True))
    return [read(var) for var in jaxpr.outvars]


def _apply(equation, values, unit) -> list[Columns]:
    name, params, out = equation.primitive.name, equation.params, equation.outvars
    bind = _binder(equation)
    shape = out[0].aval.shape
    if name in ELEMENTWISE:
        count = max(map(len, values))
        alike = [v if len(v) == count else Columns(v * count) for v in values]
        return [Columns(bind(*pieces) for pieces in zip(*alike, strict=True))]
    if name == "dot_general":
        return [_product(equation, *values)]
    if name == "broadcast_in_dim":
        return [_broadcast(values[0], shape, params["broadcast_dimensions"], unit)]
    if name in REDUCTIONS and len(values[0]) > 1:
        return [Columns([_reduced(bind, values[0], params["axes"], REDUCTIONS[name])])]
    axis = len(shape) - 1
    if name == "split" and params["axis"] == axis:
        return _picked(values[0], np.cumsum([0, *params["sizes"]]))
    if name == "slice" and _cuts_columns_only(params, equation.invars[0].aval.shape):
        return _picked(values[0], [params["start_indices"][-1], params["limit_indices"][-1]])
    if name == "concatenate" and params["dimension"] == axis:
        return [Columns(piece for value in values for piece in value)]
    if name == "pad" and all(c == (0, 0, 0) for c in params["padding_config"][:-1]):
        return [_padded(values[0], params["padding_config"][-1], unit)]
    if all(len(value) == 1 for value in values):
        made = bind(*(value[0] for value in values))
        made = made if equation.primitive.multiple_results else [made]
        for var in out:
            cuts(var.aval.shape[-1] if var.aval.shape else 1, 0)
        return [Columns([x]) for x in made]
    raise ValueError(f"the kernel of a GPU cannot take `{name}` of {shape} apart")


def _binder(equation) -> Callable:
    params = equation.primitive.get_bind_params(equation.params)
    functions = ()
    if isinstance(params, tuple):
        functions, params = params
    return lambda *values: equation.primitive.bind(*functions, *values, **params)


def _product(equation, left, right):
    (ours, theirs), batch = equation.params["dimension_numbers"]
    right = right if isinstance(right, Blocks) else Blocks([right])
    pieces = [*left, *(piece for row in right for piece in row)]
    if tuple(ours) != (1,) or batch != ((), ()) or any(x.ndim != 2 for x in pieces):
        raise ValueError("the kernel of a GPU multiplies matrices only")
    narrow = [n for x in pieces for n in x.shape if n < 16]
    if narrow:
        raise ValueError(
            f"Triton multiplies from 16 rows and columns on, and here are {min(narrow)}"
        )
    kept = {**equation.params, "dimension_numbers": (((1,), tuple(theirs)), batch)}
    # One list of terms for each piece of the result.
    terms = list(zip(*right, strict=True)) if tuple(theirs) == (0,) else list(right)
    if any([x.shape[1] for x in left] != [y.shape[theirs[0]] for y in ys] for ys in terms):
        raise ValueError("the kernel of a GPU cannot take the product of these sizes apart")

    # Triton multiplies equal dtypes only: the sums of a backward step are wider than its kernel.
    wide = max((x.dtype for x in pieces), key=lambda dtype: dtype.itemsize)

    def dots(ys):
        pairs = [(x.astype(wide), y.astype(wide)) for x, y in zip(left, ys, strict=True)]
        total, *others = [lax.dot_general_p.bind(x, y, **kept) for x, y in pairs]
        return sum(others, total)

    return Columns(map(dots, terms))


def _broadcast(value, shape, dimensions, unit):
    widths = cuts(shape[-1], unit if len(shape) > 1 else 0) if shape else [1]
    pieces = value if len(value) == len(widths) else Columns(value * len(widths))
    return Columns(
        lax.broadcast_in_dim(piece, (*shape[:-1], width) if shape else (), dimensions)
        for piece, width in zip(pieces, widths, strict=True)
    )


def _reduced(bind, value, axes, combine):
    if value[0].ndim - 1 not in axes:
        raise ValueError("the kernel of a GPU cannot reduce over these axes")
    total, *others = [bind(piece) for piece in value]
    for other in others:
        total = combine(total, other)
    return total


def _cuts_columns_only(params, shape):
    starts, limits = params["start_indices"], params["limit_indices"]
    whole = all(s == 0 and e == n for s, e, n in zip(starts, limits, shape[:-1], strict=False))
    return whole and params["strides"] is None


def _picked(value, ends):
    """The pieces between ends that follow each other."""
    places = np.cumsum([0, *(piece.shape[-1] for piece in value)]).tolist()
    if not set(map(int, ends)) <= set(places):
        raise ValueError(f"the kernel of a GPU cannot cut {places[-1]} columns at {list(ends)}")
    at = [places.index(int(end)) for end in ends]
    return [Columns(value[start:stop]) for start, stop in itertools.pairwise(at)]


def _padded(value, config, unit):
    low, high, inner = config
    if inner or low < 0 or high < 0:
        raise ValueError("the kernel of a GPU cannot pad like this")

    def zeros(size) -> list[Any]:
        like = value[0]
        return [jnp.zeros((*like.shape[:-1], width), like.dtype) for width in cuts(size, unit)]

    return Columns([*(zeros(low) if low else []), *value, *(zeros(high) if high else [])])
