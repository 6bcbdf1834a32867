"""What a kernel costs, by its shapes: XLA reads it to order the operations around the kernel."""

import math

import jax
from jax.experimental import pallas as pl

from jaxrnn.engines.pallas._kernel import Kernel

CURVES = {"exp", "exp2", "expm1", "log", "log1p", "tanh", "logistic", "sin", "cos", "erf", "pow"}


def cost_of(kernel: Kernel) -> pl.CostEstimate:
    """Operations of all steps, and the bytes of all operands and results, each once."""
    jaxpr, (_, ys) = jax.make_jaxpr(kernel.body, return_shape=True)(*kernel.shapes())
    plan = kernel.plan
    loops = math.prod(plan.grid)
    flops = sum(_flops(equation) for equation in jaxpr.eqns)
    curves = sum(
        math.prod(var.aval.shape)
        for equation in jaxpr.eqns
        for var in equation.outvars
        if equation.primitive.name in CURVES
    )
    last = loops * sum(map(_bytes, kernel.shapes()[1]))
    results = last + plan.length * loops * sum(map(_bytes, ys))
    given = sum(map(_bytes, [*kernel.consts, *kernel.carry, *kernel.xs]))
    times = plan.length * loops
    return pl.CostEstimate(
        flops=times * flops, transcendentals=times * curves, bytes_accessed=given + results
    )


def _flops(equation):
    sizes = [math.prod(var.aval.shape) for var in equation.outvars]
    if equation.primitive.name != "dot_general":
        return sum(sizes)
    (ours, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return 2 * sum(sizes) * math.prod(shape[axis] for axis in ours)


def _bytes(x):
    return math.prod(x.shape) * x.dtype.itemsize
