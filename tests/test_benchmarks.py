import jax
import numpy as np
import pytest

from benchmarks import __main__ as main
from benchmarks.contestants import contestants
from benchmarks.timing import interleave, ratio
from benchmarks.workloads import Workload


@pytest.mark.parametrize("cell", ["lstm", "gru", "elman"])
def test_contestants_run(cell):
    workload = Workload(cell, batch=2, steps=3, size=4)
    for contestant in contestants(workload).values():
        assert contestant.forward().shape == (3, 2, 4)
        loss, grad = contestant.train()
        assert np.isfinite(loss)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(grad))


def test_turns_are_taken():
    order = []
    functions = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = interleave(functions, rounds=3)
    assert order == list("aabb" + "ab" * 3)
    assert {name: len(times) for name, times in seconds.items()} == {"a": 3, "b": 3}


def test_ratio_is_the_median_of_the_rounds():
    assert ratio([2.0, 3.0, 100.0], [1.0, 1.0, 1.0]) == 3.0


def test_records_name_the_device():
    records = list(main.measure(Workload("lstm", 1, 2, 3), rounds=1))
    assert {r["pass"] for r in records} == {"forward", "train"}
    assert all(r["device"] and r["jax"] == jax.__version__ for r in records)
