"""A loop over time as one primitive, which each platform runs as one kernel.

It is traced once, from the functions of the cell. `jax.vmap` widens its rows, or gives it a grid
with a loop for each index. A loop over linear maps has a derivative and a transpose, which are such
loops too.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir, partial_eval

from jaxrnn._core.loop import shape_like, varying_like
from jaxrnn._core.numerics import is_floating
from jaxrnn.engines._table import refuse
from jaxrnn.engines.pallas._mapping import mapped, widened
from jaxrnn.engines.pallas._plan import Linear, Plan, body_of, maps_of
from jaxrnn.engines.pallas._programs import closed
from jaxrnn.engines.pallas._run import run_on
from jaxrnn.engines.pallas._steps import at_all_steps, spread

loop_p = Primitive("jaxrnn_pallas_loop")
loop_p.multiple_results = True


def loop(
    step: Callable,
    carry: list,
    xs: list,
    *,
    length: int,
    reverse: bool,
    has_rows: bool,
    linear: Linear | None = None,
) -> tuple[list, list]:
    """`jax.lax.scan` of a step, as one kernel.

    Args:
      step: ``(carry, xs) -> (carry, ys)``, of flat lists of arrays; it may close over arrays. Of a
        linear loop ``(carry, maps) -> carry``.
      carry: before the first step.
      xs: sequences (T, ...); of a linear loop the maps and, last, b.
      length: T, at least 1.
      reverse: whether the last step runs first.
      has_rows: whether the first axis of the carry is a batch axis.
      linear: for a linear loop.

    Returns:
      The carry after the last step, and the results of all steps, (T, ...).
    """
    carry, xs = varying_like((carry, xs), (carry, xs))
    count = len(carry)
    read = xs if linear is None else xs[: len(xs) - count]
    at_a_step = [shape_like(x, x.shape[1:], x.dtype) for x in read]
    if linear is None:
        program, consts = closed(lambda c, x: _joined(step(c, x)), carry, at_a_step)
    else:
        program, consts = closed(step, carry, at_a_step)
    operands = [*varying_like((carry, xs), consts), *carry, *xs]
    num_results = count if linear else len(program.out_avals) - count
    plan = Plan(
        length,
        reverse,
        len(consts),
        count,
        linear,
        has_rows,
        grid=(),
        axes=((),) * len(operands),
        wanted=(True,) * num_results,
    )
    out = _bind(operands, program, plan)
    return out[:count], out[count:]


def _joined(results):
    carry, ys = results
    return [*carry, *ys]


def _bind(operands, program, plan) -> list:
    return list(loop_p.bind(*operands, program=program, plan=plan))


def _impl(*operands, program, plan):
    run = jax.jit(functools.partial(_bind, program=program, plan=plan))
    with jax.disable_jit(False):
        return run(list(operands))


def _abstract(*operands, program, plan):
    given = [plan.one(i, x) for i, x in enumerate(operands)]
    out = jax.eval_shape(body_of(plan, program), *given)
    like = operands[plan.num_consts]
    last, ys = out[: plan.num_carry], out[plan.num_carry :]
    shapes = [(*plan.grid, *x.shape) for x in last]
    shapes += [(plan.length, *plan.grid, *y.shape) for y in ys]
    kept = [True] * len(last) + list(plan.wanted)
    wanted = [(s, x.dtype) for s, x, keep in zip(shapes, out, kept, strict=True) if keep]
    return [like.update(shape=shape, dtype=dtype, weak_type=False) for shape, dtype in wanted]


def _batch(operands, dims, *, program, plan):
    sizes = {x.shape[d] for x, d in zip(operands, dims, strict=True) if d is not None}
    (size,) = sizes
    maps_consts = any(dim is not None for dim in dims[: plan.num_consts])
    widen = widened if not plan.has_rows and not maps_consts else mapped
    operands, program, plan, at = widen(size, operands, dims, program, plan)
    out = _bind(operands, program, plan)
    return out, [at] * plan.num_carry + [at + 1] * (len(out) - plan.num_carry)


def _dce(used, *others):
    """Leaves out results of the steps that nothing reads."""
    equation = others[-1]  # from jax 0.12 on, the rule is told the inputs that are there before it
    if not any(used):
        return [False] * len(equation.invars), None
    plan = equation.params["plan"]
    places = [i for i, flag in enumerate(plan.wanted) if flag]
    wanted = list(plan.wanted)
    for place, is_used in zip(places, used[plan.num_carry :], strict=True):
        wanted[place] = is_used
    keep = [*[True] * plan.num_carry, *used[plan.num_carry :]]
    outvars = [var for var, flag in zip(equation.outvars, keep, strict=True) if flag]
    params = dict(equation.params, plan=plan._replace(wanted=tuple(wanted)))
    return [True] * len(equation.invars), equation.replace(outvars=outvars, params=params)


def _jvp(operands, tangents, *, program, plan):
    """Of a linear loop: the loop over the same maps, with what the maps' tangents add to b."""
    if plan.linear is None:
        raise NotImplementedError("the loop over steps is differentiated by the rule for unrolls")
    whole = plan._replace(wanted=(True,) * plan.num_carry)
    out = _bind(operands, program, whole)
    count, num_carry = plan.num_consts, plan.num_carry
    dh = [ad.instantiate_zeros(t) for t in tangents[count : count + num_carry]]
    db = [ad.instantiate_zeros(t) for t in tangents[-num_carry:]]
    numbers = [*range(count), *range(count + num_carry, len(operands) - num_carry)]
    varying = [i for i in numbers if type(tangents[i]) is not ad.Zero and is_floating(operands[i])]
    added = _added(operands, tangents, varying, out, program, plan) if varying else None
    axes = plan.axes
    if added:  # it varies over all loops
        db = spread(db, axes[-num_carry:], plan.grid)
        axes = (*axes[:-num_carry], *[tuple(range(len(plan.grid)))] * num_carry)
    if added and plan.linear.lagged:
        db = [b + _after(jnp.zeros_like(a[:1]), a, plan) for b, a in zip(db, added, strict=True)]
    elif added:
        db = [b + a for b, a in zip(db, added, strict=True)]
    linear = [*operands[:count], *dh, *operands[count + num_carry : -num_carry], *db]
    absent = () if added else _absent(tangents[-num_carry:])
    along = whole._replace(axes=axes, linear=plan.linear._replace(absent=absent))
    dout = _bind(linear, program, along)
    if added and plan.linear.lagged:
        end = 0 if plan.reverse else -1
        last = [d + a[end] for d, a in zip(dout[:num_carry], added, strict=True)]
        dout = [*last, *dout[num_carry:]]
    return _wanted(out, plan), _wanted(dout, plan)


def _absent(arrays):
    return tuple(i for i, x in enumerate(arrays) if type(x) is ad.Zero)


def _wanted(out, plan):
    flags = [*[True] * plan.num_carry, *plan.wanted]
    return [x for x, flag in zip(out, flags, strict=True) if flag]


def _after(first, xs, plan):
    """`xs` of the step before; of the first step that runs, `first`."""
    parts = [xs[1:], first] if plan.reverse else [first, xs[:-1]]
    return jnp.concatenate(parts)


def _added(operands, tangents, varying, out, program, plan):
    """What the tangents of the maps and constants add at all steps, (T, ...)."""
    # The state that each map is applied to: the result before it, or with b first its own.
    count, num_carry = plan.num_consts, plan.num_carry
    states = out[num_carry:]
    if not plan.linear.lagged:
        first = [h[None] for h in operands[count : count + num_carry]]
        first = spread(first, plan.axes[count : count + num_carry], plan.grid)
        states = [_after(h, x, plan) for h, x in zip(first, states, strict=True)]
    num_read = len(operands) - num_carry
    given = [*operands[:count], *states, *operands[count + num_carry : num_read]]

    def along(*values):
        full = list(given)
        for i, value in zip(varying, values, strict=True):
            full[i] = value
        return _at_all_steps(full, program, plan)

    return jax.jvp(along, [operands[i] for i in varying], [tangents[i] for i in varying])[1]


def _at_all_steps(given, program, plan):
    """The maps of constants, states (T, *grid, ...) and sequences, at all steps of all loops."""

    def apply(*given):
        return maps_of(plan, program)(*plan.split(given))

    states = range(plan.num_consts, plan.num_consts + plan.num_carry)
    numbers = range(len(given))
    leads = [int(i >= plan.num_consts) for i in numbers]
    every = tuple(range(len(plan.grid)))
    axes = [every if i in states else plan.axes[i] for i in numbers]
    return at_all_steps(apply, given, leads, axes)[0]


def _transpose(cotangents, *operands, program, plan):
    count, num_carry = plan.num_consts, plan.num_carry
    dlast = [ad.instantiate_zeros(c) for c in cotangents[:num_carry]]
    given = iter(cotangents[num_carry:])
    states, b = operands[count : count + num_carry], operands[-num_carry:]
    every = tuple(range(len(plan.grid)))
    dresults = [
        next(given) if flag else _zeros_of_results(x, plan)
        for x, flag in zip(dlast, plan.wanted, strict=True)
    ]
    absent = _absent(dresults)
    dresults = [ad.instantiate_zeros(x) for x in dresults]
    maps = operands[count + num_carry : -num_carry]
    axes = [*plan.axes[:count], *[every] * num_carry]
    axes += [*plan.axes[count + num_carry : -num_carry], *[every] * num_carry]
    backward = plan._replace(
        linear=Linear(not plan.linear.lagged, not plan.linear.transposed, absent),
        reverse=not plan.reverse,
        axes=tuple(axes),
        wanted=(True,) * num_carry,
    )
    out = _bind([*operands[:count], *dlast, *maps, *dresults], program, backward)
    numbers = [*range(count, count + num_carry), *range(len(operands) - num_carry, len(operands))]
    result = [None] * len(operands)
    unread = [len(operands) - num_carry + i for i in plan.linear.absent]
    for i, x, value in zip(numbers, [*states, *b], out, strict=True):
        missing = [axis for axis in every if axis not in plan.axes[i]]
        if ad.is_undefined_primal(x) and i not in unread:
            result[i] = value.sum([axis + plan.lead(i) for axis in missing]) if missing else value
    return result


def _zeros_of_results(last, plan):
    shape = plan.length, *last.shape
    return ad.Zero(jax.typeof(last).update(shape=shape))


def _lower_for(platform):
    def lower(context, *operands, program, plan):
        run = functools.partial(run_on, platform, program, plan)
        wide = sorted({x.dtype.name for x in context.avals_in if x.dtype.itemsize > 4})
        if wide and platform == "tpu":
            refuse("pallas", f"kernels of a TPU hold no {' and no '.join(wide)}")
        plain = [jax.core.ShapedArray(x.shape, x.dtype) for x in context.avals_in]
        context = context.replace(avals_in=plain)  # in `jax.shard_map` too
        try:
            with jax.enable_x64(platform == "cpu" and jax.config.jax_enable_x64):
                return mlir.lower_fun(run, multiple_results=True)(context, *operands)
        except Exception as error:
            if platform == "cpu" or "`implementation='pallas'`" in str(error):
                raise
            reason = str(error).strip().splitlines()[0]
            refuse("pallas", f"Pallas does not lower it for {platform.upper()}: {reason}")

    return lower


loop_p.def_impl(_impl)
loop_p.def_abstract_eval(_abstract)
batching.primitive_batchers[loop_p] = _batch
partial_eval.dce_rules[loop_p] = _dce
ad.primitive_jvps[loop_p] = _jvp
ad.primitive_transposes[loop_p] = _transpose
mlir.register_lowering(loop_p, _lower_for("cpu"))
for _platform in ("tpu", "cuda"):
    mlir.register_lowering(loop_p, _lower_for(_platform), platform=_platform)
