"""Weights as a direction and a length."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxrnn._core.checks import check_params
from jaxrnn._core.context import prepare_inner
from jaxrnn._core.entry import constructor
from jaxrnn._core.numerics import is_floating, over_rows, sum_dtype
from jaxrnn._core.types import Cell, Params, check_cell
from jaxrnn.wrappers._fields import check_fields, check_names


class WeightNormParams(NamedTuple):
    params: Params  # of the cell; its matrices V give the directions
    gains: Any  # like params: (N,) for each matrix (I, N), None for other arrays


@constructor
def weight_norm(cell: Cell, *, fields: tuple[str, ...] | None = None) -> Cell:
    """Learns the length of each column of a weight matrix apart from its direction.

        W = g V / |V|

    |V| is the length of a column, over the inputs of one unit. W is computed once a sequence.
    Training starts from the matrices that `cell` draws: g = |V|.

    Args:
      cell: a cell with parameters that have two axes: kernels, not biases.
      fields: the weights that are normalized, by the field of the parameters; None means every
        matrix.

    Returns:
      A `Cell` with parameters `WeightNormParams` and the carry of `cell`. The engines that run
      `cell` run it too.

    Raises:
      ValueError, TypeError: `cell` is not a `Cell`, has no weight matrix, or its parameters lack a
        field.

    References: Salimans and Kingma, 2016, "Weight normalization: a simple reparameterization to
    accelerate training of deep neural networks".

    Examples:
      >>> cell, xs = jaxrnn.weight_norm(jaxrnn.lstm(8)), jnp.ones((5, 2, 4))  # (T, B, I)
      >>> params = cell.init(jax.random.key(0), xs[0])
      >>> params.gains.kernel.shape, params.gains.bias
      ((32,), None)
      >>> longer = params.params._replace(kernel=4 * params.params.kernel)
      >>> _, ys = jaxrnn.unroll(cell, params, None, xs)
      >>> _, same = jaxrnn.unroll(cell, params._replace(params=longer), None, xs)
      >>> bool(jnp.allclose(ys, same, atol=1e-5))  # only the direction of the kernel counts
      True
    """
    check_cell(cell)
    if fields is not None:
        check_names(fields)

    def init(key, x):
        params = cell.init(key, x)
        if not any(map(_is_matrix, jax.tree.leaves(params))):
            raise ValueError(
                "`weight_norm` needs a cell with weight matrices, and the parameters of "
                f"{cell!r} have no array with two axes."
            )
        return WeightNormParams(params, _only(fields, jax.tree.map(_initial_gain, params)))

    def weights(params):
        check_params(params, WeightNormParams)
        _check_gains(params)
        return jax.tree.map(_scaled, params.gains, params.params, is_leaf=lambda x: x is None)

    def init_carry(params, x):
        return cell.init_carry(weights(params), x)

    def noise(params, key, step, x):
        return cell.noise(weights(params), key, step, x)

    return cell._replace(
        init=init,
        init_carry=init_carry,
        prepare=prepare_inner(cell, weights),
        noise=noise if cell.noise else None,
    )


def _only(fields, gains):
    """The gains of these fields, and None for all others."""
    if fields is None:
        return gains
    check_fields("weight_norm", gains, fields)
    left_out = [field for field in gains._fields if field not in fields]
    return gains._replace(**{f: jax.tree.map(lambda _: None, getattr(gains, f)) for f in left_out})


def _check_gains(params):
    def structure(tree):
        return jax.tree.structure(tree, is_leaf=lambda x: x is None)

    if structure(params.gains) != structure(params.params):
        raise ValueError(
            "`params.gains` must have the structure of `params.params`, with None for arrays that "
            "are not matrices. Were they made by the `init` of another cell?"
        )


def _is_matrix(leaf):
    return is_floating(leaf) and len(leaf.shape) == 2


def _initial_gain(leaf):
    return _lengths(leaf).astype(leaf.dtype) if _is_matrix(leaf) else None


def _scaled(gain, kernel):
    if gain is None:
        return kernel
    wide = sum_dtype(kernel.dtype)
    scale = over_rows(gain.astype(wide) / _lengths(kernel), kernel.astype(wide))
    return (kernel.astype(wide) * scale).astype(kernel.dtype)


def _lengths(kernel):
    """The length of each column, (I, N) -> (N,); the least number above 0 for a column of zeros."""
    squares = jnp.sum(kernel.astype(sum_dtype(kernel.dtype)) ** 2, axis=-2)
    return jnp.sqrt(jnp.maximum(squares, jnp.finfo(squares.dtype).tiny))
