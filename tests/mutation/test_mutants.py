"""The mutants of a file: each differs in one place, and none is left in the tree of the next."""

import ast

import pytest

from tests.mutation.__main__ import cell, check_tests, draw, survives, table
from tests.mutation.mutants import Mutant, mutants

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


def test_a_seed_draws_the_same_mutants():
    assert draw(5, 3, "wrappers") == draw(5, 3, "wrappers") != draw(5, 4, "wrappers")
    assert {mutant.path.split("/")[1] for mutant in draw(5, 3, "wrappers")} == {"wrappers"}


def test_a_mutant_is_run_in_the_copy_and_taken_out_again(tmp_path, monkeypatch):
    path = "jaxrnn/layers/_rnn.py"
    (tmp_path / path).parent.mkdir(parents=True)
    mutant, sources = Mutant(path, 1, "1", "2", "x = 2\n"), []

    def run_tests(copy, path):
        sources.append((copy / path).read_text())
        return len(sources) - 1

    monkeypatch.setattr("tests.mutation.__main__.run_tests", run_tests)
    assert survives(tmp_path, mutant)
    assert not survives(tmp_path, mutant)
    assert sources == ["x = 2\n"] * 2
    assert "def rnn" in (tmp_path / path).read_text()
    assert cell("a | b\nc") == "`a \\| b`"
    assert f"| {path}:1 | `1` | `2` |" in table([mutant], 2)


def test_nothing_is_judged_by_tests_that_fail(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.mutation.__main__.run_tests", lambda copy, path: 1)
    with pytest.raises(SystemExit, match="tests of jaxrnn/layers must pass first"):
        check_tests(tmp_path, [Mutant("jaxrnn/layers/_rnn.py", 1, "1", "2", "x = 2")])
