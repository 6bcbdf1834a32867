"""The dynamics of the cart and its pole."""

import control
import numpy as np


def test_a_push_from_rest():
    pushed = np.asarray(control.move(np.zeros((1, 4), np.float32), np.array([1])))[0]
    bend = -(10 / 1.1) / (0.5 * (4 / 3 - 0.1 / 1.1))
    gain = (10 - 0.05 * bend) / 1.1
    np.testing.assert_allclose(pushed, [0, 0.02 * gain, 0, 0.02 * bend], rtol=1e-5)


def test_left_and_right_are_alike():
    states = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    actions = np.array([0, 1, 1, 0, 1])
    moved, mirrored = control.move(states, actions), control.move(-states, 1 - actions)
    np.testing.assert_allclose(moved, -mirrored, atol=1e-5)
