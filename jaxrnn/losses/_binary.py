"""Cross entropy of independent binary labels."""

import jax

from jaxrnn._core.mesh import on_any_mesh
from jaxrnn._core.ranges import check_known
from jaxrnn._core.shardings import replicated
from jaxrnn.losses._arguments import real_pair
from jaxrnn.losses._mean import mean
from jaxrnn.losses._products import nan_unless, times


@on_any_mesh(replicated)
def binary_cross_entropy(
    logits: jax.Array, labels: jax.Array, mask: jax.Array | None = None
) -> jax.Array:
    """Cross entropy of independent binary labels, in nats.

    Logits of inf and -inf are certain: the loss is zero where the label agrees, and infinite
    elsewhere.

    Args:
      logits: floating (T, ...).
      labels: like `logits`, from 0 to 1.
      mask: bool, with any of the leading axes of `labels`, True = a real step.

    Raises:
      ValueError, TypeError: an argument of another shape or dtype; or a label outside 0 to 1 at a
        real step, where the labels are known. A traced label out of range gives NaN.
    """
    x, y, dtype = real_pair(logits, labels, mask, ("logits", "labels"))
    check_known("labels", labels, mask, 0, 1, cause=_CAUSE)
    values = times(y, jax.nn.softplus(-x)) + times(1 - y, jax.nn.softplus(x))
    return mean(nan_unless((y >= 0) & (y <= 1), values), mask).astype(dtype)


_CAUSE = (
    "They are probabilities: map labels of -1 and 1 to 0 and 1 with `(labels + 1) / 2`, and mask "
    "the padding."
)
