"""The ways to run a cell over a sequence, and which of them is chosen."""

import functools
from typing import Any, NamedTuple

import jax

from jaxrnn._checks import example
from jaxrnn._derivative import trajectory
from jaxrnn._loop import Loop, scan
from jaxrnn._masking import masked, resetting, resetting_params
from jaxrnn._structure import projects_linearly
from jaxrnn._types import Carry, Cell, Params, splits

NAMES = ("scan", "xla", "native")


class Explanation(NamedTuple):
    """What `jaxrnn.explain` returns."""

    implementation: str  # what would run
    reason: str  # why


def choose(
    cell: Cell,
    implementation: str | None,
    params: Params,
    carry: Carry,
    x: Any,
    length: int,
    closes_over_traced: bool,
) -> Explanation:
    """What runs `cell`; raises where the named implementation cannot.

    Args:
      cell: what is to be run.
      implementation: one of `NAMES`, or None for the choice of this function.
      params: of the cell; of these three, only shapes and dtypes are read.
      carry: like that of the run.
      x: an example of one step.
      length: T.
      closes_over_traced: whether the functions of the cell close over a traced array. A rule for
        derivatives knows only what it is given: such an array would get no gradient.
    """
    check_choice(cell, implementation)
    if implementation == "scan":
        return Explanation("scan", "it was asked for")
    if not splits(cell):
        return _only_scan(implementation, _WHOLE)
    if closes_over_traced:
        closing = (
            "the functions of the cell close over a traced array, which would get no gradient: "
            "make it one of the parameters"
        )
        return _only_scan(implementation, closing)
    if implementation == "xla":
        return Explanation("xla", "it was asked for")
    from jaxrnn.kernels._fit import why_not, why_not_chosen

    if implementation is None:
        problem = why_not_chosen(cell, params, carry, x, length)
        if problem is None:
            return Explanation(
                "native", "there is a kernel for this cell, and it is the fastest at these sizes"
            )
        return Explanation("xla", f'the cell splits, and "native" is not for it: {problem}')
    problem = why_not(cell, params, carry, x)
    if problem is not None:
        _refuse("native", problem)
    return Explanation("native", "it was asked for")


def check_choice(cell: Cell, implementation: str | None) -> None:
    """Raises where it is known without a carry that `implementation` cannot run `cell`."""
    if implementation not in (None, *NAMES):
        raise ValueError(
            f"`implementation` must be None or one of {list(NAMES)}, got {implementation!r}."
        )
    if implementation in ("xla", "native") and not splits(cell):
        _only_scan(implementation, _WHOLE)
    if implementation == "native":
        from jaxrnn.kernels._native import NO_KERNEL, kernel_for

        if kernel_for(cell) is None:
            _refuse("native", NO_KERNEL)


_WHOLE = "it does not split into project, recur and update, for `from_step` made it as a whole"


def _only_scan(implementation, reason):
    if implementation is None:
        return Explanation("scan", reason)
    _refuse(implementation, reason)


def _refuse(implementation, reason):
    raise ValueError(
        f"`implementation={implementation!r}` cannot run this cell: {reason}. With None, the "
        "library chooses one that can."
    )


def implement(
    name: str,
    cell: Cell,
    loop: Loop,
    params: Params,
    carry: Carry,
    initial: Carry,
    xs: Any,
    mask: jax.Array | None,
    resets: jax.Array | None,
) -> tuple[Carry, Any]:
    """Runs `cell` by the implementation of that name.

    Args:
      name: as `choose` returns it.
      cell: what to run.
      loop: the number of steps and their direction.
      params: of the cell.
      carry: before the first step.
      initial: the carry to which resets return.
      xs: inputs (T, ...), harmless where `mask` is False.
      mask: bool (T, ...) or None.
      resets: bool (T, ...) or None.
    """
    if loop.length == 0:
        name = "scan"  # nothing to run, and no rule is needed for its derivative
    if name == "native":
        from jaxrnn.kernels._native import run

        return run(cell, loop, params, carry, initial, xs, mask, resets)
    if resets is not None:
        cell, params = resetting(cell), resetting_params(cell, params, initial)
        xs = (xs, resets)
    if mask is not None:
        cell, xs = masked(cell), (xs, mask)
    run = {"scan": _run_scan, "xla": _run_xla}[name]
    return run(cell, loop, params, carry, xs)


def make_step(cell: Cell, params: Params, carry: Carry, x: Any) -> tuple[Carry, Any]:
    """One time step."""
    return cell.update(params, carry, cell.project(params, x), cell.recur(params, carry))


def _run_scan(cell, loop, params, carry, xs):
    return scan(loop, lambda carry, x: make_step(cell, params, carry, x), carry, xs)


# From how many elements of u in a step the form in blocks is the faster one on a CPU. There a
# product of one step keeps all cores busy, so that one over all steps gains nothing, and its
# result, which is made of fresh memory at each call, costs. Forward on 2 cores of an AMD EPYC,
# against the form for smaller ones: LSTM 64 x 512 1.2 times as fast, 32 x 256 1.2, 32 x 128 0.9.
BLOCKS_FROM = 2**15


def _run_xla(cell, loop, params, carry, xs):
    if _suits_blocks(cell, loop, params, example(xs)):
        return _in_blocks(cell, loop, params, carry, xs)
    return _run_trajectory(cell, loop, False, params, carry, xs)


def _run_trajectory(cell, loop, in_blocks, params, carry, xs):
    out = trajectory(cell, loop, in_blocks, params, carry, xs)
    return out.carry, out.ys


def _suits_blocks(cell, loop, params, x):
    """Whether u is large, and made by a product; not where `jax.export` leaves sizes open.

    A cheaper `project` is fused into the gates with the slice of xs, and they do not vectorise.
    """
    jaxpr, u = jax.make_jaxpr(cell.project, return_shape=True)(params, x)
    size = sum(leaf.size for leaf in jax.tree.leaves(u))
    if any(map(jax.export.is_symbolic_dim, (loop.length, size))):
        return False
    return size >= BLOCKS_FROM and "dot_general" in str(jaxpr)


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def _in_blocks(cell, loop, params, carry, xs):
    return _run_trajectory(cell, loop, True, params, carry, xs)


@_in_blocks.defjvp
def _in_blocks_jvp(cell, loop, primals, tangents):
    """In blocks too, but where the derivative would need the products of `project` again."""
    params, _, xs = primals
    in_blocks = projects_linearly(cell, params, example(xs))
    run = functools.partial(_run_trajectory, cell, loop, in_blocks)
    return jax.jvp(run, primals, tangents)
