"""Residual connections."""

from jaxrnn._core.entry import constructor
from jaxrnn._core.masking import zero_where_masked
from jaxrnn._core.timed import features
from jaxrnn._core.types import Layer, check_layer
from jaxrnn.layers._compose import check_like_input


@constructor
def residual(layer: Layer) -> Layer:
    """Residual connection: adds the input of a layer to its output.

        y = x + layer(x)

    Args:
      layer: a layer whose output has the shape and dtype of its input.

    Returns:
      A `Layer` with the parameters and the carry of `layer`: (T, ..., I) -> (T, ..., I).

    Raises:
      TypeError: `layer` is not a `Layer`, or the input is not floating.
      ValueError: the output of `layer` has another shape or dtype than its input.

    References: He et al., 2016, "Deep residual learning for image recognition"; Wu et al., 2016,
    "Google's neural machine translation system".

    Examples:
      >>> zeros = jax.nn.initializers.zeros
      >>> layer = jaxrnn.residual(jaxrnn.dense(2, kernel_init=zeros))
      >>> xs = jnp.array([[1.0, 2.0], [3.0, 4.0]])  # (T, I)
      >>> params = layer.init(jax.random.key(0), xs)
      >>> layer.apply(params, None, xs)[1].tolist()  # dense gives zeros, and the input stays
      [[1.0, 2.0], [3.0, 4.0]]
    """
    check_layer("`layer`", layer)

    def init(key, xs):
        params = layer.init(key, xs)
        check_like_input("residual", layer, params, xs)
        return params

    def apply(params, carry, xs, *, mask=None, resets=None, key=None, context=None):
        check_like_input("residual", layer, params, xs)
        xs = zero_where_masked(mask, xs)
        options = {"mask": mask, "resets": resets, "key": key, "context": context}
        carry, ys = layer.apply(params, carry, xs, **options)
        return carry, features(xs) + ys

    return Layer(init, layer.init_carry, apply)
