"""Timing by turns: every contestant once a round, so that a noisy machine is noisy for all."""

import statistics
import time
from collections.abc import Callable

import jax


def interleave(functions: dict[str, Callable], rounds: int) -> dict[str, list[float]]:
    """The seconds of each function in each round, after two calls to warm up."""
    for function in functions.values():
        for _ in range(2):
            jax.block_until_ready(function())
    seconds = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            jax.block_until_ready(function())
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(slower: list[float], faster: list[float]) -> float:
    """The median over the rounds of how many times longer the first took than the second."""
    return statistics.median(a / b for a, b in zip(slower, faster, strict=True))
