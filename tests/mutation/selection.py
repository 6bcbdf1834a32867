"""Which tests run the line that a mutant changes, those that cost least first."""

import itertools
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from typing import NamedTuple

import coverage

SECONDS = 60.0  # that the tests of one mutant took, at most, when all tests ran


class Recorded(NamedTuple):
    """What one run of all tests tells about each of them."""

    seconds: dict[str, float]  # by the name that pytest gives a test
    lines: dict[str, dict[int, set[str]]]  # by path and line: the tests that run it


def record(copy: pathlib.Path, folder: pathlib.Path, environment: dict[str, str]) -> Recorded:
    """Runs all tests of the project in `copy`, and exits unless they pass.

    Results are kept in `folder`, and taken from there if they exist.
    """
    data, times = folder / "coverage", folder / "times.xml"
    if not times.exists():
        folder.mkdir(parents=True, exist_ok=True)
        options = ["--cov=jaxrnn", "--cov-context=test", "--cov-report=", f"--junitxml={times}"]
        command = [sys.executable, "-m", "pytest", *options, "-p", "no:cacheprovider"]
        environment = environment | {"COVERAGE_FILE": str(data)}
        if subprocess.run(command, cwd=copy, env=environment).returncode != 0:
            times.unlink(missing_ok=True)
            sys.exit("All tests must pass first: else each mutant would seem to be noticed.")
    seconds, known = _seconds(times), _collected(copy, environment)
    if not known & seconds.keys():
        sys.exit("None of the tests that ran is found again.")
    return Recorded({test: seconds[test] for test in known & seconds.keys()}, _lines(data))


def _collected(copy, environment):
    """The names that pytest gives the tests, as it takes them."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-o", "addopts=-q", "--collect-only"]
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True)
    return {line for line in done.stdout.splitlines() if "::" in line}


def _seconds(times):
    cases = ElementTree.parse(times).getroot().iter("testcase")
    return {
        f"{case.get('classname').replace('.', '/')}.py::{case.get('name')}": float(case.get("time"))
        for case in cases
        if case.find("skipped") is None
    }


def _lines(data):
    read = coverage.CoverageData(str(data))
    read.read()
    lines = {}
    for path in read.measured_files():
        at = pathlib.PurePath(path).parts
        short = "/".join(at[len(at) - at[::-1].index("jaxrnn") - 1 :])
        found = read.contexts_by_lineno(path).items()
        lines[short] = {line: {c.split("|")[0] for c in contexts if c} for line, contexts in found}
    return lines


def select(recorded: Recorded, path: str, first: int, last: int) -> list[str]:
    """The tests that run any of these lines, or else any line of the file.

    One of each function comes first, then a second one, up to `SECONDS` in all. Those of the whole
    file stand for a line that runs when the file is imported.
    """
    lines = recorded.lines.get(path, {})
    found = set().union(*(lines.get(line, ()) for line in range(first, last + 1)))
    found = found or set().union(*lines.values())
    rounds, seconds = [], recorded.seconds
    known = sorted((t for t in found if t in seconds), key=lambda t: (t.split("[")[0], seconds[t]))
    for _, tests in itertools.groupby(known, key=lambda t: t.split("[")[0]):
        rounds += enumerate(tests)
    ordered = [test for _, test in sorted(rounds, key=lambda pair: (pair[0], seconds[pair[1]]))]
    total = itertools.accumulate(seconds[test] for test in ordered)
    return [test for test, spent in zip(ordered, total, strict=True) if spent <= SECONDS]
