"""What is timed: a cell and the sizes that it runs at."""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Workload(NamedTuple):
    """One layer of a cell, and its sizes."""

    cell: str  # "lstm", "gru" or "elman"
    batch: int  # B
    steps: int  # T
    size: int  # I = H

    def __str__(self):
        return f"{self.cell} {self.batch},{self.steps},{self.size}"

    def inputs(self) -> jax.Array:
        """Random inputs (T, B, I), float32."""
        shape = (self.steps, self.batch, self.size)
        return jax.random.normal(jax.random.key(0), shape, jnp.float32)


WORKLOADS = [
    Workload("lstm", 1, 500, 128),
    Workload("lstm", 16, 200, 64),
    Workload("lstm", 32, 100, 128),
    Workload("lstm", 32, 100, 256),
    Workload("gru", 1, 500, 128),
    Workload("gru", 32, 100, 128),
    Workload("elman", 1, 500, 128),
    Workload("elman", 32, 100, 128),
]
