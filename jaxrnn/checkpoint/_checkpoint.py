"""`save` and `load`: parameters in a safetensors file."""

import os
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import describe
from jaxrnn._core.types import Params
from jaxrnn.checkpoint._weight_file import DTYPES, read_weights, write_weights
from jaxrnn.checkpoint._weight_header import RESERVED

_SHOWN = 6  # the number of leaves listed in a message
_WIDE = "int64", "uint64", "float64"


def save(
    path: str | os.PathLike, params: Params, *, metadata: Mapping[str, str] | None = None
) -> None:
    """Saves parameters to a safetensors file, which any safetensors reader can open.

    Each array is named by its path in the pytree, such as ``0.forward.recurrent_kernel``, and
    stored bit for bit with a SHA-256 checksum. The file is replaced atomically: an error or a crash
    leaves the old one intact. Arrays that are sharded over the devices of one process are gathered.

    Args:
      path: the file to write. If it is a symbolic link, the file that it points to is replaced.
      params: a pytree of arrays: bool, integer, float8_e4m3fn, float8_e5m2, float16, bfloat16,
        float32, float64 or complex64.
      metadata: strings to store with the parameters, such as the arguments of the layer. None
        means no metadata.

    Raises:
      TypeError: a leaf is traced, a random key, a masked array, not an array, or has an unsupported
        dtype; or `metadata` does not map str to str.
      ValueError: two leaves have the same name, a name or `metadata` cannot be stored, or an array
        is sharded over several processes.
      OSError: the file cannot be written. The old file is left unchanged.
      ImportError: safetensors is not installed.

    Examples:
      >>> params = jaxrnn.gru(4).init(jax.random.key(0), jnp.zeros((3, 5)))
      >>> jaxrnn.checkpoint.save("gru.safetensors", params, metadata={"hidden_size": "4"})
      >>> sorted(jaxrnn.checkpoint.read_weights("gru.safetensors").arrays)
      ['bias', 'kernel', 'recurrent_bias', 'recurrent_kernel']
    """
    metadata = {} if metadata is None else dict(metadata)
    _check_metadata(metadata)
    arrays = {name: _as_numpy(name, leaf) for name, leaf in _named("params", params).items()}
    write_weights(path, arrays, metadata)


def load(path: str | os.PathLike, like: Params) -> Params:
    """Loads parameters from a file written by `jaxrnn.checkpoint.save`, verifying every byte.

    Args:
      path: the file to read.
      like: a pytree of arrays or `jax.ShapeDtypeStruct` with the structure, shapes and dtypes to
        expect, for example ``jax.eval_shape(layer.init, key, xs)``. Use
        `jaxrnn.checkpoint.read_weights` to read a file without one.

    Returns:
      The arrays of the file in the structure of `like`, on the default device.

    Raises:
      ValueError: the file is damaged, truncated or not written by `jaxrnn.checkpoint.save`, or its
        names, shapes or dtypes differ from `like`.
      TypeError: a leaf of `like` has no shape or dtype, or has a dtype that JAX would narrow.
      OSError: the file cannot be read.
      ImportError: safetensors is not installed.

    Examples:
      >>> cell, x = jaxrnn.gru(4), jnp.zeros((3, 5))
      >>> params = cell.init(jax.random.key(0), x)
      >>> jaxrnn.checkpoint.save("gru.safetensors", params)
      >>> like = jax.eval_shape(cell.init, jax.random.key(0), x)
      >>> loaded = jaxrnn.checkpoint.load("gru.safetensors", like)
      >>> bool((loaded.kernel == params.kernel).all())
      True
    """
    expected = _named("like", like)
    for name, leaf in expected.items():
        _check_like(name, leaf)
    arrays = read_weights(path).arrays
    _check_match(path, arrays, expected)
    leaves = [jnp.array(arrays[name]) for name in expected]
    return jax.tree.structure(like).unflatten(leaves)


def _named(argument: str, tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by path. The leaf of a tree that is a single array is ``array``."""
    leaves = [
        (jax.tree_util.keystr(path, simple=True, separator=".") or "array", leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]
    named = dict(leaves)
    if len(named) < len(leaves):
        twice = sorted({name for name, leaf in leaves if leaf is not named[name]})
        raise ValueError(
            f"`{argument}` has two leaves named {_listed(twice)}, but names must be unique. Does a "
            "dict key contain a dot?"
        )
    return named


def _as_numpy(name: str, leaf: Any) -> np.ndarray:
    """A leaf as a contiguous array in native byte order."""
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
        raise TypeError(
            f"`{name}` in `params` must be an array, got {describe(leaf)}. Convert numbers with "
            "`jnp.asarray`."
        )
    if isinstance(leaf, jax.core.Tracer):
        raise TypeError(
            f"`{name}` in `params` is traced, so it has no values to save yet. Call "
            "`jaxrnn.checkpoint.save` outside `jit`, `grad` and `vmap`, on the arrays they return."
        )
    if isinstance(leaf, np.ma.MaskedArray):
        raise TypeError(
            f"`{name}` in `params` is a masked array, and a file has no place for its mask. Save "
            "its `data` and its `mask` as two arrays."
        )
    _check_no_key(name, "params", leaf)
    if not (getattr(leaf, "is_fully_addressable", True) or leaf.is_fully_replicated):
        raise ValueError(
            f"`{name}` in `params` is sharded over several processes, and this process cannot "
            "access all of it. Gather it with "
            "`jax.experimental.multihost_utils.process_allgather` and save in one process, or use "
            "orbax."
        )
    array = np.asarray(leaf)
    native = array.dtype.newbyteorder("=")
    if native not in DTYPES.values():
        raise TypeError(
            f"`{name}` in `params` is {describe(leaf)}, which safetensors has no dtype for. Cast "
            f"it to, or view it as, one of {', '.join(map(str, DTYPES.values()))}."
        )
    return np.asarray(array, native, order="C")


def _check_like(name: str, leaf: Any) -> None:
    if not hasattr(leaf, "shape") or not hasattr(leaf, "dtype"):
        raise TypeError(
            f"`{name}` in `like` must be an array or a jax.ShapeDtypeStruct, got {describe(leaf)}. "
            "Make `like` with `jax.eval_shape(layer.init, key, xs)`."
        )
    _check_no_key(name, "like", leaf)
    if leaf.dtype in _WIDE and not jax.config.jax_enable_x64:
        raise TypeError(
            f"`{name}` in `like` is {leaf.dtype}, which JAX would narrow. Call "
            '`jax.config.update("jax_enable_x64", True)`, or read NumPy arrays with '
            "`jaxrnn.checkpoint.read_weights`."
        )


def _check_no_key(name: str, argument: str, leaf: Any) -> None:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        raise TypeError(
            f"`{name}` in `{argument}` is a random key, whose bits depend on the PRNG "
            "implementation. Save `jax.random.key_data(key)`, or save training state with orbax: "
            "see docs/checkpoints.md."
        )


def _check_match(path: Any, arrays: Mapping[str, np.ndarray], expected: Mapping[str, Any]) -> None:
    """Raises unless the file has the names, shapes and dtypes of `like`."""
    wanted = {name: describe(leaf) for name, leaf in expected.items()}
    got = {name: describe(array) for name, array in arrays.items()}
    problems = [
        f"`{name}` must be {wanted.get(name, 'absent')}, got {got.get(name, 'none')}"
        for name in wanted | got
        if wanted.get(name) != got.get(name)
    ]
    if problems:
        raise ValueError(
            f"`{path}` does not match `like`: {_listed(problems, '; ')}. Was it saved from a layer "
            "with other cells, sizes or dtypes?"
        )


def _check_metadata(metadata: Mapping[str, str]) -> None:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(
                f"`metadata` must map str to str, got {key!r}: {value!r}. Convert other values to "
                "text, for example with `json.dumps`."
            )
        if key.startswith(RESERVED) or re.search("[\ud800-\udfff]", key + value):
            raise ValueError(
                f"`metadata` cannot hold {key!r}: {value!r}. A key may not begin with "
                f"{RESERVED!r}, and neither string may contain lone surrogates."
            )


def _listed(texts: list[str], separator: str = ", ") -> str:
    more = len(texts) - _SHOWN
    return separator.join(texts[:_SHOWN]) + (f"{separator}and {more} more" if more > 0 else "")
