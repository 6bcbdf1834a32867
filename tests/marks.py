"""Marks of parameters."""

import pytest


def later(value):
    """A value with which a test runs where the run is thorough."""
    return pytest.param(value, marks=pytest.mark.thorough)
