"""Flax nnx modules: `RNN` runs any cell or layer, `RNNCell` is a cell for Flax's own RNN.

They rename arguments and forward them; all arithmetic is elsewhere.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from jaxrnn._batch_major import annotated, as_layer, check_steppable, run
from jaxrnn._core.checks import check_bool, check_size
from jaxrnn._core.timed import Timed
from jaxrnn._core.types import Carry, Cell, Layer, Params
from jaxrnn.engines import step
from jaxrnn.layers._compose import keeps_time


class RNN(nnx.Module):
    """Runs a cell or a layer over batch-major sequences, as a replacement for `flax.nnx.RNN`.

    The attribute `params` holds the parameters of the layer, with an `nnx.Param` for each array:
    ``rnn.params.kernel`` for an LSTM, ``rnn.params[0].kernel`` for a stack. Dropout is active if a
    call is given `rngs`.

    Args:
      cell: a `jaxrnn.Cell` or `jaxrnn.Layer`.
      in_features: I, or the shape of one input; () for integer symbols.
      time_major: whether sequences are (T, *batch, I) rather than (*batch, T, I).
      return_carry: whether to return (carry, outputs) rather than the outputs.
      reverse: whether to read, and return, each sequence from its end. Padding stays at the end.
      keep_order: with `reverse`, whether to return the outputs in the order of the inputs.
      param_dtype: the dtype of the parameters, and so of the carry; inputs must have it too.
      partitioning: mesh axis names for parameters, the `out_sharding` of their `nnx.Param`; for
        example ``{"kernel": (None, "model")}``, for each parameter of that name.
      timed: whether inputs are `jaxrnn.Timed`, for a layer; a cell says so itself.
      rngs: draws the parameters.

    Raises:
      ValueError, TypeError: an argument is not as described here.
    """

    def __init__(
        self,
        cell: Cell | Layer,
        in_features: int | tuple[int, ...],
        *,
        time_major: bool = False,
        return_carry: bool = False,
        reverse: bool = False,
        keep_order: bool = False,
        param_dtype: Any = jnp.float32,
        partitioning: Mapping[str, tuple] | None = None,
        timed: bool = False,
        rngs: nnx.Rngs,
    ):
        check_bool("timed", timed)
        self.layer = nnx.static(as_layer(cell))
        self.time_major = time_major
        self.return_carry = return_carry
        self.reverse = reverse
        self.keep_order = keep_order
        shape = _feature_shape(in_features)
        self.num_feature_axes = len(shape)
        xs = jax.ShapeDtypeStruct((1, *shape), param_dtype if shape else jnp.int32)
        if timed or (isinstance(cell, Cell) and cell.reads_time):
            xs = Timed(xs, jax.ShapeDtypeStruct((1,), param_dtype))
        self.params = _variables(self.layer.init, xs, partitioning, rngs)

    def __call__(
        self,
        inputs: jax.Array | Timed,
        *,
        initial_carry: Carry | None = None,
        seq_lengths: jax.Array | None = None,
        mask: jax.Array | None = None,
        resets: jax.Array | None = None,
        context: Any = None,
        return_carry: bool | None = None,
        time_major: bool | None = None,
        reverse: bool | None = None,
        keep_order: bool | None = None,
        rngs: nnx.Rngs | nnx.RngStream | None = None,
    ) -> Any:
        """Runs over `inputs`. Arguments that are not None override the attributes of the same name.

        Args:
          inputs: (*batch, T, I), or (T, *batch, I) if `time_major`; any number of batch axes. With
            `jaxrnn.Timed(x, dt)`, the gaps dt are (*batch, T), or (T, *batch).
          initial_carry: the carry before the first step; None means the cell's initial carry.
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
          rngs: provides the key for dropout; None disables dropout, as in evaluation. A stream
            named ``carry``, which `flax.nnx.Bidirectional` passes, is not used, because an initial
            carry is a function of the parameters.

        Returns:
          The outputs, with the axes of the inputs, or without a time axis if the layer pools over
          time. With `return_carry`, a pair of the last carry of each sequence and the outputs.

        Raises:
          ValueError, TypeError: an argument does not fit the others, or the parameters.
        """
        params, key = _values(self.params), _dropout_key(rngs)

        def apply(carry, xs, **flags):
            carry, ys = self.layer.apply(params, carry, xs, **flags, key=key, context=context)
            return carry, ys, keeps_time(self.layer, params, xs)

        return run(
            self,
            apply,
            inputs,
            initial_carry=initial_carry,
            seq_lengths=seq_lengths,
            mask=mask,
            resets=resets,
            num_feature_axes=self.num_feature_axes,
            return_carry=return_carry,
            time_major=time_major,
            reverse=reverse,
            keep_order=keep_order,
        )


class RNNCell(nnx.RNNCellBase):
    """A jaxrnn cell as a Flax cell, for `flax.nnx.RNN`, `flax.nnx.scan` and loops of your own.

    It computes one step at a time, without the fast engines of `RNN`.

    Args:
      cell: a `jaxrnn.Cell`.
      in_features: I, or the shape of one input.
      param_dtype: the dtype of the parameters and the carry; inputs must have it too.
      partitioning: as in `RNN`.
      rngs: draws the parameters.

    Raises:
      ValueError, TypeError: an argument is not as described here.
    """

    def __init__(
        self,
        cell: Cell,
        in_features: int | tuple[int, ...],
        *,
        param_dtype: Any = jnp.float32,
        partitioning: Mapping[str, tuple] | None = None,
        rngs: nnx.Rngs,
    ):
        check_steppable(cell)
        self.cell = nnx.static(cell)
        self.param_dtype = param_dtype
        self.in_features = _feature_shape(in_features)
        x = jax.ShapeDtypeStruct(self.in_features, param_dtype)
        self.params = _variables(cell.init, x, partitioning, rngs)

    def __call__(self, carry: Carry, inputs: jax.Array) -> tuple[Carry, Any]:
        """One step: from the carry and inputs (..., I), the new carry and the output."""
        return step(self.cell, _values(self.params), carry, inputs)

    def initialize_carry(
        self, input_shape: tuple[int, ...], rngs: nnx.Rngs | nnx.RngStream | None = None
    ) -> Carry:
        """The initial carry for inputs of this shape. It needs no `rngs`."""
        x = jax.ShapeDtypeStruct(input_shape, self.param_dtype)
        return self.cell.init_carry(_values(self.params), x)

    @property
    def num_feature_axes(self) -> int:
        """The number of axes of one input."""
        return len(self.in_features)


def _feature_shape(in_features):
    if isinstance(in_features, (tuple, list)):
        for size in in_features:
            check_size("in_features", size)
        return tuple(in_features)
    check_size("in_features", in_features)
    return (in_features,)


def _variables(init: Callable, x: Any, partitioning: Any, rngs: nnx.Rngs) -> Params:
    """New parameters, with an `nnx.Param` for each array, as module data."""
    if not isinstance(rngs, nnx.Rngs):
        raise TypeError(f"`rngs` must be nnx.Rngs, as in `nnx.Rngs(0)`, got {type(rngs).__name__}.")
    return nnx.data(annotated(init(rngs.params(), x), partitioning, _param))


def _param(value: jax.Array, axes: tuple | None) -> nnx.Param:
    return nnx.Param(value) if axes is None else nnx.Param(value, out_sharding=axes)


def _values(variables: Params) -> Params:
    return jax.tree.map(lambda variable: variable[...], variables, is_leaf=_is_variable)


def _is_variable(leaf: Any) -> bool:
    return isinstance(leaf, nnx.Variable)


def _dropout_key(rngs):
    if rngs is None or (isinstance(rngs, nnx.RngStream) and rngs.tag == "carry"):
        return None
    if isinstance(rngs, nnx.RngStream):
        return rngs()
    if isinstance(rngs, nnx.Rngs) and ("dropout" in rngs or "default" in rngs):
        return rngs.dropout()
    if isinstance(rngs, nnx.Rngs):
        raise ValueError(
            f"`rngs` has no stream for dropout, only {sorted(rngs)}. Make one with "
            "`nnx.Rngs(dropout=seed)`, or pass no `rngs` to evaluate."
        )
    raise TypeError(
        f"`rngs` must be nnx.Rngs or one of its streams, got {type(rngs).__name__}. "
        "Make them from a seed with `nnx.Rngs(seed)`."
    )
