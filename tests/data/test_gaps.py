"""Time gaps from times."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn.data import time_gaps
from tests.laws.tables import generator


def test_gaps_reach_back_to_the_real_step_before():
    rng = generator(jax.random.key(0))
    times = np.cumsum(rng.exponential(size=(9, 4)), axis=0)
    mask = rng.random((9, 4)) < 0.6
    got = time_gaps(np.where(mask, times, np.nan), mask)
    for row in range(4):
        real = mask[:, row]
        np.testing.assert_array_equal(
            got[real, row], np.diff(times[real, row], prepend=np.nan_to_num(times[real, row][:1]))
        )
        assert not got[~real, row].any()
    np.testing.assert_array_equal(time_gaps(times), np.diff(times, axis=0, prepend=times[:1]))


def test_dtypes_and_shapes():
    assert time_gaps(np.array([3, 5, 9], np.uint8)).tolist() == [0, 2, 4]
    assert time_gaps([3, 5, 9]).dtype == np.float32
    assert time_gaps(jnp.arange(3, dtype=jnp.bfloat16)).dtype == jnp.bfloat16
    assert time_gaps(np.zeros((0, 3), np.float64)).shape == (0, 3)
    mask = np.array([True, False, True])  # for all rows of a batch
    assert time_gaps(np.array([[0.0, 1], [9, 9], [2, 2]]), mask).tolist() == [
        [0, 0],
        [0, 0],
        [2, 1],
    ]


@pytest.mark.parametrize(
    ("times", "mask", "message"),
    [
        ([0.0, 2.0, 1.0], None, "`times` must be finite, and in order"),
        ([0.0, np.nan, 1.0], None, "`times` must be finite, and in order"),
        (3.0, None, r"`times` must be \(T, ...\), with a time axis"),
        ([0.0, 1.0], [True], "`mask` must be a bool array"),
        ([0.0, 1.0], np.array([True]), "`mask` must match the leading axes"),
        (["a", "b"], None, "`times` must be numbers"),
    ],
)
def test_wrong_arguments_are_named(times, mask, message):
    with pytest.raises((ValueError, TypeError), match=message):
        time_gaps(times, mask)
