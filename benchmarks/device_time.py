"""The time of a call on a device, without what Python and the wait for its results cost.

Calls are enqueued in a row, and the last one is waited for. The time of one is the difference
between two such runs, divided by the difference of their numbers of calls. What a run costs once is
in both, and while the device is busy Python enqueues the next call. Only a call that takes less
time on the device than to enqueue, some 20 µs, is not told from its dispatch: compare it with the
case "nothing".

The other way, many calls in one program, is another program: compilers move out of the loop what is
the same in each round. XLA:CPU does so through a `jax.lax.optimization_barrier`, and an addition
that hinders it costs a pass over the inputs.
"""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from benchmarks.programs import planned_bytes
from benchmarks.timing import Spread, spread

SECONDS = 0.5  # for one program
MOST_CALLS, MOST_RUNS = 1000, 7


class Repeated(NamedTuple):
    """Something to be called many times."""

    run: Callable[[int], Any]  # makes that many calls, and waits for the last
    compile_seconds: float | None = None
    planned_bytes: int | None = None  # arguments, results and temporaries, by the compiler


class Times(NamedTuple):
    """What was measured of one program."""

    seconds: Spread  # of one call
    runs: int
    calls: int  # in all runs
    joules: float | None  # of one call, with what the device takes when idle


def repeated(function: Callable, args: tuple) -> Callable[[], Repeated]:
    """Traces `function`; what it returns compiles it, and may run in a thread of its own."""
    lowered = jax.jit(function).lower(*args)

    def compile_it():
        start = time.perf_counter()
        compiled = lowered.compile()
        seconds = time.perf_counter() - start

        def run(count):
            for _ in range(count):
                results = compiled(*args)
            jax.block_until_ready(results)

        return Repeated(run, seconds, planned_bytes(compiled))

    return compile_it


def measure(program: Repeated, seconds: float, meter: Callable[[], float | None]) -> Times:
    """Times a program for about `seconds`, and for a few calls at least.

    Args:
      program: what is timed.
      seconds: for all of its runs.
      meter: reads the energy that was taken so far, in joules.

    Raises:
      ValueError: the time of a call is lost in the noise.
    """
    program.run(1)  # the first call may load and set up what the next ones use
    before, once = meter(), _clocked(program, 1)
    if once > seconds:  # one is enough, and dispatch is no part of it
        return Times(spread([once]), 1, 1, _joules(before, meter(), 1))
    once = min(once, _clocked(program, 1))
    count = min(MOST_CALLS, math.ceil(seconds / MOST_RUNS / once))
    runs = min(MOST_RUNS, max(1, int(seconds / (once * (count + 2)))))
    before = meter()
    clocked = [(_clocked(program, 1), _clocked(program, 1 + count)) for _ in range(runs)]
    after, calls = meter(), runs * (count + 2)
    one = min(few for few, _ in clocked)  # other load only adds to it
    found = [(many - one) / count for _, many in clocked]
    if spread(found).median <= 0:
        raise ValueError(f"{count + 1} calls took no longer than one")
    return Times(spread(found), runs, calls, _joules(before, after, calls))


def _joules(before, after, calls):
    return None if before is None or after is None else (after - before) / calls


def _clocked(program, count):
    start = time.perf_counter()
    program.run(count)
    return time.perf_counter() - start
