"""Finds groups of operations that one operation can stand for."""

from typing import Any

from jaxrnn.engines.program._operations import Operation
from jaxrnn.engines.program._views import View


class Matching:
    """Operations, and which of them makes what another one reads.

    Args:
      operations: in order.
      values: what they read and write.
      placed: values that are read outside.
    """

    def __init__(self, operations: list[Operation], values: list[Any], placed: set[int]):
        self.operations, self.values, self.placed = operations, values, placed
        self.reads, self.writers, self.written_at = {}, {}, {}
        for at, operation in enumerate(operations):
            for view in operation.inputs:
                self.reads[view.value] = self.reads.get(view.value, 0) + 1
            value = operation.output.value
            self.writers[value] = None if value in self.writers else operation
            self.written_at[value] = at
        self.gone = set()

    def change(self, *changes: Any) -> list[Operation]:
        """The operations after each of `changes`, which maps an operation to what replaces it."""
        for change in changes:
            changed = []
            for operation in self.operations:
                if operation.output.value not in self.gone:
                    changed.append(change(operation))
            left = [o for o in changed if o.output.value not in self.gone]
            self.operations = [self.writers[o.output.value] or o for o in left]
        return self.operations

    def made(self, view: View, name: str, *, reads: int = 1) -> Operation | None:
        """The operation `name` that makes just what `view` shows; None if another one does.

        Args:
          view: an input.
          name: of the operation.
          reads: how often it is read, in all.
        """
        operation, value = self.writers.get(view.value), view.value
        if operation is None or operation.name != name or value in self.gone:
            return None
        if value in self.placed or self.reads[value] != reads:
            return None
        size = self.values[value].size
        return operation if view.is_whole(size) and operation.output.is_whole(size) else None

    def made_alike(self, operation: Operation, view: View, name: str) -> Operation | None:
        """What `made` finds and nothing else reads, if its shape is that of `operation`."""
        found = self.made(view, name)
        return found if found and found.output.shape == operation.output.shape else None

    def become(self, operation: Operation, *absorbed: Operation, **changes: Any) -> Operation:
        """`operation`, or one before it, with other fields; the absorbed ones become needless."""
        self.gone.update(o.output.value for o in absorbed)
        changed = operation._replace(**changes)
        if self.writers.get(operation.output.value) is operation:
            self.writers[operation.output.value] = changed
        return changed

    def number(self, view: View) -> float | None:
        """The constant that `view` shows everywhere, if it does."""
        return self.values[view.value].number


def pairs(operation: Operation) -> tuple[tuple[View, View], tuple[View, View]]:
    """Its two inputs in both orders."""
    a, b = operation.inputs
    return (a, b), (b, a)
