"""What training loops have in common: plain functions, each of which can be left out.

A loop is yours to write. `jaxrnn.data.minibatches` makes its batches, and optax its optimizer.
"""

from jaxrnn.training._early_stopping import EarlyStopping, EarlyStoppingState, early_stopping
from jaxrnn.training._evaluate import evaluate
from jaxrnn.training._progress import progress
from jaxrnn.training._ridge import ridge_readout
from jaxrnn.training._windows import train_windows

__all__ = [
    "EarlyStopping",
    "EarlyStoppingState",
    "early_stopping",
    "evaluate",
    "progress",
    "ridge_readout",
    "train_windows",
]


def __dir__():
    return __all__
