"""The table of docs/parallel.md is what was measured, and every way of the benchmark runs."""

import json

import jax.numpy as jnp
import numpy as np

from benchmarks import over_time, pages


def test_the_table_is_what_the_record_says():
    """If this fails, run `python -m benchmarks.over_time`."""
    page, record = over_time.PAGE.read_text(), json.loads(over_time.RECORD.read_text())
    assert pages.with_table(page, over_time.table(record)) == page


def test_all_ways_compute_the_same():
    rng = np.random.default_rng(0)
    a, b = (jnp.asarray(rng.uniform(size=(50, 2, 3)), jnp.float32) for _ in range(2))
    first, *others = (over_time.recurrence(way)(a, b) for way in (*over_time.OURS, *over_time.JAX))
    for other in others:
        np.testing.assert_allclose(other, first, rtol=1e-5)


def test_the_programs_of_the_picture_run():
    programs = over_time.nonlinear_programs(8)
    programs |= over_time.linear_programs(("scan", "lax.scan"), (8, 1, 4), "complex64")
    assert set(over_time.COLORS) >= {"scan", *over_time.OURS}
    for program in programs.values():
        program.run()
