"""Checkpoints of parameters: safetensors files with a checksum of every byte.

For training state, which also holds an optimizer, a random key and a position in the data, use
orbax: see docs/checkpoints.md.
"""

from jaxrnn.checkpoint._checkpoint import load, save
from jaxrnn.checkpoint._weight_file import Weights, read_weights

__all__ = ["Weights", "load", "read_weights", "save"]
