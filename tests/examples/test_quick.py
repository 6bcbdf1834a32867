"""Each task of the gallery runs from its command line, says a held-out score and draws."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import jaxrnn

EXAMPLES = Path(__file__).parents[2] / "examples"
TASKS = sorted(path.stem for path in EXAMPLES.glob("*.py") if "QUICK =" in path.read_text())


def run(task, *flags):
    package = str(Path(jaxrnn.__file__).parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, str(EXAMPLES / f"{task}.py"), *map(str, flags)],
        env=os.environ | {"PYTHONPATH": path, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )


@pytest.mark.thorough
@pytest.mark.parametrize("task", TASKS)
def test_quick(task, tmp_path):
    done = run(task, "--quick", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert re.search(r"held-out.*\d", done.stdout), done.stdout
    pictures = list((tmp_path / "out").glob("*.png"))
    assert pictures
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert not list((tmp_path / "out").glob("*.part"))


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_pictures_are_made_by_the_library(path):
    """So that they hold what its own are tested for: labels, whole steps, gray, narrow figures."""
    text = path.read_text()
    assert not re.search(r"\.(plot|semilogy|imshow|hlines|fill_between|scatter|bar)\(", text)
    if "shared.save_picture(" in text:
        assert "from jaxrnn import" in text
        assert re.search(r"\bplots\.", text)


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_one_short_file(task):
    most = 250 if task == "char_lm" else 150  # it also has checkpoints that any run can continue
    assert len((EXAMPLES / f"{task}.py").read_text().splitlines()) <= most
