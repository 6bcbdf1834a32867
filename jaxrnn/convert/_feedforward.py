"""The layers beside recurrent ones that libraries share: dense, embedding and dropout."""

from typing import Any

import numpy as np

from jaxrnn._core.types import Params
from jaxrnn.convert._arrays import as_numpy, check_matrix, check_shapes
from jaxrnn.convert._network import Part, as_jax
from jaxrnn.layers import DenseParams, EmbedParams, dense, dropout, embed


def dense_part(kernel: np.ndarray, bias: np.ndarray | None, label: str) -> Part:
    """A `jaxrnn.dense` with a kernel (I, F) and a bias (F,), or none."""
    params = checked_dense(DenseParams(kernel, bias))
    options = {"use_bias": False} if bias is None else {}
    features = kernel.shape[1]
    return Part(dense(features, **options), as_jax(params), len(kernel), features, label)


def embed_part(embedding: np.ndarray, label: str) -> Part:
    """A `jaxrnn.embed` with a table (V, F)."""
    params = checked_embed(EmbedParams(embedding))
    dtype = params.embedding.dtype
    options = {} if dtype == np.float32 else {"dtype": dtype}  # float32 is the default
    layer = embed(*params.embedding.shape, **options)
    return Part(layer, as_jax(params), 0, embedding.shape[1], label)


def dropout_part(rate: float, label: str) -> Part:
    """A `jaxrnn.dropout`."""
    return Part(dropout(rate), (), None, None, label)


def checked_dense(params: DenseParams) -> DenseParams:
    """`params` as NumPy arrays, with checks of their shapes."""
    kernel = as_numpy("kernel", params.kernel)
    check_matrix("kernel", kernel)
    bias = None if params.bias is None else as_numpy("bias", params.bias)
    if bias is not None:
        check_shapes({"bias": bias}, {"bias": (kernel.shape[1],)})
    return DenseParams(kernel, bias)


def checked_embed(params: EmbedParams) -> EmbedParams:
    """`params` as a NumPy array, with a check of its shape."""
    embedding = as_numpy("embedding", params.embedding)
    check_matrix("embedding", embedding)
    return EmbedParams(embedding)


def entries_of(params: Params) -> list[Any]:
    """The parameters of each layer in sequence, also of stacks in stacks.

    Layers without parameters, such as `jaxrnn.dropout`, are left out.
    """
    if type(params) is not tuple:
        return [params]
    return [entry for part in params for entry in entries_of(part)]
