"""Flax linen modules: `RNN` runs any cell or layer, `RNNCell` is a cell for Flax's own RNN.

They rename arguments and forward them; all arithmetic is elsewhere.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxrnn._batch_major import annotated, as_layer, check_steppable, path_names, run
from jaxrnn._core.memo import remembered
from jaxrnn._core.timed import Timed
from jaxrnn._core.types import Carry, Cell, Layer, Params
from jaxrnn.engines import explain, step
from jaxrnn.layers._compose import keeps_time


class RNN(nn.Module):
    """Runs a cell or a layer over batch-major sequences, as a replacement for `flax.linen.RNN`.

    Parameters are in ``variables["params"]`` under their jaxrnn names: ``kernel``,
    ``recurrent_kernel`` and ``bias`` for an LSTM; for a stack, ``"0"``, ``"1"``, ... hold the
    parameters of its layers. They take the dtype of the inputs. Dropout is active if ``apply`` is
    given an rng named ``"dropout"``.

    Attributes:
      cell: a `jaxrnn.Cell` or `jaxrnn.Layer`.
      time_major: whether sequences are (T, *batch, I) rather than (*batch, T, I).
      return_carry: whether to return (carry, outputs) rather than the outputs.
      reverse: whether to read, and return, each sequence from its end. Padding stays at the end.
      keep_order: with `reverse`, whether to return the outputs in the order of the inputs.
      num_feature_axes: the number of axes of one input. None means 1 for floating inputs and 0 for
        integer symbols, or what the cell says, such as 3 for pictures. A layer with a convolutional
        cell needs it.
      partitioning: mesh axis names for parameters, as in `flax.linen.with_partitioning`; for
        example ``{"kernel": (None, "model")}``, for each parameter of that name.
    """

    cell: Cell | Layer
    time_major: bool = False
    return_carry: bool = False
    reverse: bool = False
    keep_order: bool = False
    num_feature_axes: int | None = None
    partitioning: Mapping[str, tuple] | None = None

    @nn.compact
    def __call__(
        self,
        inputs: jax.Array | Timed,
        *,
        initial_carry: Carry | None = None,
        init_key: jax.Array | None = None,
        seq_lengths: jax.Array | None = None,
        mask: jax.Array | None = None,
        resets: jax.Array | None = None,
        context: Any = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
    ) -> Any:
        """Runs over `inputs`. Arguments that are not None override the attributes of the same name.

        Args:
          inputs: (*batch, T, I), or (T, *batch, I) if `time_major`; any number of batch axes. With
            `jaxrnn.Timed(x, dt)`, the gaps dt are (*batch, T), or (T, *batch).
          initial_carry: the carry before the first step; None means the cell's initial carry.
          init_key: not used, because an initial carry is a function of the parameters; accepted so
            that `flax.linen.Bidirectional` can call this module.
          seq_lengths: integers (*batch), 0 to T, the number of real steps of each sequence. The
            rest is padding: it is never read, and outputs there are zero.
          mask: bool (*batch, T), or (T, *batch) if `time_major`; True = a real step. For padding
            anywhere; use it instead of `seq_lengths`.
          resets: bool, like `mask`. True restores the initial carry before a step and blocks its
            gradient.
          context: what the sequences are conditioned on, a pytree of arrays (*batch, ...), for
            cells that read one, such as `jaxrnn.attention(...)`.
          return_carry: as the attribute.
          time_major: as the attribute.
          reverse: as the attribute.
          keep_order: as the attribute.

        Returns:
          The outputs, with the axes of the inputs, or without a time axis if the layer pools over
          time. With `return_carry`, a pair of the last carry of each sequence and the outputs.

        Raises:
          ValueError, TypeError: an argument does not fit the others, or the parameters.
        """
        layer = as_layer(self.cell)
        key = self.make_rng("dropout") if self.has_rng("dropout") else None

        def apply(carry, xs, **flags):
            params = _parameters(self, layer, xs)
            if self.num_feature_axes is None and isinstance(self.cell, Layer):
                _check_has_one_feature_axis(layer, params, xs, context)
            carry, ys = layer.apply(params, carry, xs, **flags, key=key, context=context)
            return carry, ys, keeps_time(layer, params, xs)

        return run(
            self,
            apply,
            inputs,
            initial_carry=initial_carry,
            seq_lengths=seq_lengths,
            mask=mask,
            resets=resets,
            num_feature_axes=_num_feature_axes(self),
            return_carry=return_carry,
            time_major=time_major,
            reverse=reverse,
            keep_order=keep_order,
        )


class RNNCell(nn.RNNCellBase):
    """A jaxrnn cell as a Flax cell, for `flax.linen.RNN`, `flax.linen.scan` and loops of your own.

    It computes one step at a time, without the fast engines of `RNN`.

    Attributes:
      cell: a `jaxrnn.Cell`.
      param_dtype: the dtype of the parameters and the carry; inputs must have it too.
      num_feature_axes: the number of axes of one input; None means what the cell says.
      partitioning: as in `RNN`.
    """

    cell: Cell
    param_dtype: Any = jnp.float32
    num_feature_axes: int | None = None
    partitioning: Mapping[str, tuple] | None = None

    def __post_init__(self):
        if self.num_feature_axes is None:
            object.__setattr__(self, "num_feature_axes", getattr(self.cell, "num_feature_axes", 1))
        super().__post_init__()

    @nn.compact
    def __call__(self, carry: Carry, inputs: jax.Array) -> tuple[Carry, Any]:
        """One step: from the carry and inputs (..., I), the new carry and the output."""
        check_steppable(self.cell)
        x = jax.ShapeDtypeStruct(inputs.shape, self.param_dtype)
        return step(self.cell, _parameters(self, self.cell, x), carry, inputs)

    @nn.nowrap
    def initialize_carry(self, rng: jax.Array, input_shape: tuple[int, ...]) -> Carry:
        """The initial carry for inputs of this shape.

        A learned initial carry comes from the parameters of this module if it has any, as in
        `flax.linen.RNN`, and otherwise from new parameters drawn with `rng`.
        """
        check_steppable(self.cell)
        x = jax.ShapeDtypeStruct(input_shape, self.param_dtype)
        if self.scope is None or not self.scope.variables().get("params"):
            return self.cell.init_carry(self.cell.init(rng, x), x)
        return self.cell.init_carry(_stored(self, jax.eval_shape(self.cell.init, rng, x)), x)


def _num_feature_axes(module: RNN) -> int | None:
    """What the module or its cell says; None for 1, or 0 for integer symbols."""
    own = getattr(module.cell, "num_feature_axes", 1)
    return own if module.num_feature_axes is None and own > 1 else module.num_feature_axes


def _check_has_one_feature_axis(layer: Layer, params: Params, xs: jax.Array, context: Any) -> None:
    """Raises if a cell within `layer` reads pictures: then the axes of `xs` may be mistaken."""
    cells = remembered(_cells_run, layer, None, (params, xs, context)) if xs.ndim > 2 else ()
    for cell in cells:
        if cell.num_feature_axes > 1:
            raise ValueError(
                f"`num_feature_axes` of the RNN must be given, because its layer has {cell!r}, "
                f"which reads inputs with {cell.num_feature_axes} axes."
            )


def _cells_run(layer, _, arguments):
    """The cells that `layer` runs. No steps are enough to tell."""
    params, xs, context = arguments
    none = jax.ShapeDtypeStruct((0, *xs.shape[1:]), xs.dtype)
    return [found.cell for found in explain(layer, none, params=params, context=context)]


def _parameters(module: nn.Module, thing: Cell | Layer, x: Any) -> Params:
    """The parameters of `module`; missing ones are drawn by `init` if "params" is mutable."""
    shapes = remembered(_drawn, thing, None, x)
    missing = [name for name in _by_name(shapes) if not module.has_variable("params", name)]
    if missing and module.is_mutable_collection("params"):
        new = _by_name(
            annotated(thing.init(module.make_rng("params"), x), module.partitioning, _box)
        )
        for name in missing:
            module.param(name, lambda _, value: value, new[name])
    return _stored(module, shapes)


def _drawn(thing, _, x):
    """The parameters that `init` draws, in shape."""
    return jax.eval_shape(thing.init, jax.random.key(0), x)


def _stored(module: nn.Module, shapes: Params) -> Params:
    """The parameters that `module` was given, with the structure of `shapes`."""
    given = flatten_dict(nn.unbox(module.variables.get("params", {})))
    names = flatten_dict(_by_name(jax.tree.map(lambda _: "", shapes)))
    missing = ["/".join(name) for name in names if name not in given]
    if missing:
        raise ValueError(
            f"`params` of this {type(module).__name__} need {', '.join(missing)}, got "
            f"{', '.join(map('/'.join, given)) or 'none'}. Were they made by the `init` of a "
            "module with the same cell? Flax's own cells store theirs under other names."
        )
    paths = [path for path, _ in jax.tree_util.tree_leaves_with_path(shapes)]
    return jax.tree.structure(shapes).unflatten(given[path_names(path)] for path in paths)


def _by_name(params: Params) -> dict:
    """The parameters as nested dicts, as Flax stores them."""
    leaves = jax.tree_util.tree_leaves_with_path(params, is_leaf=_is_box)
    return unflatten_dict({path_names(path): leaf for path, leaf in leaves})


def _box(value: jax.Array, axes: tuple | None) -> Any:
    if axes is not None and jax.sharding.get_abstract_mesh().explicit_axes:
        value = jax.sharding.reshard(value, jax.sharding.PartitionSpec(*axes))  # Flax asserts it
    return value if axes is None else nn.Partitioned(value, axes)


def _is_box(leaf: Any) -> bool:
    return isinstance(leaf, nn.Partitioned)
