"""Interleaved timing: each contestant runs once per round, so machine noise affects all alike."""

import time
from typing import NamedTuple

import numpy as np

from benchmarks.programs import Program


class Spread(NamedTuple):
    """The quartiles of a list of numbers."""

    low: float
    median: float
    high: float


def interleave(programs: dict[str, Program], rounds: int) -> dict[str, list[float]]:
    """The seconds that one call of each program takes in each round.

    In its turn, a program runs twice and the second run is timed: by then the caches hold its own
    data, and the threads of the previous program are idle. Every second round goes through the
    programs in reverse, so that no program always follows the same other one.
    """
    seconds = {name: [] for name in programs}
    for i in range(rounds):
        for name in programs if i % 2 == 0 else reversed(programs):
            programs[name].run()
            start = time.perf_counter()
            programs[name].run()
            seconds[name].append((time.perf_counter() - start) / programs[name].calls)
    return seconds


def spread(figures: list[float]) -> Spread:
    """The quartiles of `figures`."""
    return Spread(*(float(q) for q in np.quantile(figures, (0.25, 0.5, 0.75))))


def ratios(theirs: list[float], ours: list[float]) -> list[float]:
    """For each round, the first time divided by the second."""
    return [a / b for a, b in zip(theirs, ours, strict=True)]
