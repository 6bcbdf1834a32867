"""Parameters in a file to share: `save` and `load`."""

import os
import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._checks import describe
from jaxrnn._types import Params
from jaxrnn._weight_file import DTYPES, read_weights, write_weights
from jaxrnn._weight_header import RESERVED

_SHOWN = 6  # leaves that a message lists
_WIDE = "int64", "uint64", "float64"


def save(
    path: str | os.PathLike, params: Params, *, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes parameters to a safetensors file, which any program that knows the format can read.

    Arrays are named by their path, such as ``0.forward.recurrent_kernel``, and written to the last
    bit, with a SHA-256 each. Whatever happens meanwhile, `path` is the old file or the new one,
    whole. Arrays that are spread over the devices of a process are gathered.

    Args:
      path: of the file. Of a symbolic link, what it points to is replaced.
      params: a pytree of arrays: bool, integer, float8_e4m3fn, float8_e5m2, float16, bfloat16,
        float32, float64 or complex64.
      metadata: to keep with them, such as the arguments of the layer. None means nothing.

    Raises:
      TypeError: a leaf is traced, a random key, no array, or of another dtype; `metadata` is not
        str by str.
      ValueError: two leaves have one name, a name or `metadata` cannot be stored, or an array is
        spread over several processes.
      OSError: the file cannot be written. What was there is left as it was.
      ImportError: safetensors is not installed.
    """
    metadata = {} if metadata is None else dict(metadata)
    _check_metadata(metadata)
    arrays = {name: _as_numpy(name, leaf) for name, leaf in _named("params", params).items()}
    write_weights(path, arrays, metadata)


def load(path: str | os.PathLike, like: Params) -> Params:
    """The parameters in a file that `jaxrnn.save` wrote, once every byte of it is checked.

    Args:
      path: of the file.
      like: the same pytree, of arrays or of their shapes and dtypes, as of
        ``jax.eval_shape(layer.init, key, xs)``. `jaxrnn.read_weights` needs none.

    Returns:
      The arrays of the file in the structure of `like`, on the default device.

    Raises:
      ValueError: the file is damaged, cut off, not one that `jaxrnn.save` wrote, or does not have
        the names, shapes and dtypes of `like`.
      TypeError: a leaf of `like` has no shape and dtype, or JAX would narrow it.
      OSError: the file cannot be read.
      ImportError: safetensors is not installed.
    """
    expected = _named("like", like)
    for name, leaf in expected.items():
        _check_like(name, leaf)
    arrays = read_weights(path).arrays
    _check_fit(path, arrays, expected)
    leaves = [jnp.array(arrays[name]) for name in expected]
    return jax.tree.structure(like).unflatten(leaves)


def _named(argument: str, tree: Any) -> dict[str, Any]:
    """The leaves by their paths; a tree that is one array has the name of no path."""
    leaves = [
        (jax.tree_util.keystr(path, simple=True, separator=".") or "array", leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]
    named = dict(leaves)
    if len(named) < len(leaves):
        twice = sorted({name for name, leaf in leaves if leaf is not named[name]})
        raise ValueError(
            f"`{argument}` has two leaves named {_listed(twice)}; each needs a name of its own. "
            "Does a key of a dict have a dot in it?"
        )
    return named


def _as_numpy(name: str, leaf: Any) -> np.ndarray:
    """A leaf as the format has it: contiguous, in this machine's order of bytes."""
    if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
        raise TypeError(
            f"`{name}` in `params` must be an array, got {describe(leaf)}. Make numbers one with "
            "`jnp.asarray`."
        )
    if isinstance(leaf, jax.core.Tracer):
        raise TypeError(
            f"`{name}` in `params` is traced, and has no values to save yet: call `jaxrnn.save` "
            "outside of `jit`, `grad` and `vmap`, on what they return."
        )
    _check_no_key(name, "params", leaf)
    if not (getattr(leaf, "is_fully_addressable", True) or leaf.is_fully_replicated):
        raise ValueError(
            f"`{name}` in `params` is spread over several processes, and this one cannot see all "
            "of it. Gather it with `jax.experimental.multihost_utils.process_allgather`, and save "
            "in one process; or use orbax."
        )
    array = np.asarray(leaf)
    native = array.dtype.newbyteorder("=")
    if native not in DTYPES.values():
        raise TypeError(
            f"`{name}` in `params` is {describe(leaf)}, which safetensors has no dtype for. It has "
            f"{', '.join(map(str, DTYPES.values()))}: cast it, or view it as one of these."
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
            "`jaxrnn.read_weights`."
        )


def _check_no_key(name: str, argument: str, leaf: Any) -> None:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        raise TypeError(
            f"`{name}` in `{argument}` is a random key, of which the bits depend on how JAX makes "
            "them. Save `jax.random.key_data(key)`, or training state with orbax: see "
            "docs/checkpoints.md."
        )


def _check_fit(path: Any, arrays: Mapping[str, np.ndarray], expected: Mapping[str, Any]) -> None:
    """Raises unless the names, shapes and dtypes are those of `like`."""
    wanted = {name: describe(leaf) for name, leaf in expected.items()}
    got = {name: describe(array) for name, array in arrays.items()}
    problems = [
        f"`{name}` must be {wanted.get(name, 'absent')}, got {got.get(name, 'none')}"
        for name in wanted | got
        if wanted.get(name) != got.get(name)
    ]
    if problems:
        raise ValueError(
            f"`{path}` does not fit `like`: {_listed(problems, '; ')}. Was it saved from a layer "
            "of other cells, sizes or dtype?"
        )


def _check_metadata(metadata: Mapping[str, str]) -> None:
    for key, value in metadata.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(
                f"`metadata` must be str by str, got {key!r}: {value!r}. Write anything else as "
                "text, with `json.dumps`."
            )
        if key.startswith(RESERVED) or re.search("[\ud800-\udfff]", key + value):
            raise ValueError(
                f"`metadata` cannot hold {key!r}: {value!r}. A key may not begin with "
                f"{RESERVED!r}, and both must be whole characters, without lone surrogates."
            )


def _listed(texts: list[str], separator: str = ", ") -> str:
    more = len(texts) - _SHOWN
    return separator.join(texts[:_SHOWN]) + (f"{separator}and {more} more" if more > 0 else "")
