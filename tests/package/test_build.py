"""The native kernels are built if there is a compiler, and left out otherwise."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from jaxrnn.engines.cpu._library import problem

ROOT = pathlib.Path(__file__).parents[2]

RUN = """
import jax, jax.numpy as jnp, jaxrnn
xs = jnp.ones((5, 2, 3))
cell = jaxrnn.lstm(4)
params = cell.init(jax.random.key(0), xs[0])
print(jaxrnn.__file__)
print(jaxrnn.explain(cell, xs))
print(jaxrnn.unroll(cell, params, None, xs)[1].shape)
try:
    jaxrnn.unroll(cell, params, None, xs, implementation="native")
except ValueError as error:
    print(error)
"""


def test_the_kernels_are_built_with_a_compiler():
    if not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("there is no C++ compiler on the path")
    assert problem() is None


def test_without_a_compiler_everything_runs_and_explains_how_to_build_them(tmp_path):
    pytest.importorskip("setuptools", reason="setuptools is not installed")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    leave_out = shutil.ignore_patterns("*.so", "__pycache__")
    shutil.copytree(ROOT / "jaxrnn", tmp_path / "jaxrnn", ignore=leave_out)
    environment = os.environ | {"CC": "/bin/false", "CXX": "/bin/false"}
    build = [sys.executable, "setup.py", "build", "--build-lib", "built"]
    subprocess.run(build, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert not list((tmp_path / "built").rglob("*.so"))

    environment = os.environ | {"PYTHONPATH": str(tmp_path / "built")}
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(
        command, cwd=tmp_path / "built", env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    path, chosen, *reasons, shape, refusal = done.stdout.splitlines()
    explanation = "\n".join(reasons)
    assert path.startswith(str(tmp_path))
    assert "'xla'" in chosen
    assert "native kernels were not built" in explanation
    assert "reinstall jaxrnn with a C++17 compiler" in explanation
    assert shape == "(5, 2, 4)"
    assert "`implementation='native'` cannot run this cell: The native kernels were not" in refusal
