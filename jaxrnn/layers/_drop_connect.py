"""Dropout of recurrent weights."""

import jax

from jaxrnn._checks import check_rate
from jaxrnn._compose import check_layer, fold_key
from jaxrnn._named import check_no_weight_norm, take_named
from jaxrnn._noise import drop, keep
from jaxrnn._types import Layer


def drop_connect(layer: Layer, rate: float) -> Layer:
    """Sets recurrent weights to zero with probability `rate`; divides the others by ``1 - rate``.

    The draw depends on the key only. It is one for all steps and all sequences of a call, so it
    costs next to nothing, and chunks that are given the same key share it. With ``key=None``
    nothing is dropped.

    Args:
      layer: one with parameters named ``recurrent_kernel``, at any depth.
      rate: the probability, in [0, 1).

    Returns:
      A `Layer` with the parameters and the carry of `layer`.

    Raises:
      ValueError, TypeError: `rate` is not in [0, 1), `layer` is no layer, or none of its parameters
        is named ``recurrent_kernel``.

    References: Wan et al., 2013, "Regularization of neural networks using DropConnect"; Merity,
    Keskar and Socher, 2018, "Regularizing and optimizing LSTM language models".
    """
    check_layer("`layer`", layer)
    rate = check_rate("rate", rate)

    def init(key, xs):
        params = layer.init(key, xs)
        take_named(params, _NAMES)
        check_no_weight_norm("drop_connect", params)
        return params

    def apply(params, carry, xs, *, mask=None, resets=None, key=None):
        kernels, put = take_named(params, _NAMES)
        check_no_weight_norm("drop_connect", params)
        if key is not None and rate > 0:
            keys = jax.random.split(fold_key(key, 1), len(kernels))
            pairs = zip(keys, kernels.items(), strict=True)
            params = put({at: drop(keep(k, rate, w.shape), w, rate) for k, (at, w) in pairs})
        options = {"mask": mask, "resets": resets, "key": fold_key(key, 0)}
        return layer.apply(params, carry, xs, **options)

    return Layer(init, layer.init_carry, apply)


_NAMES = ("recurrent_kernel",)
