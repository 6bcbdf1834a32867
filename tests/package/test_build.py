"""The sdist and the wheels: kernels are built if there is a compiler, and left out otherwise."""

import os
import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

from jaxrnn.engines.cpu._library import PATH, problem

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


def compiler():
    found = shutil.which("g++") or shutil.which("clang++")
    return found or pytest.skip("there is no C++ compiler on the path")


def test_the_kernels_are_built_with_a_compiler():
    compiler()
    assert problem() is None


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The sdist of a copy of the project, in which nothing is built."""
    pytest.importorskip("setuptools", reason="setuptools is not installed")
    copy = tmp_path_factory.mktemp("project")
    for name in ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    leave_out = shutil.ignore_patterns("*.so", "*.sha256", "__pycache__")
    shutil.copytree(ROOT / "jaxrnn", copy / "jaxrnn", ignore=leave_out)
    build = "from setuptools import build_meta; build_meta.build_sdist('dist')"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (path,) = (copy / "dist").iterdir()
    return path


def wheel_of(sdist, folder, cxx):
    """The name of the wheel that pip builds, and the folder to which it is unpacked."""
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--no-cache-dir"]
    command = [sys.executable, "-m", "pip", "wheel", *options, "-w", str(folder / "wheels")]
    environment = os.environ | {"CC": str(cxx), "CXX": str(cxx)}
    done = subprocess.run(
        [*command, str(sdist)], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (folder / "wheels").iterdir()
    zipfile.ZipFile(path).extractall(folder / "unpacked")
    return path.name, folder / "unpacked"


def run_in(folder):
    """What `RUN` prints with the package in `folder`."""
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    path, *lines = done.stdout.splitlines()
    assert path.startswith(str(folder))
    return lines


# Instead of compiling, hands out the library that is installed.
COPY = """#!/bin/sh
while [ $# -gt 1 ]; do
    [ "$1" = -o ] && cp {library} "$2"
    shift
done
"""


@pytest.mark.thorough
def test_a_wheel_with_kernels_is_for_its_platform_and_any_python(sdist, tmp_path, thorough):
    # Without optimization, compiling takes a third of the time.
    compile_all = f'#!/bin/sh\nexec {compiler()} "$@" -O0\n'
    fast = tmp_path / "compile"
    fast.write_text(compile_all if thorough else COPY.format(library=PATH))
    fast.chmod(0o755)
    name, folder = wheel_of(sdist, tmp_path, fast)
    assert "-py3-none-" in name
    assert not name.endswith("-any.whl")
    built = {path.name for path in (folder / "jaxrnn/engines/cpu").iterdir()}
    assert {"libjaxrnn.so", "libjaxrnn.so.sha256"} <= built
    assert "native" not in built
    _, *reasons, shape = run_in(folder)
    assert "kernels" not in "\n".join(reasons)
    assert shape == "(5, 2, 4)"


@pytest.mark.thorough
def test_without_a_compiler_everything_runs_and_explains_how_to_build_them(sdist, tmp_path):
    name, folder = wheel_of(sdist, tmp_path, "/bin/false")
    assert name.endswith("-py3-none-any.whl")
    assert not list(folder.rglob("*.so*"))
    (about,) = folder.glob("*.dist-info/WHEEL")
    assert "Root-Is-Purelib: true" in about.read_text()

    chosen, *reasons, shape, refusal = run_in(folder)
    explanation = "\n".join(reasons)
    assert "'xla'" in chosen
    assert "native kernels were not built" in explanation
    assert "reinstall jaxrnn with a C++17 compiler" in explanation
    assert shape == "(5, 2, 4)"
    assert "`implementation='native'` cannot run this cell: The native kernels were not" in refusal
