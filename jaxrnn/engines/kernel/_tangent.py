"""The tangent of a recurrence: a primitive, linear in the tangents of the arguments.

Run forward it is the general rule of `derivative.py`; its transpose is the backward kernel.
"""

import functools

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from jaxrnn.engines.kernel._folding import folded, one_by_one
from jaxrnn.engines.kernel._operands import Flags, Primals, Recurrence, Result, Saved
from jaxrnn.engines.kernel._pullback import pull_back, push_forward

_tangent_p = Primitive("jaxrnn_tangent")
_tangent_p.multiple_results = True


def tangent(
    recurrence: Recurrence, primals: Primals, flags: Flags, saved: Saved, tangents: Primals
) -> Result:
    """The tangent of the result; only the transpose reads `saved`."""
    leaves, structure = jax.tree.flatten((primals, flags, saved, tangents))
    out = _tangent_p.bind(*leaves, recurrence=recurrence, structure=structure)
    return _result(recurrence, primals, out)


def _result(recurrence, primals, leaves):
    count = len(jax.tree.leaves(primals.states.carry))
    carry = _like(primals.states.carry, leaves[:count])
    return Result(carry, recurrence.kernel.ys(leaves[count:]))


def _like(tree, leaves):
    return jax.tree.unflatten(jax.tree.structure(tree), leaves)


def _general(*leaves, recurrence, structure):
    primals, flags, _, tangents = structure.unflatten(leaves)
    return jax.tree.leaves(push_forward(recurrence, primals, flags, tangents))


def _abstract(*avals, recurrence, structure):
    primals, *_ = structure.unflatten(avals)
    carry = jax.tree.leaves(primals.states.carry)
    steps = jax.tree.leaves(primals.inputs)[0].shape[0]
    ys = [carry[j].update(shape=(steps, *carry[j].shape)) for j in recurrence.kernel.outs]
    return [*carry, *ys]


def _jvp(operands, tangents, *, recurrence, structure):
    primals, flags, saved, linear = structure.unflatten(operands)
    count = len(jax.tree.leaves(primals))
    out = tangent(recurrence, primals, flags, saved, linear)
    dlinear = _like(primals, [ad.instantiate_zeros(t) for t in tangents[-count:]])
    dout = tangent(recurrence, primals, flags, saved, dlinear)
    if any(type(t) is not ad.Zero for t in tangents[:count]):
        dprimals = _like(primals, [ad.instantiate_zeros(t) for t in tangents[:count]])

        def along(primals):
            return push_forward(recurrence, primals, flags, linear)

        dout = jax.tree.map(jnp.add, dout, jax.jvp(along, (primals,), (dprimals,))[1])
    return jax.tree.leaves(out), jax.tree.leaves(dout)


def _transpose(cotangents, *operands, recurrence, structure):
    primals, flags, saved, tangents = structure.unflatten(operands)
    dresult = _result(recurrence, primals, [ad.instantiate_zeros(c) for c in cotangents])
    linear, form = jax.tree.flatten(tangents, is_leaf=ad.is_undefined_primal)
    of_weights = any(map(ad.is_undefined_primal, _leaves(tangents.weights)))
    of_inputs = any(map(ad.is_undefined_primal, _leaves(tangents.inputs)))
    out = pull_back(recurrence, of_weights, of_inputs, primals, flags, saved, dresult)
    return [None] * (len(operands) - len(linear)) + [
        c if ad.is_undefined_primal(x) else None
        for c, x in zip(form.flatten_up_to(out), linear, strict=True)
    ]


def _leaves(tree):
    return jax.tree.leaves(tree, is_leaf=ad.is_undefined_primal)


def _batch(operands, dims, *, recurrence, structure):
    pairs = list(zip(operands, dims, strict=True))
    size = next(x.shape[d] for x, d in pairs if d is not None)
    leaves = [x if d is None else jnp.moveaxis(x, d, 0) for x, d in pairs]
    args = _by_kind(*structure.unflatten(leaves))
    is_mapped = _by_kind(*structure.unflatten([d is not None for d in dims]))
    weights_mapped, directions_mapped = (any(jax.tree.leaves(tree)) for tree in is_mapped[0])

    def call(weights, states, sequences):
        (weights, dweights), (states, dstates) = weights, states
        inputs, flags, saved, dinputs = sequences
        tangents = Primals(dweights, dstates, dinputs)
        return tangent(recurrence, Primals(weights, states, inputs), flags, saved, tangents)

    if directions_mapped and not weights_mapped:
        axes = [None if d is None else 0 for d in dims]
        general = functools.partial(_general, recurrence=recurrence, structure=structure)
        out = jax.vmap(general, axes)(*leaves)
    else:
        run = one_by_one if weights_mapped else folded
        out = jax.tree.leaves(run(call, size, is_mapped, args))
    return out, [0] * len(out)


def _by_kind(primals, flags, saved, tangents):
    weights = (primals.weights, tangents.weights)
    states = (primals.states, tangents.states)
    return weights, states, (primals.inputs, flags, saved, tangents.inputs)


_tangent_p.def_impl(jax.jit(_general, static_argnames=("recurrence", "structure")))
_tangent_p.def_abstract_eval(_abstract)
ad.primitive_jvps[_tangent_p] = _jvp
ad.primitive_transposes[_tangent_p] = _transpose
batching.primitive_batchers[_tangent_p] = _batch
mlir.register_lowering(_tangent_p, mlir.lower_fun(_general, multiple_results=True))
