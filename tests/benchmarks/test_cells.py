"""docs/cells.md is what the code says of every cell."""

import json

import pytest

import jaxrnn
from benchmarks import cells


@pytest.mark.thorough
def test_the_page_is_made_from_the_code():
    """If this fails, run `python -m benchmarks.cells`."""
    assert cells.page() == cells.PAGE.read_text()


def test_every_cell_is_in_the_page_and_was_measured():
    text, times = cells.PAGE.read_text(), json.loads(cells.TIMES.read_text())["times"]
    names = [n for n in jaxrnn.cells.__all__ if not isinstance(getattr(jaxrnn.cells, n), type)]
    assert f"{len(names)} cells" in (cells.ROOT / "README.md").read_text()
    for name in names:
        assert f"\n### {name}\n" in text
        assert f"{name} forward" in times
        assert f"{name} train" in times
