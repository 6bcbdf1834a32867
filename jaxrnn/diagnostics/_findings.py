"""What measurements of a network say about its training, and what helps."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

VANISHED, EXPLODED = 1e-4, 1e3  # of a gradient, over the whole sequence
SATURATED, DEAD = 0.5, 0.1  # shares of units


class Finding(NamedTuple):
    """A likely trouble, and what helps."""

    trouble: str  # "vanishing", "exploding", "saturated", "dead" or "not finite"
    part: str  # the cell or layer
    evidence: str
    cure: str

    def __str__(self):
        return f"{self.trouble}: {self.part}\n  {self.evidence}\n  try: {self.cure}"


class Measures(NamedTuple):
    """What was measured of a recurrent part, on the longest sequence of a batch."""

    part: str
    num_steps: int
    transport: np.ndarray  # (T,): |d last output / d carry| after each step, along one direction
    saturation: dict[str, float]  # the share of saturated values of each gate
    dead: float  # the share of units that do not change
    rank: float  # the effective rank of the outputs
    size: int  # the number of outputs

    def __str__(self):
        low, high = self.transport[0], self.transport[-1]
        gates = ", ".join(f"{name} {share:.0%}" for name, share in self.saturation.items())
        return (
            f"{self.part}: gradient {low:.1e} at step 0, {high:.1e} at step {self.num_steps - 1}; "
            f"{f'saturated {gates}' if gates else 'no gates'}; dead {self.dead:.0%}; "
            f"effective rank {self.rank:.1f} of {self.size}"
        )


def findings_of(measures: Measures) -> list[Finding]:
    """What the measures of a part say."""
    found = [*_of_gradient(measures), *_of_gates(measures)]
    if measures.dead > DEAD:
        evidence = f"{measures.dead:.0%} of its {measures.size} units never change"
        found.append(Finding("dead", measures.part, evidence, _DEAD))
    return found


def _of_gradient(measures):
    norms = measures.transport
    if not np.isfinite(norms).all():
        step = int(np.flatnonzero(~np.isfinite(norms))[-1])
        evidence = f"the gradient is not finite at step {step} and before"
        yield Finding("exploding", measures.part, evidence, _EXPLODING)
    elif norms[0] < VANISHED * norms[-1]:
        reach = int(np.argmax(norms[::-1] < norms[-1] / 1000))
        evidence = (
            f"over {measures.num_steps} steps the gradient shrinks from {norms[-1]:.1e} to "
            f"{norms[0]:.1e}: to a thousandth within {reach} steps"
        )
        yield Finding("vanishing", measures.part, evidence, _cure(measures))
    elif norms.max() > EXPLODED * norms[-1]:
        evidence = (
            f"the gradient grows from {norms[-1]:.1e} to {norms.max():.1e} on its way back over "
            f"{measures.num_steps} steps"
        )
        yield Finding("exploding", measures.part, evidence, _EXPLODING)


def _of_gates(measures):
    for name, share in measures.saturation.items():
        # Sigmoids near their ends are how a cell remembers, so they alone are no trouble.
        if name.startswith("tanh") and share > SATURATED:
            evidence = f"{share:.0%} of the values of `{name}` are within a tenth of its ends"
            yield Finding("saturated", measures.part, evidence, _SATURATED)


def _cure(measures):
    gates = measures.saturation
    if any(name.startswith("sigmoid") for name in gates):
        of_gru = "tanh[2]" in gates and "sigmoid[3]" not in gates
        gates = ', gates="rzn"' if of_gru else ""
        return (
            f"`bias_init=jaxrnn.initializers.chrono({measures.num_steps}{gates})`, or a cell for "
            "long sequences such as `jaxrnn.lru`"
        )
    return (
        "`recurrent_kernel_init=jaxrnn.initializers.orthogonal()` or `identity()`, a gated cell "
        "such as `jaxrnn.lstm`, or one that keeps gradients, such as `jaxrnn.scornn`"
    )


_EXPLODING = (
    "`optax.clip_by_global_norm(1.0)` or `jaxrnn.clip_carry_gradient`, a smaller or orthogonal "
    "recurrent kernel, or shorter stretches with `jaxrnn.truncate`"
)
_SATURATED = (
    "normalization, as in `jaxrnn.layer_norm_lstm`, smaller initial weights, or inputs scaled to a "
    "standard deviation of 1"
)
_DEAD = "a smaller learning rate, smaller initial weights, or tanh in place of a rectifier"
CURES_OF_NONFINITE = {
    "params": "go back to an earlier checkpoint, lower the learning rate, and clip gradients",
    "xs": "look for missing values in the data, and mask them",
    "carry": "clip gradients, lower the learning rate, or normalize; look at the step before",
    "ys": "look at the output equation, such as a logarithm or a division",
}


def along_last(ys: jax.Array) -> jax.Array:
    """The last output along one direction, the same for each call."""
    leaf = jax.tree.leaves(ys)[0][-1]
    direction = jax.random.normal(jax.random.key(0), leaf.shape, jnp.float32)
    return jnp.sum(leaf * (direction / jnp.linalg.norm(direction.reshape(-1))).astype(leaf.dtype))
