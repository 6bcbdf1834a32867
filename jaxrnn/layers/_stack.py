"""Layers one after the other."""

import jax

from jaxrnn._checks import check_key
from jaxrnn._types import Layer


def stack(*layers: Layer) -> Layer:
    """Layers one after the other: the outputs of each are the inputs of the next.

    Args:
      *layers: any layers, of any kind and width; at least one.

    Returns:
      A `Layer` whose parameters and carry are tuples, one entry a layer. Mask and resets go to
      every layer; layer i draws its random numbers from ``jax.random.fold_in(key, i)``.

    Raises:
      ValueError: there is no layer.
      TypeError: an argument is not a `Layer`.
    """
    if not layers:
        raise ValueError("`stack` needs at least one layer, got none.")
    for i, layer in enumerate(layers):
        if not isinstance(layer, Layer):
            raise TypeError(
                f"argument {i} of `stack` must be a Layer, got {type(layer).__name__}. "
                "A cell becomes a layer with `jaxrnn.rnn(cell)`."
            )

    def init(key, xs):
        check_key(key)
        params = []
        for layer, layer_key in zip(layers, jax.random.split(key, len(layers)), strict=True):
            params.append(layer.init(layer_key, xs))
            xs = _output(layer, params[-1], xs)
        return tuple(params)

    def init_carry(params, xs):
        check_entries("params", params)
        carry = []
        for layer, layer_params in zip(layers, params, strict=True):
            carry.append(layer.init_carry(layer_params, xs))
            xs = _output(layer, layer_params, xs)
        return tuple(carry)

    def apply(params, carry, xs, *, mask=None, resets=None, key=None):
        check_entries("params", params)
        carry = (None,) * len(layers) if carry is None else carry
        check_entries("carry", carry)
        new = []
        for i, layer in enumerate(layers):
            layer_key = None if key is None else jax.random.fold_in(key, i)
            options = {"mask": mask, "resets": resets, "key": layer_key}
            layer_carry, xs = layer.apply(params[i], carry[i], xs, **options)
            new.append(layer_carry)
        return tuple(new), xs

    def check_entries(name, entries):
        if not isinstance(entries, tuple) or len(entries) != len(layers):
            raise TypeError(
                f"`{name}` of this stack must be a tuple with an entry for each of its "
                f"{len(layers)} layers, got {type(entries).__name__}"
                f"{f' of {len(entries)}' if isinstance(entries, (tuple, list)) else ''}."
            )

    return Layer(init, init_carry, apply)


def _output(layer, params, xs):
    """The shape and dtype of what `layer` returns for `xs`."""
    return jax.eval_shape(lambda params, xs: layer.apply(params, None, xs)[1], params, xs)
