"""Parameters found by their names."""

from collections.abc import Callable, Collection
from typing import NamedTuple

import jax

from jaxrnn._types import Params


class WeightNormParams(NamedTuple):
    """The parameters of `jaxrnn.weight_norm`."""

    params: Params  # of the layer; its kernels V give the directions
    gains: dict[str, jax.Array]  # (N,) for each kernel (I, N), by its path


def check_no_weight_norm(name: str, params: Params) -> None:
    """Raises where kernels are directions, so that a wrapper would not change the weights."""

    def is_normed(node):
        return isinstance(node, WeightNormParams)

    if any(map(is_normed, jax.tree.leaves(params, is_leaf=is_normed))):
        raise ValueError(
            f"`{name}` must be inside of `weight_norm`, whose kernels are directions and no "
            f"weights: write `weight_norm({name}(layer, ...))`."
        )


def take_named(params: Params, names: Collection[str]) -> tuple[dict[str, jax.Array], Callable]:
    """The arrays of `params` that have one of these names.

    Args:
      params: a pytree; a name is the field of a NamedTuple or the key of a dict.
      names: such as ``("kernel", "recurrent_kernel")``.

    Returns:
      The arrays by their path, such as ``"[0].kernel"``, and a function from such a dict to
      `params` with these arrays in place.

    Raises:
      ValueError: there is none.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(params)
    paths = [jax.tree_util.keystr(path) for path, _ in leaves]
    is_named = [bool(path) and _name(path[-1]) in names for path, _ in leaves]
    found = {p: leaf for p, (_, leaf), n in zip(paths, leaves, is_named, strict=True) if n}
    if not found:
        raise ValueError(
            f"`params` have no array named {' or '.join(names)}, but {paths}. The parameters of a "
            "cell are found by the names of its fields."
        )

    def put(arrays):
        at_paths = zip(paths, leaves, strict=True)
        return structure.unflatten([arrays.get(path, leaf) for path, (_, leaf) in at_paths])

    return found, put


def _name(entry):
    return getattr(entry, "name", getattr(entry, "key", None))
