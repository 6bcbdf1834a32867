"""How many steps back a model looks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import check_positive, check_sequence, check_size
from jaxrnn._core.types import Cell, Layer, Params, check_layer
from jaxrnn.layers._compose import keeps_time
from jaxrnn.layers._rnn import rnn


class ContextLength(NamedTuple):
    """How the last output changes when a model sees only the last steps."""

    lengths: np.ndarray  # (K,), numbers of steps
    changes: jax.Array  # (K,), |y - y'| / |y| for each of them, over all rows
    length: jax.Array  # (), the smallest length from which on changes are small; T if none


def context_length(
    model: Cell | Layer,
    params: Params,
    xs: Any,
    *,
    lengths: Sequence[int] | None = None,
    tolerance: float = 0.01,
) -> ContextLength:
    """The number of past steps that a model uses: fewer would change its last output.

    The model runs from its initial carry on the last k steps alone, for each k, and its last output
    is compared with that of the whole sequence. A trained model often uses far fewer steps than
    it is given.

        context_length(model, params, xs, lengths=[1, 10, 100, 1000]).length

    Args:
      model: a cell or a layer. One that pools over time has one output, which is compared.
      params: from its `init`.
      xs: inputs (T, ..., I), all of T steps.
      lengths: increasing numbers of steps, 1 to T. None means powers of 2 below T.
      tolerance: the largest change that counts as none.

    Returns:
      `ContextLength`.

    Raises:
      ValueError, TypeError: an argument does not fit the others, or `lengths` are not increasing
        integers from 1 to T.

    References: Khandelwal, He, Qi and Jurafsky, 2018, "Sharp nearby, fuzzy far away: how neural
    language models use context".

    Examples:
      >>> model, xs = jaxrnn.causal_conv(2, 3), jnp.ones((8, 2))  # it sees three steps
      >>> params = model.init(jax.random.key(0), xs)
      >>> found = jaxrnn.diagnostics.context_length(model, params, xs, lengths=[1, 2, 3, 4, 5])
      >>> int(found.length)
      3
    """
    model = rnn(model) if isinstance(model, Cell) else model
    check_layer("`model`", model)
    check_positive("tolerance", tolerance)
    num_steps = check_sequence(xs)
    if lengths is None:
        lengths = [2**i for i in range(max(1, num_steps).bit_length()) if 2**i <= num_steps]
    for length in lengths:
        check_size("lengths", length)
    lengths = np.array(lengths, np.int32)
    if not lengths.size or (np.diff(lengths) <= 0).any() or lengths[-1] > num_steps:
        raise ValueError(
            f"`lengths` must be increasing numbers of steps from 1 to T = {num_steps}, got "
            f"{lengths.tolist()}."
        )
    is_sequence = keeps_time(model, params, xs)

    def last_output(length):
        mask = jnp.arange(num_steps, dtype=jnp.int32) >= num_steps - length
        _, ys = model.apply(params, None, xs, mask=mask)
        return jax.tree.leaves(ys)[0][-1] if is_sequence else jax.tree.leaves(ys)[0]

    run = jax.jit(lambda lengths: jax.lax.map(last_output, lengths))
    *short, whole = run(jnp.asarray([*lengths, num_steps], jnp.int32))
    size = jnp.linalg.norm(whole.reshape(-1))
    size = jnp.where(size > 0, size, jnp.ones_like(size))
    changes = jnp.stack([jnp.linalg.norm((y - whole).reshape(-1)) for y in short]) / size
    is_large = jnp.concatenate([jnp.ones(1, bool), ~(changes <= tolerance)])  # also NaN
    last_large = jnp.max(jnp.where(is_large, jnp.arange(len(lengths) + 1), 0))
    length = jnp.asarray([*lengths, num_steps], jnp.int32)[last_large]
    return ContextLength(lengths, changes, length)
