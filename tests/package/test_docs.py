"""The Python snippets of the README and the docs run as they are written."""

import importlib.util
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def snippets(page):
    """The Python snippets of a page, without those that import what is not installed."""
    found = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)
    return [s for s in found if all(map(importlib.util.find_spec, imported(s)))]


def imported(snippet):
    return re.findall(r"^(?:import|from) (\w+)", snippet, re.M)


@pytest.mark.parametrize("page", [p for p in PAGES if snippets(p)], ids=lambda page: page.name)
def test_snippets(page, tmp_path):
    script = tmp_path / "snippets.py"
    script.write_text("\n".join(snippets(page)))
    done = subprocess.run(
        [sys.executable, "-W", "error", script], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr


def listings():
    """The examples that pages show whole, and what they show of them."""
    fence = re.compile(r'^```python title="(examples/.*?)"\n(.*?)^```', re.M | re.S)
    return [listing for page in PAGES for listing in fence.findall(page.read_text())]


@pytest.mark.parametrize(("name", "text"), listings(), ids=[name for name, _ in listings()])
def test_a_page_shows_a_file_as_it_is(name, text):
    assert (ROOT / name).read_text() == text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_project(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target
