"""Faults of a compiler that give silently wrong numbers: a broken release fails here, by name."""

import os
import pathlib
import subprocess
import sys


def test_jaxlib_is_sound():
    quick = "XLA_FLAGS", "JAX_DISABLE_MOST_OPTIMIZATIONS"  # which tests set, and users do not
    done = subprocess.run(
        [sys.executable, pathlib.Path(__file__).with_name("canaries.py")],
        env={name: value for name, value in os.environ.items() if name not in quick},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
