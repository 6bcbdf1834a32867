"""A program in lines to read."""

from jaxrnn.engines.program._code import Code
from jaxrnn.engines.program._operations import Operation
from jaxrnn.engines.program._views import View


def listing(title: str, code: Code) -> list[str]:
    """What a program does, an operation a line.

    `state` is the carry before a step, or the cotangent of the one after it, `next` the other,
    `input` what is projected, and `r0`, `r1` are registers; ``[a:b]`` are the features of each.
    """
    registers = {name for name in code.names.values() if name.startswith("r")}
    between, over_all = code.scratch
    head = (
        f"{title}: {len(code.operations)} operations, {len(registers)} registers of "
        f"{between + over_all} numbers for each row"
    )
    return [head, *(f"  {_line(operation, code.names)}" for operation in code.operations)]


def _line(operation: Operation, names: dict[int, str]) -> str:
    inputs = ", ".join(_view(view, names) for view in operation.inputs)
    matrix = operation.matrix
    if matrix is not None:
        heads = f"{matrix.heads} x " if matrix.heads > 1 else ""
        turned = ", transposed" if matrix.is_transposed else ""
        inputs += f", matrix {heads}({matrix.depth}, {matrix.units}){turned}"
    return f"{_view(operation.output, names)} = {operation.name}({inputs})"


def _view(view: View, names: dict[int, str]) -> str:
    name = names[view.value]
    if name[0].isdigit() or name[0] == "-":
        return name
    last = view.offset + sum((n - 1) * s for n, s in zip(view.shape, view.strides, strict=True))
    return f"{name}[{view.offset}:{last + 1}]"
