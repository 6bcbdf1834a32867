"""Weight conversion from and to other libraries.

Each ``from_X`` returns a `Network`: a layer and its parameters, ready to run. Each ``to_X`` takes
parameters and infers the cells from their types. ``from_X(to_X(params))`` returns the same
parameters, bit for bit. Importing `jaxrnn.convert` imports no other library, and pickles are never
opened.
"""

from jaxrnn.convert._cudnn import from_cudnn, to_cudnn
from jaxrnn.convert._equinox import from_equinox, to_equinox
from jaxrnn.convert._haiku import from_haiku, to_haiku
from jaxrnn.convert._keras import from_keras, to_keras
from jaxrnn.convert._linen import from_linen, to_linen
from jaxrnn.convert._network import Network
from jaxrnn.convert._nnx import from_nnx, to_nnx
from jaxrnn.convert._onnx import from_onnx
from jaxrnn.convert._onnx_model import to_onnx
from jaxrnn.convert._torch import from_torch, to_torch

__all__ = [
    "Network",
    "from_cudnn",
    "from_equinox",
    "from_haiku",
    "from_keras",
    "from_linen",
    "from_nnx",
    "from_onnx",
    "from_torch",
    "to_cudnn",
    "to_equinox",
    "to_haiku",
    "to_keras",
    "to_linen",
    "to_nnx",
    "to_onnx",
    "to_torch",
]
