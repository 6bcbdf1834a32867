"""Losses and metrics for padded sequences: means over the real steps, whatever the padding holds.

Predictions are floating, (T, ..., K) or (T, ...). `mask` is bool, True for what is real. It has any
of the leading axes of the targets: for targets (T, B, F) it is (T,), (T, B) or (T, B, F). None
means that every step is real. The result is a scalar in the dtype of the predictions, summed in at
least float32: the mean over the real steps, and over any axes that the mask does not have. Without
a real step the mean is 0, and so is its gradient. `ctc_loss` and `rnnt_loss` are means over the
sequences, and `mean_absolute_scaled_error` over the series.

Labels out of range raise a `ValueError` where their values are known: outside `jit`, in NumPy
arrays and in arrays on a CPU. Elsewhere they give NaN. An accelerator is not read, because that
would stop the program until the accelerator is done.
"""

from jaxrnn.losses._activations import activation_penalty, temporal_activation_penalty
from jaxrnn.losses._binary import binary_accuracy, binary_cross_entropy, f1
from jaxrnn.losses._classes import accuracy, cross_entropy, perplexity
from jaxrnn.losses._ctc import ctc_loss
from jaxrnn.losses._gaussian import gaussian_loss, gaussian_mixture_loss
from jaxrnn.losses._mean import masked_mean
from jaxrnn.losses._quantile import quantile_loss
from jaxrnn.losses._regression import huber, mean_absolute_error, mean_squared_error
from jaxrnn.losses._scaled import mean_absolute_scaled_error
from jaxrnn.losses._transducer import rnnt_loss

__all__ = [
    "accuracy",
    "activation_penalty",
    "binary_accuracy",
    "binary_cross_entropy",
    "cross_entropy",
    "ctc_loss",
    "f1",
    "gaussian_loss",
    "gaussian_mixture_loss",
    "huber",
    "masked_mean",
    "mean_absolute_error",
    "mean_absolute_scaled_error",
    "mean_squared_error",
    "perplexity",
    "quantile_loss",
    "rnnt_loss",
    "temporal_activation_penalty",
]


def __dir__():
    return __all__
