"""The carry of cells whose units are oscillators."""

from typing import NamedTuple

import jax


class OscillatorCarry(NamedTuple):
    h: jax.Array  # (..., H), positions
    z: jax.Array  # (..., H), velocities
