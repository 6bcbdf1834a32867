"""The timed programs: a model of some library, compiled for one pass."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.workloads import Workload

PASSES = ("forward", "train", "stream")
STREAM_STEPS = 100  # steps in one run of a streaming program


class Program(NamedTuple):
    """One pass of one contestant, compiled and ready to time."""

    run: Callable[[], Any]  # returns when its results are ready
    calls: int = 1  # passes in one run
    compile_seconds: float | None = None  # None if nothing is compiled
    peak_bytes: int | None = None  # None if the library does not report it


class Model(NamedTuple):
    """A model of a library that runs on JAX, as pure functions."""

    params: Any
    xs: jax.Array  # in the axis order that the library prefers
    apply: Callable  # (params, xs) -> ys
    carry: Any  # before the first step
    step: Callable  # (params, carry, x) -> (carry, y); x is (B, I)


def compiled_step(forward: Callable, params: Any, xs: Any) -> Program:
    """A training step: the value and the gradients of all parameters and of the inputs."""

    def loss(params, xs):
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(forward(params, xs)))

    start = time.process_time()
    run = jax.jit(jax.value_and_grad(loss, (0, 1))).lower(params, xs).compile()
    seconds = time.process_time() - start
    return Program(lambda: jax.block_until_ready(run(params, xs)), 1, seconds)


def on_jax(model_of: Callable[[Workload], Model]) -> Callable[[Workload, str], Program]:
    """Makes a contestant from a function that builds its model."""

    def program_of(workload, kind):
        model = model_of(workload)
        if kind == "stream":
            return _stream(model, workload.xs()[0])
        jitted, *told = _compile(function_of(model, kind), model.params, model.xs)

        def run():
            return jax.block_until_ready(jitted(model.params, model.xs))

        return Program(run, 1, *told)

    return program_of


def function_of(model: Model, kind: str) -> Callable:
    """What a pass over a sequence computes from the parameters and the inputs."""
    return model.apply if kind == "forward" else jax.value_and_grad(_loss(model.apply))


def _loss(apply):
    def loss(params, xs):
        return jnp.sum(apply(params, xs).astype(jnp.float32) ** 2)

    return loss


def _stream(model, x):
    step, *told = _compile(model.step, model.params, model.carry, x)

    def run():
        carry = model.carry
        for _ in range(STREAM_STEPS):
            carry, y = step(model.params, carry, x)
            y.block_until_ready()
        return y

    return Program(run, STREAM_STEPS, *told)


def _compile(function, *args):
    """The jitted function, the seconds to trace and compile it, and the bytes that it needs."""
    jitted = jax.jit(function)
    start = time.perf_counter()
    compiled = jitted.lower(*args).compile()
    seconds = time.perf_counter() - start
    return jitted, seconds, planned_bytes(compiled)


def planned_bytes(compiled: jax.stages.Compiled) -> int | None:
    """The bytes of arguments, results and temporaries; None where the platform does not tell."""
    memory = compiled.memory_analysis()
    if memory is None:
        return None
    parts = ("argument", "output", "temp")
    whole = sum(getattr(memory, f"{part}_size_in_bytes") for part in parts)
    return whole - memory.alias_size_in_bytes
