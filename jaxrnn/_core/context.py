"""What a sequence is conditioned on, on its way from the caller to the cells that read it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import describe
from jaxrnn._core.dependency import reads
from jaxrnn._core.types import Cell, Params, unchanged


@jax.tree_util.register_static
class Unknown(NamedTuple):
    """Stands for the context while only shapes are asked for, as in `init`, which is given none."""


class Handed(NamedTuple):
    """A context within a layer, and who has read it so far."""

    value: Any
    readers: list
    key: jax.Array | None = None  # for a `prepare` that draws random numbers


class Drawing(NamedTuple):
    """The `prepare` of a cell that draws random numbers once a call, where a layer has a key."""

    prepare: Callable[[Params, Any, jax.Array | None], Params]

    def __call__(self, params, context):
        return self.prepare(params, context, None)


def context_field(context: Any, name: str, *, example: Any = None, optional: bool = False) -> Any:
    """A field of a context, for a cell's `prepare` or a layer of your own.

    Args:
      context: a dict or a NamedTuple of arrays, as given to `jaxrnn.unroll` or a layer.
      name: the name of the field.
      example: a shape and dtype for it, with which the shape of the output can be found in `init`,
        where there is no context. A layer that other layers follow needs it.
      optional: whether the field may be missing; it is None then.

    Returns:
      The field.

    Raises:
      ValueError: there is no context, or it lacks the field.

    Examples:
      >>> context = {"speaker": jnp.ones((3, 2))}  # (B, D)
      >>> jaxrnn.authoring.context_field(context, "speaker").shape
      (3, 2)
      >>> jaxrnn.authoring.context_field(context, "mood", optional=True) is None
      True
    """
    if isinstance(context, Handed):
        context.readers.append(name)
        context = context.value
    if isinstance(context, Unknown):
        return None if optional else _stand_in(name, example)
    if context is None and optional:
        return None
    if context is None:
        raise ValueError(
            f"`context` is None, and this cell reads its field `{name}`. Pass it to the layer or "
            f"to `unroll`, such as `context={{{name!r}: array}}`."
        )
    fields = context if isinstance(context, Mapping) else getattr(context, "_asdict", dict)()
    if name in fields:
        return fields[name]
    if optional:
        return None
    has = f"the fields {sorted(fields)}" if fields else describe(context)
    raise ValueError(f"`context` lacks the field `{name}`, which this cell reads: it is {has}.")


def _stand_in(name, example):
    if example is None:
        raise ValueError(
            f"the shape of the output depends on the field `{name}` of the context, which `init` "
            "is not given. Pass `example=jax.ShapeDtypeStruct(...)` to `context_field`."
        )
    return jnp.zeros(example.shape, example.dtype)


def taken(cell: Cell, params: Params, context: Any) -> Handed | None:
    """What `cell` takes of a context; raises if it was given one itself and reads none.

    A `Handed` context belongs to a layer, which raises if none of its cells reads it.
    """
    value, readers, key = handed(context)
    key = key if isinstance(cell.prepare, Drawing) else None
    if value is not None and cell.prepare is not unchanged and reads(cell.prepare, params, value):
        readers.append(cell)
    elif value is not None and not isinstance(context, Handed):
        check_is_read(Handed(value, readers), cell)
    return None if value is None and key is None else Handed(value, [], key)


def prepared(cell: Cell, params: Params, context: Handed | None) -> Params:
    """The parameters that `cell` uses for a sequence with this context."""
    value, _, key = handed(context)
    if isinstance(cell.prepare, Drawing):
        return cell.prepare.prepare(params, value, key)
    return cell.prepare(params, value)


def prepare_with(cell: Cell, build: Callable[[Params, Any, Callable], Params]) -> Callable:
    """The `prepare` of a wrapper of `cell`.

    Args:
      cell: the wrapped cell.
      build: ``(params, context, inner) -> params``, where ``inner(params)`` are the parameters that
        `cell` prepares from its own.
    """

    def run(params, context, key):
        return build(params, context, lambda own: prepared(cell, own, Handed(context, [], key)))

    if isinstance(cell.prepare, Drawing):
        return Drawing(run)
    return lambda params, context: run(params, context, None)


def prepare_inner(cell: Cell, change: Callable[[Params], Params]) -> Callable:
    """The `prepare` of a wrapper whose parameters are `cell`'s after a `change`."""
    return prepare_with(cell, lambda params, context, inner: inner(change(params)))


def handed(context: Any) -> Handed:
    """`context` within a layer."""
    return context if isinstance(context, Handed) else Handed(context, [])


def check_is_read(context: Handed, thing: Any) -> None:
    """Raises if a context was given to `thing`, and nothing in it has read any of it."""
    if context.value is not None and not context.readers:
        raise ValueError(
            f"`context` was given, and nothing reads it in {thing!r}. A context is for cells whose "
            "`prepare` reads it, such as `jaxrnn.attention` makes."
        )
