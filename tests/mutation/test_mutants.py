"""The mutants of a file: each differs in one place, and none is left in the tree of the next."""

import ast
import os

import pytest

from tests.mutation.__main__ import cell, draw, survives, table
from tests.mutation.mutants import Mutant, mutants
from tests.mutation.selection import Recorded, record, select

SOURCE = """
def f(x, y):
    if x < 0 and y:
        return max(x, -1)
    return x + 2.0
"""


def test_each_mutant_has_one_change(tmp_path):
    (tmp_path / "f.py").write_text(SOURCE)
    found = list(mutants(tmp_path, "f.py"))
    plain = ast.unparse(ast.parse(SOURCE)).splitlines()
    for mutant in found:
        lines = mutant.source.splitlines()
        (changed,) = (i for i, line in enumerate(lines) if line != plain[i])
        assert mutant.after.splitlines()[0] in lines[changed]
    changes = {(mutant.before.splitlines()[0], mutant.after.splitlines()[0]) for mutant in found}
    assert changes == {
        ("if x < 0 and y:", "if not (x < 0 and y):"),
        ("x < 0 and y", "x < 0 or y"),
        ("x < 0", "x <= 0"),
        ("return max(x, -1)", "return x"),
        ("x + 2.0", "x - 2.0"),
        ("-1", "+1"),
        ("0", "1"),
        ("1", "2"),
        ("2.0", "3.0"),
    }


@pytest.mark.thorough
def test_a_seed_draws_the_same_mutants():
    assert draw(5, 3, "wrappers") == draw(5, 3, "wrappers") != draw(5, 4, "wrappers")
    assert {mutant.path.split("/")[1] for mutant in draw(5, 3, "wrappers")} == {"wrappers"}


def test_a_mutant_is_run_in_the_copy_and_taken_out_again(tmp_path, monkeypatch):
    path = "jaxrnn/layers/_rnn.py"
    (tmp_path / path).parent.mkdir(parents=True)
    mutant, sources = Mutant(path, 1, 1, "1", "2", "x = 2\n"), []

    def run_tests(copy, tests):
        assert tests == ["a test"]
        sources.append((copy / path).read_text())
        return len(sources) - 1

    monkeypatch.setattr("tests.mutation.__main__.run_tests", run_tests)
    assert survives(tmp_path, mutant, ["a test"])
    assert not survives(tmp_path, mutant, ["a test"])
    assert survives(tmp_path, mutant, [])
    assert sources == ["x = 2\n"] * 2
    assert "def rnn" in (tmp_path / path).read_text()
    assert cell("a | b\nc") == "`a \\| b`"
    assert f"| {path}:1 | `1` | `2` |" in table([mutant], 2)


def test_the_tests_of_a_line_are_one_of_each_function_first():
    seconds = {"a.py::f[1]": 3.0, "a.py::f[2]": 1.0, "a.py::g": 2.0, "b.py::slow": 58.0}
    lines = {2: set(seconds), 4: {"a.py::g"}, 9: {"a test of another run"}}
    recorded = Recorded(seconds, {"x.py": lines})
    assert select(recorded, "x.py", 2, 2) == ["a.py::f[2]", "a.py::g"]
    assert select(recorded, "x.py", 3, 5) == ["a.py::g"]
    assert select(recorded, "x.py", 7, 7) == ["a.py::f[2]", "a.py::g"]
    assert select(recorded, "y.py", 7, 7) == []


SMALL = """
import jaxrnn, pytest

@pytest.mark.parametrize("x", [1, 2])
def test_twice(x):
    assert jaxrnn.twice(x) == {twice} * x
"""


def test_one_run_tells_the_tests_of_each_line(tmp_path):
    copy = tmp_path / "copy"
    (copy / "jaxrnn").mkdir(parents=True)
    (copy / "jaxrnn/__init__.py").write_text("def twice(x):\n    return 2 * x\n")
    (copy / "test_it.py").write_text(SMALL.format(twice=2))
    place = os.environ | {"PYTHONPATH": str(copy)}
    recorded = record(copy, tmp_path / "recorded", place)
    assert set(recorded.seconds) == {"test_it.py::test_twice[1]", "test_it.py::test_twice[2]"}
    assert set(select(recorded, "jaxrnn/__init__.py", 2, 2)) == set(recorded.seconds)
    (copy / "test_it.py").write_text(SMALL.format(twice=3))
    assert record(copy, tmp_path / "recorded", place) == recorded  # not run again
    with pytest.raises(SystemExit, match="All tests must pass first"):
        record(copy, tmp_path / "other", place)
