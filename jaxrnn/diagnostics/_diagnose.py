"""One call that looks for what keeps a recurrent network from training."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxrnn._core.checks import check_sequence, example
from jaxrnn._core.flags import check_flags
from jaxrnn._core.noise import batch_axes
from jaxrnn._core.timed import inputs_of
from jaxrnn._core.types import Cell, Layer, Params
from jaxrnn.diagnostics._carry_gradients import carry_gradients
from jaxrnn.diagnostics._dead_units import dead_units
from jaxrnn.diagnostics._effective_rank import effective_rank
from jaxrnn.diagnostics._findings import Finding, Measures, along_last, findings_of
from jaxrnn.diagnostics._not_finite import loss_through, not_finite
from jaxrnn.diagnostics._parts import recurrent_parts
from jaxrnn.diagnostics._saturation import gate_saturation
from jaxrnn.engines._unroll import unroll


class Report(NamedTuple):
    """What `diagnose` found; `print` shows it in a few lines."""

    loss: float
    findings: list[Finding]
    measures: list[Measures]  # of each recurrent part, in order
    skipped: list[str]  # parts with a carry that cannot be looked at step by step

    def __str__(self):
        lines = [f"loss {self.loss:.4g}; {len(self.findings) or 'no'} likely troubles"]
        lines += map(str, self.findings)
        lines += map(str, self.measures)
        return "\n".join([*lines, *(f"not looked at: {name}" for name in self.skipped)])


def diagnose(
    model: Cell | Layer,
    params: Params,
    xs: Any,
    loss: Callable[[Any], jax.Array],
    *,
    mask: jax.Array | None = None,
) -> Report:
    """Names what is likely to keep a model from training, with evidence and a cure.

        print(diagnose(model, params, xs, lambda ys: loss_of(ys, targets)))

    It looks at each recurrent part of a stack, and at both directions of a bidirectional layer, on
    the longest sequence of the batch:

    - gradients of the last output that vanish or explode on their way to the first step;
    - tanhs that are saturated, so that no gradient passes. Sigmoids near their ends are reported
      but are no trouble by themselves: an open forget gate is how a cell remembers;
    - dead units, which never change;
    - NaN or infinity in the parameters, inputs, carries, outputs, or the loss and its gradient:
      the first step and leaf.

    Args:
      model: a cell or a layer. A stack and a bidirectional layer are taken apart, down to
        `jaxrnn.rnn`; another layer is looked at as a whole if it can stream, and else listed as
        skipped. The gradient of a part that runs backward goes from the first step to the last.
      params: from its `init`.
      xs: inputs (T, ..., I).
      loss: ``ys -> value``, a scalar, from the outputs of the model.
      mask: bool (T, ...), True = a real step.

    Returns:
      A `Report`. It reads values, so it cannot run in `jax.jit`. The thresholds are rules of thumb:
      a gradient that shrinks to 1e-4 vanishes, one that grows by 1000 explodes.

    Raises:
      ValueError, TypeError: an argument does not fit the others.

    Examples:
      >>> cell, xs = jaxrnn.elman(2, use_bias=False), jnp.sin(jnp.arange(50.0))[:, None, None]
      >>> params = jaxrnn.cells.ElmanParams(jnp.ones((1, 2)), 0.1 * jnp.eye(2), None)
      >>> report = jaxrnn.diagnostics.diagnose(cell, params, xs, lambda ys: jnp.sum(ys[-1]))
      >>> [finding.trouble for finding in report.findings]
      ['vanishing']
    """
    num_steps = check_sequence(xs)
    check_flags("mask", mask, xs)
    if num_steps < 2:
        raise ValueError(f"`xs` has {num_steps} steps, too few to follow a gradient over time.")
    parts, skipped = recurrent_parts(model, params, xs, mask)
    value, findings, measures = math.nan, [], []
    for part in parts:
        inputs = inputs_of(part.cell, part.before(xs))
        found = not_finite(part, inputs)
        if found is not None:
            findings.append(found)
            break  # what comes after is not finite either
        value, found = loss_through(part, xs, inputs, loss)
        findings += [] if found is None else [found]
        measures.append(_measure(part, _longest(part, inputs)))
        findings += findings_of(measures[-1])
    if not parts and isinstance(model, Layer):
        value = float(loss(model.apply(params, None, xs, mask=mask)[1]))
    return Report(value, findings, measures, skipped)


def _longest(part, inputs):
    """The longest sequence of the batch, without padding."""
    batch = batch_axes(example(inputs), part.cell.num_feature_axes)
    if part.mask is None:
        steps, row = slice(None), (0,) * len(batch)
    else:
        mask = np.asarray(part.mask)
        mask = np.broadcast_to(
            mask.reshape(*mask.shape, *(1,) * (1 + len(batch) - mask.ndim)), (len(mask), *batch)
        )
        row = np.unravel_index(mask.sum(axis=0).argmax(), batch) if batch else ()
        steps = np.flatnonzero(mask[(slice(None), *row)])
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[steps][(slice(None), *row)], inputs)


def _measure(part, xs):
    @jax.jit
    def run(params, xs):
        norms = carry_gradients(part.cell, params, None, xs, along_last).norms
        gates = gate_saturation(part.cell, params, None, xs)
        states = jax.tree.leaves(unroll(part.cell, params, None, xs)[1])[0]
        states = states.reshape(len(states), -1)
        shares = {name: jnp.mean(low + high) for name, (low, high) in gates.items()}
        wide = [leaf.astype(jnp.result_type(float)) for leaf in jax.tree.leaves(norms)]
        transport = jnp.sqrt(sum(leaf**2 for leaf in wide))
        names[:] = shares
        return transport, shares, dead_units(states).mean(), effective_rank(states), states

    names = []  # in order, which a dict does not keep in `jax.jit`
    transport, shares, dead, rank, states = run(part.params, xs)
    return Measures(
        part.name,
        len(transport),
        np.asarray(transport),
        {name: float(shares[name]) for name in names},
        float(dead),
        float(rank),
        states.shape[-1],
    )
