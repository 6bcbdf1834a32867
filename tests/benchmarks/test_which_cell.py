"""docs/which_cell.md is what was measured."""

import json

import jax
import numpy as np
import pytest

from benchmarks import learning, pages, which_cell


def test_the_table_is_what_the_record_says():
    """If this fails, run `python -m benchmarks.which_cell`."""
    page, record = which_cell.PAGE.read_text(), json.loads(which_cell.RECORD.read_text())
    assert pages.with_table(page, which_cell.table(record)) == page
    for found in record["tasks"].values():
        assert set(which_cell.NAMED) <= found.keys() <= which_cell.contestants().keys()


@pytest.mark.thorough
def test_more_is_learned_from_more():
    """The error of a few steps is above that of a few hundred, on a short task."""
    cell = which_cell.contestants()["minimal_rnn"]
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):  # as the command runs
        tasks = [learning.adding(np.random.default_rng(0), steps, length=6) for steps in (20, 400)]
        short, long = (which_cell.learn(cell, task)[0] for task in tasks)
    assert long["score"] < 0.2 * short["score"]
    assert {short["rate"], long["rate"]} <= set(which_cell.RATES)
