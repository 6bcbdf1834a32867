"""Online learning: gradients of a recurrent cell that go forward in time, with no stored past.

Each method makes an `OnlineCell` of a cell, a pair of functions. Its `step` returns the output of
one time step, and JAX gets from it the gradient with respect to the parameters through all steps
before: `rtrl` the exact one, `uoro` a random estimate that is right on average, `snap1` and `eprop`
approximations that leave out paths through other units. One recurrent cell learns in this way, with
any layers without memory after it. A layer below gets the gradient of each step alone.
"""

from jaxrnn.online._accumulate import accumulate
from jaxrnn.online._eprop import eprop
from jaxrnn.online._rtrl import rtrl
from jaxrnn.online._snap1 import snap1
from jaxrnn.online._types import OnlineCell, OnlineState
from jaxrnn.online._uoro import uoro

__all__ = ["OnlineCell", "OnlineState", "accumulate", "eprop", "rtrl", "snap1", "uoro"]


def __dir__():
    return __all__
