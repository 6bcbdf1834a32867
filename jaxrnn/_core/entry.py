"""What every layer does around its own functions: check the arguments once, and answer from memory.

The outermost layer checks what all layers share. Inside, layers get a `Handed` context, so they
know that it has been done.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import (
    MISSING,
    check_array,
    check_given,
    check_key,
    check_sequence,
    describe,
    dtype_of,
)
from jaxrnn._core.construction import recorded
from jaxrnn._core.context import Handed, Unknown, check_is_read, handed
from jaxrnn._core.events import current, record, silently
from jaxrnn._core.flags import check_flags, check_no_features
from jaxrnn._core.memo import remembered, remembering, shape_of
from jaxrnn._core.mesh import with_auto_axes
from jaxrnn._core.noise import batch_axes
from jaxrnn._core.shardings import like_rows, like_sequence
from jaxrnn._core.types import Cell, Layer, Params

_only_shapes = contextvars.ContextVar("only_shapes", default=False)


class LayerCall(NamedTuple):
    """The record of a layer that ran."""

    layer: Layer
    params: Params
    ys: Any  # shapes
    is_innermost: bool  # whether no other layer ran in it


def constructor(build: Callable) -> Callable:
    """Decorator for a function that makes a cell or a layer.

    Two calls with equal arguments then make equal cells, for which JAX compiles once, and `repr`
    shows the call: ``lstm(64)``, ``stack(embed(66, 64), rnn(lstm(192)), dense(66))``. Without it, a
    function that makes a cell of closures makes a different cell each time.

    Args:
      build: a function that returns a `Cell` or a `Layer`, which depends on its arguments only.

    Returns:
      A function with the same arguments.

    Raises:
      TypeError: `build` is not a function; later, if it returns neither a `Cell` nor a `Layer`.

    Examples:
      >>> @jaxrnn.constructor
      ... def tagger(num_tags):
      ...     return jaxrnn.stack(jaxrnn.bidirectional(jaxrnn.lstm(64)), jaxrnn.dense(num_tags))
      >>> tagger(17)
      tagger(17)
      >>> tagger(17) == tagger(17), tagger(17) == tagger(18)
      (True, False)
    """
    if not callable(build):
        raise TypeError(f"`build` must be a function that makes a cell or a layer, got {build!r}.")
    return recorded(build, _entered)


def _entered(thing):
    if isinstance(thing, Layer):
        return entered(thing)
    if isinstance(thing, Cell):
        return with_checked_init(thing)
    raise TypeError(f"`build` must return a Cell or a Layer, got {describe(thing)}.")


def with_checked_init(cell: Cell) -> Cell:
    """`cell`, whose `init` checks its arguments and gets only the shape and dtype of its input."""

    def init(key, x):
        check_key(key)
        for leaf in jax.tree.leaves(x):
            check_array("x", leaf)
        return cell.init(key, jax.tree.map(_shape_and_dtype, x))

    return cell._replace(init=init)


def _shape_and_dtype(x):
    return jax.ShapeDtypeStruct(x.shape, dtype_of(x))


def entered(layer: Layer) -> Layer:
    """`layer`, with what every layer does around its own functions."""

    def init(key, xs):
        with remembering():
            check_key(key)
            check_sequence(xs)
            return layer.init(key, jax.tree.map(_shape_and_dtype, xs))

    def init_carry(params, xs):
        def run(arguments):
            with remembering():
                return layer.init_carry(**arguments)

        return with_auto_axes(run, {"params": params, "xs": xs}, like_rows)

    def apply(params, carry, xs=MISSING, *, mask=None, resets=None, key=None, context=None):
        check_given(xs, "apply(params, carry, xs)")
        flags = {"mask": mask, "resets": resets, "key": key}
        if isinstance(context, Handed):
            return run(params, carry, xs, context=context, **flags)
        _check(xs, **flags)
        arguments = {"params": params, "carry": carry, "xs": xs, "context": context, **flags}
        return with_auto_axes(run_outermost, arguments, like_sequence)

    def run_outermost(arguments):
        context = handed(arguments["context"])
        out = run(**arguments | {"context": context})
        check_is_read(context, thing)
        return out

    def run(params, carry, xs, *, context, **flags):
        events = current()
        start = 0 if events is None else len(events)
        with remembering():
            if _only_shapes.get():
                arguments = params, carry, xs, flags, context.value
                return _zeros(remembered(_shapes, layer, None, arguments))
            out = layer.apply(params, carry, xs, **flags, context=context)
        has_inner = any(isinstance(event, LayerCall) for event in (events or [])[start:])
        record(LayerCall(thing, params, jax.tree.map(shape_of, out[1]), not has_inner))
        return out

    thing = Layer(init, init_carry, apply)
    return thing


def _check(xs, mask, resets, key):
    check_sequence(xs)
    check_flags("mask", mask, xs)
    check_flags("resets", resets, xs)
    batch = batch_axes(xs)[1:]
    check_no_features("mask", mask, batch)
    check_no_features("resets", resets, batch)
    if key is not None:
        check_key(key)


def shapes(layer: Layer, params: Params, xs: Any) -> tuple[Any, Any]:
    """The shapes of the carry and the outputs that `layer` returns for inputs like `xs`."""
    with remembering(), _asking_for_shapes():
        return remembered(_shapes, layer, None, (params, None, xs, {}, None))


def _shapes(layer, _, arguments):
    params, carry, xs, flags, context = arguments

    def run(params, carry, xs, flags, context):
        context = Unknown() if context is None else context
        return layer.apply(params, carry, xs, **flags, context=Handed(context, []))

    return jax.eval_shape(run, params, carry, xs, flags, context)


@contextlib.contextmanager
def _asking_for_shapes() -> Iterator[None]:
    token = _only_shapes.set(True)
    try:
        with silently():
            yield
    finally:
        _only_shapes.reset(token)


def _zeros(shapes):
    return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
