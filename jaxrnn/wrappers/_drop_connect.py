"""Dropout of recurrent weights."""

import jax

from jaxrnn._core.checks import check_rate
from jaxrnn._core.context import Drawing, Handed, prepared
from jaxrnn._core.entry import constructor
from jaxrnn._core.noise import drop, is_zero, keep
from jaxrnn._core.types import Cell, check_cell
from jaxrnn.wrappers._fields import check_fields, check_names


@constructor
def drop_connect(
    cell: Cell, rate: float, *, fields: tuple[str, ...] = ("recurrent_kernel",)
) -> Cell:
    """Sets recurrent weights to zero with probability `rate`; divides the others by ``1 - rate``.

    The draw is one for all steps and all sequences of a call of the layer, so it costs next to
    nothing, and chunks that are given the same key share it. Without a key nothing is dropped.

    Args:
      cell: a cell whose parameters have these fields. Wrap it before other wrappers that have
        parameters of their own.
      rate: the probability, in [0, 1).
      fields: the weights that are dropped, by the field of the parameters.

    Returns:
      A `Cell` with the parameters and the carry of `cell`, to be run by `jaxrnn.rnn`. The
      engines that run `cell` run it too.

    Raises:
      ValueError, TypeError: `rate` is not in [0, 1), `cell` is not a `Cell`, or its parameters lack
        a field.

    References: Wan et al., 2013, "Regularization of neural networks using DropConnect"; Merity,
    Keskar and Socher, 2018, "Regularizing and optimizing LSTM language models".

    Examples:
      >>> layer = jaxrnn.rnn(jaxrnn.drop_connect(jaxrnn.lstm(8), 0.5))
      >>> xs = jnp.ones((5, 2, 4))  # two equal sequences, (T, B, I)
      >>> params = layer.init(jax.random.key(0), xs)
      >>> _, ys = layer.apply(params, None, xs)
      >>> _, dropped = layer.apply(params, None, xs, key=jax.random.key(1))
      >>> bool(jnp.allclose(ys, dropped))
      False
      >>> bool(jnp.allclose(dropped[:, 0], dropped[:, 1]))  # one draw for both
      True
    """
    check_cell(cell)
    rate = check_rate("rate", rate)
    check_names(fields)

    def init(key, x):
        params = cell.init(key, x)
        check_fields("drop_connect", params, fields)
        return params

    def prepare(params, context, key):
        if key is None:
            return prepared(cell, params, Handed(context, []))
        inner_key, *keys = jax.random.split(key, 1 + len(fields))
        if not is_zero(rate):
            weights = {field: getattr(params, field) for field in fields}
            pairs = zip(keys, weights.items(), strict=True)
            params = params._replace(
                **{field: drop(keep(k, rate, w.shape), w, rate) for k, (field, w) in pairs}
            )
        return prepared(cell, params, Handed(context, [], inner_key))

    return cell._replace(init=init, prepare=Drawing(prepare))
