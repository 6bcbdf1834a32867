"""The Python snippets of the README and the docs run as they are written."""

import importlib.util
import json
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def snippets(page):
    """The Python snippets of a page, without those that import what is not installed."""
    found = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S)
    return [s for s in found if all(map(importlib.util.find_spec, imported(s)))]


def imported(snippet):
    return re.findall(r"^(?:import|from) (\w+)", snippet, re.M)


FIRST = {"README.md"}  # which runs by default
ALONE = {"distributed.md"}  # it sets the number of devices before anything else
LEARN = [page for page in PAGES if page.parent.name == "learn" and snippets(page)]
OTHERS = [p for p in PAGES if snippets(p) and p.name not in FIRST | ALONE and p not in LEARN]
LATER = [[page for page in PAGES if page.name in ALONE], *(OTHERS[i::3] for i in range(3)), LEARN]
GROUPS = [[page for page in PAGES if page.name in FIRST]]
GROUPS += [pytest.param(group, marks=pytest.mark.thorough) for group in LATER]
RUN = """
import json, sys
for name, text in json.load(open(sys.argv[1])).items():
    exec(compile(text, name, "exec"), {"__name__": "__main__"})
"""


@pytest.mark.parametrize("pages", GROUPS, ids=lambda pages: ",".join(page.stem for page in pages))
def test_snippets(pages, tmp_path):
    """Each page has variables of its own; a process, which takes long to start, reads several."""
    texts = {str(page.relative_to(ROOT)): "\n".join(snippets(page)) for page in pages}
    (tmp_path / "examples").symlink_to(ROOT / "examples")  # as in a clone
    (tmp_path / "pages.json").write_text(json.dumps(texts))
    (tmp_path / "run.py").write_text(RUN)
    done = subprocess.run(
        [sys.executable, "-W", "error", "run.py", "pages.json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(importlib.util.find_spec("optax") is None, reason="optax is not installed")
def test_the_first_programs_are_short():
    programs = snippets(ROOT / "docs" / "learn" / "programs.md")
    assert len(programs) == 5
    assert max(len(program.splitlines()) for program in programs) < 40


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
