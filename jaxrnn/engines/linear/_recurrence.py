"""A linear recurrence as one primitive, whose derivatives and transposes are of the same kind.

    h_t = a_t h_{t-1} + b_t

Its tangent is the recurrence of the tangents, and the transpose of that runs the other way, with
the a of the step before: `lagged`. So any order of derivatives keeps nothing but a and h, whichever
way it is run, and each pass is run the same way.
"""

import functools

import jax
import jax.numpy as jnp

from jaxrnn._core.loop import varying_like
from jaxrnn._core.lowering import unless_exported
from jaxrnn.engines.linear._ways import WAYS


def recurrence(
    a: jax.Array, b: jax.Array, h0: jax.Array, *, way: str, reverse: bool = False
) -> jax.Array:
    """All states of a linear recurrence.

    Args:
      a: (T, ...).
      b: (T, ...), of the dtype of `a`.
      h0: (...), the state before the first step.
      way: one of `_ways.WAYS`, ``"native"``, on a CPU, or ``"pallas"``.
      reverse: whether the last step runs first.

    Returns:
      (T, ...), the state after each step.
    """
    return _run(*varying_like((a, b, h0), (a, b, h0)), way=way, reverse=reverse, lagged=False)


def _run(a, b, h0, **plan):
    if a.size == 0:
        return b
    # JAX looks in the parameters of a primitive for what needs to know the devices.
    divides = plan["way"] == "native" and jax.device_count() > 1
    program = jax.make_jaxpr(functools.partial(_compute, **plan))(a, b, h0) if divides else None
    return _primitive().bind(a, b, h0, program=program, **plan)


def _compute(a, b, h0, *, way, reverse, lagged, program=None):
    if way == "pallas":
        from jaxrnn.engines.pallas._linear import run as run_pallas

        return run_pallas(a, b, h0, reverse, lagged)

    def general(a, b, h0):
        a = _shifted(a, jnp.ones_like(h0), reverse) if lagged else a
        return WAYS["scan" if way == "native" else way](a, b, h0, reverse)

    if way != "native":
        return general(a, b, h0)

    def native(a, b, h0):
        from jaxrnn.engines.cpu._linear import run

        return run(a, b, h0, reverse, lagged)

    def rows(trees):
        """The axis of the first batch axis, where there is one."""
        leaves = jax.tree.leaves(trees)
        return [leaf.ndim - h0.ndim if h0.ndim else None for leaf in leaves]

    return unless_exported(native, general, rows)(a, b, h0)


def _shifted(xs, first, reverse):
    """`xs` of the step before; of the first step that runs, `first`."""
    if reverse:
        return jnp.concatenate([xs[1:], first[None]])
    return jnp.concatenate([first[None], xs[:-1]])


@functools.cache
def _primitive():
    """Made when it is first used: `jax.extend` takes long to import."""
    from jax.extend.core import Primitive
    from jax.interpreters import ad, batching, mlir

    linear_p = Primitive("jaxrnn_linear")

    def jvp(primals, tangents, *, program, **plan):
        a, b, h0 = primals
        da, db, dh0 = tangents
        hs = _run(a, b, h0, **plan)
        added = ad.instantiate_zeros(db)
        if type(da) is not ad.Zero and plan["lagged"]:
            added += _shifted(da * hs, jnp.zeros_like(h0), plan["reverse"])
        elif type(da) is not ad.Zero:
            added += da * _shifted(hs, h0, plan["reverse"])
        return hs, _run(a, added, ad.instantiate_zeros(dh0), **plan)

    def transpose(ct, a, b, h0, *, way, reverse, lagged, program):
        ct = ad.instantiate_zeros(ct)
        none = jnp.zeros_like(ct[0])
        db = _run(a, ct, none, way=way, reverse=not reverse, lagged=not lagged)
        first = -1 if reverse else 0
        dh0 = db[first] if lagged else a[first] * db[first]
        return None, *(
            out if ad.is_undefined_primal(x) else None for out, x in ((db, b), (dh0, h0))
        )

    def batch(operands, dims, *, program, **plan):
        size = next(x.shape[d] for x, d in zip(operands, dims, strict=True) if d is not None)

        def moved(x, dim, to):
            if dim is None:
                x = jnp.broadcast_to(jnp.expand_dims(x, to), (*x.shape[:to], size, *x.shape[to:]))
                return x
            return jnp.moveaxis(x, dim, to)

        return _run(*map(moved, operands, dims, (1, 1, 0)), **plan), 1

    compiled = jax.jit(_compute, static_argnames=("way", "reverse", "lagged"))
    linear_p.def_impl(lambda *arrays, program, **plan: compiled(*arrays, **plan))
    linear_p.def_abstract_eval(lambda a, b, h0, **_: b)
    ad.primitive_jvps[linear_p] = jvp
    ad.primitive_transposes[linear_p] = transpose
    batching.primitive_batchers[linear_p] = batch
    mlir.register_lowering(linear_p, mlir.lower_fun(_compute, multiple_results=False))
    return linear_p
