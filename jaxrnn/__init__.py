"""Recurrent networks in JAX: cells are pure functions of (params, carry, x).

Write a cell's arithmetic once; it trains, streams, batches and differentiates.
Axis letters everywhere: T time, B batch, I input, H hidden, G gates; sequences are (T, ..., I).

Functions are here by name. Their subjects are modules: `cells`, `wrappers`, `layers` and `engines`
have the types of parameters and carries, `authoring` the helpers for cells of your own, and
`initializers`, `activations`, `losses`, `decode`, `online`, `diagnostics`, `training`, `data` and
`checkpoint` the rest of a model. `convert`, `linen` and `nnx` are imported when they are asked for.
"""

from jaxrnn import (
    activations,
    authoring,
    checkpoint,
    data,
    decode,
    diagnostics,
    initializers,
    losses,
    online,
    training,
)
from jaxrnn._core.entry import constructor
from jaxrnn._core.masking import WithResets, length_mask
from jaxrnn._core.noise import Noisy
from jaxrnn._core.timed import Timed
from jaxrnn._core.types import Cell, Layer, from_step
from jaxrnn.cells import *
from jaxrnn.cells import HiddenCarry, LSTMCarry
from jaxrnn.engines import *
from jaxrnn.engines import Newton
from jaxrnn.layers import *
from jaxrnn.wrappers import *

__version__ = "0.1.0"
