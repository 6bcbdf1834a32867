"""Shared by the linen and nnx modules: batch-major sequences, and the argument names of Flax."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax.linen.recurrent import flip_sequences

from jaxrnn._core.checks import describe
from jaxrnn._core.context import Drawing
from jaxrnn._core.masking import length_mask
from jaxrnn._core.mesh import with_auto_axes
from jaxrnn._core.shardings import like_inputs
from jaxrnn._core.timed import Timed, backward_gaps, features
from jaxrnn._core.types import Carry, Cell, Layer, Params, check_cell
from jaxrnn.layers import rnn


def path_names(path: tuple) -> tuple[str, ...]:
    """The names along the path to a parameter; a bare array is called ``param``."""
    return tuple(jax.tree_util.keystr((key,), simple=True) for key in path) or ("param",)


def as_layer(cell: Cell | Layer) -> Layer:
    """`cell` itself if it is a layer, otherwise the layer that runs it."""
    if isinstance(cell, Layer):
        return cell
    if isinstance(cell, Cell):
        return rnn(cell)
    raise TypeError(
        f"`cell` must be a Cell such as `jaxrnn.lstm(128)`, or a Layer, got {describe(cell)}. "
        "Flax's own cells run in Flax's own RNN."
    )


def check_steppable(cell: Cell) -> None:
    """Raises unless Flax's own RNN can run `cell`: it has no keys for a cell that draws."""
    check_cell(cell)
    if cell.noise is not None or isinstance(cell.prepare, Drawing):
        raise ValueError(
            "`cell` draws random numbers, and Flax's own RNN does not pass it a key. Run it with "
            "the `RNN` of this module."
        )


def annotated(params: Params, partitioning: Mapping[str, tuple] | None, make: Callable) -> Params:
    """``make(value, axes)`` for each parameter, with the axes that `partitioning` names or None."""
    axes = dict(partitioning or {})
    leaves, structure = jax.tree_util.tree_flatten_with_path(params)
    named = [(path_names(path)[-1], value) for path, value in leaves]
    _check_partitioning(axes, named)
    return structure.unflatten(make(value, axes.get(name)) for name, value in named)


def _check_partitioning(axes, named):
    names = {name for name, _ in named}
    if not names.issuperset(axes):
        raise ValueError(
            f"`partitioning` names {', '.join(sorted(set(axes) - names))}, but the parameters are "
            f"{', '.join(sorted(names))}."
        )
    for name, value in named:
        if name in axes and len(axes[name]) != value.ndim:
            raise ValueError(
                f"`partitioning[{name!r}]` must have one entry for each of the {value.ndim} axes "
                f"of {describe(value)}, None for an axis that is not sharded, got {axes[name]!r}."
            )


def run(
    module: Any,
    apply: Callable,
    inputs: jax.Array | Timed,
    *,
    initial_carry: Carry | None,
    seq_lengths: jax.Array | None,
    mask: jax.Array | None,
    resets: jax.Array | None,
    num_feature_axes: int | None,
    **choices: bool | None,
) -> Any:
    """Runs the time-first ``apply(carry, xs, mask=, resets=)`` with the conventions of Flax.

    `num_feature_axes` is None where it depends on the dtype of the inputs. A choice that is None
    takes the value of the attribute of `module` with that name. `apply` returns the carry, the
    outputs, and whether the outputs are a sequence; they are not if the layer pools over time.
    """
    chosen = {k: getattr(module, k) if v is None else v for k, v in choices.items()}
    num_batch_axes = _count_batch_axes(features(inputs), num_feature_axes)
    time_axis = 0 if chosen["time_major"] else num_batch_axes
    steps = features(inputs).shape[: num_batch_axes + 1]
    _check_flags(steps, mask=mask, resets=resets)
    _check_gaps(steps, inputs)
    xs, flags = jax.tree.map(lambda x: jnp.moveaxis(x, time_axis, 0), (inputs, (mask, resets)))
    if seq_lengths is not None:
        seq_lengths = _check_lengths(seq_lengths, mask, features(xs).shape[1:][:num_batch_axes])

    def turn(tree):
        arguments = {"inputs": tree, "seq_lengths": seq_lengths}
        return with_auto_axes(flip, arguments, like_inputs)

    def flip(arguments):
        tree, lengths = arguments.values()
        return jax.tree.map(lambda x: flip_sequences(x, lengths, num_batch_axes, True), tree)

    real = flags[0]
    if seq_lengths is not None:
        with _with_names_of_flax():
            real = length_mask(seq_lengths, features(xs).shape[0])
    if chosen["reverse"]:
        xs, flags = turn((backward_gaps(xs, real), flags))
    mask, resets = flags if seq_lengths is None else (real, flags[1])
    with _with_names_of_flax():
        carry, ys, is_sequence = apply(initial_carry, xs, mask=mask, resets=resets)
    if not is_sequence:
        return (carry, ys) if chosen["return_carry"] else ys
    ys = turn(ys) if chosen["reverse"] and chosen["keep_order"] else ys
    outputs = jax.tree.map(lambda y: jnp.moveaxis(y, 0, time_axis), ys)
    return (carry, outputs) if chosen["return_carry"] else outputs


def _count_batch_axes(inputs, num_feature_axes):
    """The number of axes of `inputs` that are neither time nor features."""
    if not hasattr(inputs, "shape") or not hasattr(inputs, "dtype"):
        raise TypeError(f"`inputs` must be one array (*batch, T, I), got {describe(inputs)}.")
    if num_feature_axes is None:
        num_feature_axes = 1 if jnp.issubdtype(inputs.dtype, jnp.inexact) else 0
    num_batch_axes = inputs.ndim - 1 - num_feature_axes
    if num_batch_axes < 0:
        raise ValueError(
            f"`inputs` needs a time axis: expected (*batch, T, I), or (*batch, T) of integer "
            f"symbols, got {describe(inputs)}. One step is a sequence of length 1: "
            "`inputs[:, None]`."
        )
    return num_batch_axes


def _check_gaps(shape, inputs):
    if isinstance(inputs, Timed) and getattr(inputs.dt, "shape", None) != shape:
        raise ValueError(
            f"`dt` must have one gap for each step of each sequence, shape {shape} like the first "
            f"axes of `inputs`, got {describe(inputs.dt)}. Do both follow `time_major`?"
        )


def _check_flags(shape, **named):
    for name, flags in named.items():
        if flags is None:
            continue
        if not hasattr(flags, "dtype") or flags.dtype != jnp.bool_:
            raise TypeError(
                f"`{name}` must be a bool array {shape}, got {describe(flags)}. Compare first, as "
                "in `symbols != padding`; pass the lengths of sequences as `seq_lengths`."
            )
        if flags.shape != shape:
            raise ValueError(
                f"`{name}` must have one value for each step of each sequence, shape {shape} like "
                f"the first axes of `inputs`, got {describe(flags)}. Do both follow `time_major`?"
            )


def _check_lengths(seq_lengths, mask, batch):
    if mask is not None:
        raise ValueError(
            "`seq_lengths` and `mask` both say which steps are real. Pass one of them, or combine "
            "them as `mask & jnp.moveaxis(jaxrnn.length_mask(seq_lengths, T), 0, -1)`. With "
            "`reverse`, sequences are flipped within their `seq_lengths`, but over all of T with a "
            "mask."
        )
    seq_lengths = jnp.asarray(seq_lengths)
    if not jnp.issubdtype(seq_lengths.dtype, jnp.integer):
        raise TypeError(f"`seq_lengths` must be integers, got {describe(seq_lengths)}.")
    if seq_lengths.shape != batch:
        raise ValueError(
            f"`seq_lengths` must have one length per sequence, shape {batch} like the batch axes "
            f"of `inputs`, got {describe(seq_lengths)}. Do `inputs` follow `time_major`?"
        )
    return seq_lengths.astype(int)


@contextlib.contextmanager
def _with_names_of_flax() -> Iterator[None]:
    """Adds to an error the Flax names of the arguments that it mentions."""
    try:
        yield
    except (TypeError, ValueError) as error:
        error.add_note(
            "In the Flax modules, `carry` is `initial_carry`, `lengths` is `seq_lengths`, and `xs` "
            "(T, ..., I), whose steps are `x`, is `inputs`."
        )
        raise
