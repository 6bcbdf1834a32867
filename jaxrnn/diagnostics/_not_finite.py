"""What is not finite in a part of a model: its inputs and carries, or the loss and its gradient."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from jaxrnn.diagnostics._carry_gradients import carry_gradients
from jaxrnn.diagnostics._findings import CURES_OF_NONFINITE, Finding
from jaxrnn.diagnostics._first_nonfinite import first_nonfinite
from jaxrnn.diagnostics._parts import Part


def not_finite(part: Part, inputs: Any) -> Finding | None:
    """The first step and leaf of the inputs, carries and outputs of `part`; None if all is finite.

    Args:
      part: of a model.
      inputs: of its cell, (T, ..., I).
    """
    found = first_nonfinite(part.cell, part.params, None, inputs, mask=part.mask)
    if found is None:
        return None
    if part.is_reversed and found.step is not None:
        found = found._replace(step=len(jax.tree.leaves(inputs)[0]) - 1 - found.step)
    cure = CURES_OF_NONFINITE[found.place.split(".")[0].split("[")[0]]
    return Finding("not finite", part.name, str(found), cure)


def loss_through(
    part: Part, xs: Any, inputs: Any, loss: Callable[[Any], jax.Array]
) -> tuple[float, Finding | None]:
    """The loss, and what is not finite about it or its gradient with respect to the carries.

    Args:
      part: of a model.
      xs: inputs of the model.
      inputs: of its cell.
      loss: of the outputs of the model.
    """

    @jax.jit
    def run(params, xs, inputs):
        def of_outputs(ys):
            return loss(part.after(xs, ys))

        return carry_gradients(part.cell, params, None, inputs, of_outputs, mask=part.mask)

    found = run(part.params, xs, inputs)
    value, norms = float(found.value), [np.asarray(n) for n in jax.tree.leaves(found.norms)]
    if not math.isfinite(value):
        cure = "look at the loss: a logarithm of 0, a division by 0, or logits that are too large"
        return value, Finding("not finite", part.name, f"the loss is {value}", cure)
    bad = [t for n in norms for t in np.flatnonzero(~np.isfinite(n.reshape(len(n), -1)).all(1))]
    if not bad:
        return value, None
    step, rest = max(bad), "before"
    if part.is_reversed:
        step, rest = len(norms[0]) - 1 - step, "after"
    evidence = f"the gradient of the loss is not finite at step {step} and {rest}"
    cure = "look for a derivative that is infinite at 0, such as that of a square root"
    return value, Finding("not finite", part.name, evidence, cure)
