"""The recipe of docs/add_a_cell.md, followed to the letter on a copy of the project."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# Behind which line of a file its block is added; a file that is not there yet is the block.
BEHIND = {
    "jaxrnn/cells/__init__.py": "from jaxrnn.cells.gated._projected_lstm import",
    "tests/laws/tables.py": "CELLS = {",
    "tests/laws/oracle.py": "import numpy as np",
    "CHANGELOG.md": "## 0.1.0",
}


def recipe():
    """The blocks of the page that name a file."""
    page = (ROOT / "docs" / "add_a_cell.md").read_text()
    return re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```', page, re.M | re.S)


def follow(copy):
    """Adds each block to its file; the files that changed."""
    for name, block in recipe():
        path = copy / name
        if not path.exists():
            path.write_text(block)
            continue
        lines = path.read_text().splitlines(keepends=True)
        (at,) = (i for i, line in enumerate(lines) if line.startswith(BEHIND[name]))
        gap = "\n\n" if name.endswith("oracle.py") else "\n" if name.endswith(".md") else ""
        path.write_text("".join([*lines[: at + 1], gap, block, *lines[at + 1 :]]))
    return [name for name, _ in recipe()]


@pytest.mark.thorough
def test_a_cell_takes_four_files_and_the_changelog(tmp_path):
    for name in ("jaxrnn", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("CHANGELOG.md", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    changed = follow(tmp_path)
    assert len(changed) == 5
    assert "CHANGELOG.md" in changed
    laws = "oracle or loop_of_steps or products_in_the_loops or chunks or dtype_in_is_dtype_out"
    files = "tests/laws/test_cells.py", "tests/laws/test_compiled.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", *files, "-k", f"cfn and ({laws})"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout, done.stdout
