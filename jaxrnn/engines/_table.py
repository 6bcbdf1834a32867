"""The table of engines, and which of them runs a cell."""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax

from jaxrnn._core.loop import Loop
from jaxrnn._core.memo import on_no_mesh
from jaxrnn._core.types import Carry, Cell, Params, is_whole


class Call(NamedTuple):
    """A cell to run over a sequence: arrays, or only their shapes.

    Attributes:
      params: of the cell, prepared.
      carry: before the first step.
      initial: the carry that resets restore.
      xs: inputs (T, ...), zero where `mask` is False, but for an engine that skips those.
      mask: bool (T, ...) or None.
      resets: bool (T, ...) or None.
    """

    params: Params
    carry: Carry
    initial: Carry
    xs: Any
    mask: jax.Array | None
    resets: jax.Array | None


class Traits(NamedTuple):
    """What a trace of one step tells about the functions of a cell."""

    is_closed: bool = True  # they close over no traced array
    has_effects: bool = False  # they print, or call the host, as `jax.debug.callback` does


class Engine(NamedTuple):
    """A way to run a cell over a sequence.

    Attributes:
      name: what `implementation=` calls it.
      why_not: ``(cell, call, traits)`` -> why it cannot run the cell; None if it can. It reads
        only the shapes of the call, and None for it asks about the cell alone.
      why_not_chosen: the same for ``implementation=None``: why that does not take an engine that
        could run the cell. It may be asked about a cell that the engine cannot run.
      run: ``(cell, loop, call) -> (carry, ys)``, for one step at least.
      program: ``(cell, call)`` -> what it makes of the cell, in lines to read.
      skips_masked: whether `run` computes nothing from inputs where the mask is False: they may be
        NaN, and a pass over them that replaces them is saved.
    """

    name: str
    why_not: Callable[[Cell, Call | None, Traits], str | None]
    why_not_chosen: Callable[[Cell, Call | None, Traits], str | None]
    run: Callable[[Cell, Loop, Call], tuple[Carry, Any]]
    program: Callable[[Cell, Call], str] = lambda cell, call: ""
    skips_masked: bool = False


def why_not_by_rule(cell: Cell, call: Call | None, traits: Traits) -> str | None:
    """Why an engine cannot run `cell` that differentiates it by the rule for unrolls."""
    if is_whole(cell):
        return "the cell was made by `from_step` as a whole, not split into project, recur, update"
    if not traits.is_closed:
        return (
            "the functions of the cell close over a traced array, which would get no gradient: "
            "make it one of the parameters"
        )
    if traits.has_effects:
        return (
            "the functions of the cell have side effects, such as `jax.debug.callback`, and the "
            "derivative runs them more than once a step"
        )
    return None


def nothing_against(cell: Cell, call: Call | None, traits: Traits) -> None:
    """For an engine that can always run, or is always worth it."""


class Reasons(Mapping):
    """What is to be said of each engine, by its name: found when it is read, which may trace."""

    def __init__(self, find: Callable[[], dict[str, str]]):
        self._find = find

    @functools.cached_property
    def _found(self):
        with on_no_mesh():
            return self._find()

    def __getitem__(self, name):
        return self._found[name]

    def __iter__(self):
        return iter(self._found)

    def __len__(self):
        return len(self._found)

    def __repr__(self):
        return repr(self._found)


class Explanation(NamedTuple):
    """What `jaxrnn.explain` says about one cell."""

    cell: Cell
    implementation: str  # the engine that would run it
    reasons: Mapping[str, str]  # for each engine: why it runs, or why not
    program: Any  # what the engine makes of the cell, or a function that returns it

    def __str__(self):
        lines = [f"{self.cell!r} runs by {self.implementation!r}"]
        lines += [f"  {name}: {reason}" for name, reason in self.reasons.items()]
        return "\n".join(lines + self.program.splitlines())


def choose(
    engines: tuple[Engine, ...],
    name: str | None,
    cell: Cell,
    call: Call,
    traits: Traits,
) -> Explanation:
    """The engine of that name, or for None the first with nothing against it; with all reasons.

    Raises:
      ValueError: the engine of that name cannot run `cell`.
    """
    args = cell, call, traits
    if name is None:  # whether it pays is quicker to say than whether it can
        chosen = next(e.name for e in engines if not (e.why_not_chosen(*args) or e.why_not(*args)))
    else:
        chosen = name
        problem = next(e for e in engines if e.name == name).why_not(*args)
        if problem:
            refuse(name, problem)

    def find():
        return {engine.name: _reason(engine, name, chosen, args) for engine in engines}

    engine = next(engine for engine in engines if engine.name == chosen)
    return Explanation(cell, chosen, Reasons(find), functools.partial(engine.program, cell, call))


def _reason(engine, name, chosen, args):
    if engine.name == chosen:
        return "asked for by name" if name else "the first engine with nothing against it"
    reason = engine.why_not(*args) or engine.why_not_chosen(*args)
    return reason or f'it could; "{chosen}" comes first'


def refuse(name: str, problem: str) -> None:
    """Raises: this engine cannot run the cell."""
    raise ValueError(
        f"`implementation={name!r}` cannot run this cell: {problem}. With None, the library "
        "chooses an engine that can."
    )
