"""Mixed precision: a layer that computes in another dtype than its parameters have."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxrnn._core.entry import constructor
from jaxrnn._core.timed import Timed
from jaxrnn._core.types import Layer, check_layer
from jaxrnn.layers._compose import empty_results


@constructor
def cast(layer: Layer, dtype: Any) -> Layer:
    """Mixed precision: computes in `dtype`, with parameters in their own dtype.

    Parameters, carry, inputs and context are cast before the call, and the carry and the outputs
    are cast back after it. So the parameters, the gradients and what an optimizer adds up stay in
    float32 while products run in bfloat16, with sums in float32. Only floating arrays are cast.
    Float16 overflows above 65,504: scale the loss, or use bfloat16.

    Args:
      layer: any layer.
      dtype: the floating dtype to compute in, such as ``jnp.bfloat16``.

    Returns:
      A `Layer` with the parameters, the carry and the outputs of `layer`, in their dtypes.

    Raises:
      TypeError: `layer` is not a `Layer`, or `dtype` is not floating.

    References: Micikevicius et al., 2018, "Mixed precision training".

    Examples:
      >>> layer = jaxrnn.cast(jaxrnn.dense(1), jnp.bfloat16)
      >>> params = jaxrnn.layers.DenseParams(jnp.ones((1, 1)), jnp.zeros(1))  # float32
      >>> _, ys = layer.apply(params, (), jnp.array([[1.0], [1.001]]))
      >>> ys.dtype, ys.ravel().tolist()  # bfloat16 has 8 bits for 1.001
      (dtype('float32'), [1.0, 1.0])
    """
    check_layer("`layer`", layer)
    _check_floating(dtype)
    narrow = jnp.dtype(dtype)

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        like = empty_results(layer, params, xs)
        _check_dtypes(carry, like[0])
        context = context._replace(value=_to(context.value, narrow))
        options = {"mask": mask, "resets": resets, "key": key, "context": context}
        carry, ys = layer.apply(*_to((params, carry, xs), narrow), **options)
        return _like(carry, like[0]), _like(ys, like[1])

    return layer._replace(apply=apply)


def _check_floating(dtype):
    try:
        floating = jnp.issubdtype(jnp.dtype(dtype), jnp.floating)
    except TypeError:
        floating = False
    if not floating:
        raise TypeError(f"`dtype` must be a floating dtype such as jnp.bfloat16, got {dtype!r}.")


def _check_dtypes(carry, like):
    """Raises unless the floating arrays of a carry have the dtypes of `like`.

    The layer checks the rest: it sees only the dtype that the carry is cast to.
    """
    wanted = [leaf.dtype for leaf in jax.tree.leaves(like) if _is_real(leaf)]
    given = [leaf.dtype for leaf in jax.tree.leaves(carry) if _is_real(leaf)]
    for want, got in zip(wanted, given, strict=False):
        if want != got:
            raise TypeError(
                f"`carry` must be {want}, as outside of `cast`, got {got}. Is it the carry of a "
                "layer without `cast`?"
            )


def _is_real(x):
    return jnp.issubdtype(x.dtype, jnp.floating)


def _to(tree, dtype):
    """`tree` with floating arrays of `dtype`; the gaps of `Timed` inputs stay as they are."""

    def to(node):
        if isinstance(node, Timed):
            return node._replace(x=_to(node.x, dtype))
        return node.astype(dtype) if _is_real(node) else node

    return jax.tree.map(to, tree, is_leaf=lambda node: isinstance(node, Timed))


def _like(tree, like):
    """`tree` with the floating dtypes of `like`; a count of steps may come with a key alone."""
    dtypes = iter([leaf.dtype for leaf in jax.tree.leaves(like) if _is_real(leaf)])
    return jax.tree.map(lambda x: x.astype(next(dtypes)) if _is_real(x) else x, tree)
