"""The weights of the ConvLSTMCell of Flax linen."""

from collections.abc import Iterator, Mapping

import numpy as np

from jaxrnn.cells import ConvLSTMParams
from jaxrnn.convert._arrays import check_kernel, check_names, check_shapes, count_gates
from jaxrnn.convert._gates import ALL_GATES, no_bias, reorder

CONV_KERNELS = ["ih/kernel", "hh/kernel"]
_BIASES = ["ih/bias", "hh/bias"]
_GATES, _ORDER = ALL_GATES[ConvLSTMParams], "igfo"


def read_conv(arrays: Mapping[str, np.ndarray]) -> ConvLSTMParams:
    """The parameters of a ConvLSTMCell, which adds 1 to its forget gate, biases or not."""
    has_biases = any(name in arrays for name in _BIASES)
    check_names("a ConvLSTMCell", arrays, CONV_KERNELS + _BIASES * has_biases)
    kernels = [arrays[name] for name in CONV_KERNELS]
    for name, kernel in zip(CONV_KERNELS, kernels, strict=True):
        check_kernel(name, kernel)
    *window, features, columns = kernels[1].shape
    count_gates(CONV_KERNELS[1], columns, features, {4})
    shapes = {"ih/kernel": (*window, kernels[0].shape[-2], columns)}
    check_shapes(arrays, shapes | dict.fromkeys(_BIASES, (columns,)))
    zeros = np.zeros(columns, kernels[1].dtype)
    biases = [arrays.get(name, zeros) for name in _BIASES]
    ours = [reorder(array, _ORDER, _GATES) for array in (*kernels, *biases)]
    return ConvLSTMParams(*ours[:2], _joined(*ours[2:]))


def written_conv(params: ConvLSTMParams) -> Iterator[tuple[str, np.ndarray]]:
    """The arrays of a ConvLSTMCell by path: the 1 of the forget gate is in the second bias."""
    bias, recurrent_bias = params.bias, no_bias(params.bias)
    _forget(recurrent_bias)[:] = -1
    arrays = params.kernel, params.recurrent_kernel, bias, recurrent_bias
    for path, array in zip(CONV_KERNELS + _BIASES, arrays, strict=True):
        yield path, reorder(array, _GATES, _ORDER)


def _joined(bias, recurrent_bias):
    """One bias for both, and 1 at the forget gate. There -1 in the second adds nothing at all."""
    second = recurrent_bias.copy()
    forget = _forget(second)
    forget[:] = np.where(forget == -1, no_bias(forget), forget + 1)
    return bias + second


def _forget(bias):
    return np.split(bias, 4)[_GATES.index("f")]
