"""The table of gradients that vanish and explode, as the page on them shows it."""

import pathlib
import re

import jax
import numpy as np
import pytest

vanishing = pytest.importorskip("vanishing", reason="matplotlib is not installed")

ROOT = pathlib.Path(__file__).parents[2]


def rows_of(lines):
    """The numbers of each row by its cell."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: np.array(row[1:], float) for row in rows[2:]}


@pytest.mark.thorough
def test_the_page_shows_what_the_command_prints(tmp_path):
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        found = rows_of(vanishing.main(["--out", str(tmp_path)]))
    assert (tmp_path / "vanishing.png").stat().st_size > 10_000
    page = (ROOT / "docs" / "learn" / "gradients.md").read_text()
    shown = rows_of(
        re.findall(r"^\| (?:cell \| step|---|`.*`.* \| \d).*$|^\| the same.*$", page, re.M)
    )
    assert set(shown) == set(found)
    for cell, norms in found.items():  # to a factor of 2, where float32 still holds digits
        np.testing.assert_allclose(np.log2(norms + 1e-25), np.log2(shown[cell] + 1e-25), atol=1)
