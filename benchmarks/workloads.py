"""What is timed: a cell at some sizes, with a name such as ``lstm_32_100_128``."""

import re
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import jaxrnn

GATES = {"lstm": 4, "gru": 3, "elman": 1}
DTYPES = ("float32", "bfloat16")
_NAME = re.compile(rf"({'|'.join(GATES)})_(\d+)_(\d+)_(?:(\d+)x)?(\d+)(?:_({'|'.join(DTYPES)}))?")


class Workload(NamedTuple):
    """One layer: a cell and its sizes."""

    cell: str  # "lstm", "gru" or "elman"
    batch: int  # B
    steps: int  # T
    inputs: int  # I
    hidden: int  # H
    dtype: str = "float32"

    @property
    def name(self) -> str:
        """``cell_B_T_H``, with ``IxH`` for H if they differ, and the dtype if not float32."""
        width = f"{self.inputs}x{self.hidden}" if self.inputs != self.hidden else self.hidden
        dtype = "" if self.dtype == "float32" else f"_{self.dtype}"
        return f"{self.cell}_{self.batch}_{self.steps}_{width}{dtype}"

    def streaming(self) -> "Workload":
        """One step of one sequence."""
        return self._replace(batch=1, steps=1)

    def xs(self) -> jax.Array:
        """Random inputs (T, B, I)."""
        shape = (self.steps, self.batch, self.inputs)
        return jax.random.normal(jax.random.key(0), shape, jnp.dtype(self.dtype))

    def params(self, cell: jaxrnn.Cell) -> Any:
        """The weights that every contestant gets, converted to its own format."""
        x = jax.ShapeDtypeStruct((self.batch, self.inputs), jnp.dtype(self.dtype))
        return cell.init(jax.random.key(1), x)

    def flops(self, kind: str) -> int:
        """Additions and multiplications in the matrix products that a pass cannot avoid.

        The forward pass computes W x and U h. The backward pass adds one product for each of the
        gradients of W and U, and one that takes the gradient of h to the previous step.
        """
        by_input, by_carry = {"forward": (1, 1), "train": (2, 3), "stream": (1, 1)}[kind]
        columns = 2 * self.steps * self.batch * GATES[self.cell] * self.hidden
        return columns * (by_input * self.inputs + by_carry * self.hidden)


def parse(name: str) -> Workload:
    """The workload with this name."""
    found = _NAME.fullmatch(name)
    if not found:
        raise ValueError(
            f"A workload is named cell_B_T_H, such as lstm_32_100_128, or cell_B_T_IxH, with a "
            f"cell of {list(GATES)}, and ends in _bfloat16 if it is not float32; got {name!r}."
        )
    cell, *sizes, dtype = found.groups()
    batch, steps, inputs, hidden = (int(size) if size else None for size in sizes)
    return Workload(cell, batch, steps, inputs or hidden, hidden, dtype or "float32")


def select(start: str) -> list[Workload]:
    """The workloads of the table whose names start with `start`, or any one by its full name."""
    return [w for w in WORKLOADS if w.name.startswith(start)] or [parse(start)]


WORKLOADS = [
    parse(name)
    for name in (
        "lstm_1_500_128",
        "lstm_16_200_64",
        "lstm_32_100_128",
        "lstm_32_100_256",
        "lstm_64_50_512",
        "gru_1_500_128",
        "gru_32_100_128",
        "gru_64_50_512",
        "elman_1_500_128",
        "elman_32_100_128",
        "elman_64_50_512",
    )
]
QUICK = [parse("lstm_32_100_128"), parse("gru_1_500_128")]

_BASE = parse("lstm_32_100_128")
SCALING = {
    "steps": [_BASE._replace(steps=steps) for steps in (10, 32, 100, 320, 1000)],
    "batch": [_BASE._replace(batch=batch) for batch in (1, 4, 16, 64, 256)],
    "hidden": [_BASE._replace(inputs=size, hidden=size) for size in (16, 64, 256, 512, 1024)],
}
