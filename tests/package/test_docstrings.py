"""Every public function has an example in its docstring, and the examples run as users run them."""

import importlib
import importlib.util
import inspect
import subprocess
import sys

import pytest

import jaxrnn
from tests.marks import later
from tests.package.test_package import ROOMS

EVERY = ("jaxrnn", *ROOMS, "convert")
AT_THE_TOP = ("from_step", "constructor", "length_mask")
FIRST = "engines"  # whose examples run by default
# What examples take as imported, which the page of the API says.
RUN = """
import doctest, importlib, sys

start = "import jax, jaxrnn, optax; import jax.numpy as jnp; import numpy as np"
options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
runner = doctest.DocTestRunner(optionflags=options)
for line in sys.argv[1:]:
    home, name = line.split(":")
    namespace = {}
    exec(start, namespace)
    thing = getattr(importlib.import_module(home), name)
    test = doctest.DocTestParser().get_doctest(thing.__doc__, namespace, line, None, None)
    runner.run(test)
sys.exit(runner.failures > 0)
"""


def functions(room):
    """The public functions of a room, by name."""
    if room == "jaxrnn":
        return {name: getattr(jaxrnn, name) for name in AT_THE_TOP}
    module = importlib.import_module(f"jaxrnn.{room}")
    things = {name: getattr(module, name) for name in module.__all__}
    return {name: thing for name, thing in things.items() if inspect.isfunction(thing)}


@pytest.mark.parametrize("room", EVERY)
def test_every_public_function_has_an_example(room):
    without = [name for name, f in functions(room).items() if ">>> " not in f.__doc__]
    assert not without


@pytest.mark.skipif(importlib.util.find_spec("optax") is None, reason="optax is not installed")
@pytest.mark.parametrize("room", [FIRST, *map(later, (r for r in EVERY if r != FIRST))])
def test_examples_run(room, tmp_path):
    home = "jaxrnn" if room == "jaxrnn" else f"jaxrnn.{room}"
    names = [f"{home}:{name}" for name in functions(room)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN, *names],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
