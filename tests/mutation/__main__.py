"""Tests the tests: how many mutants of the library do they notice?

    python -m tests.mutation --mutants 200 --seed 0 --out survivors.md

All tests run once, to know which of them run each line. Then each mutant runs in a copy of the
project, against tests that run its line, up to the first failure. Prints a line for each mutant,
and writes a table of those that no test noticed.
"""

import argparse
import concurrent.futures
import os
import pathlib
import queue
import random
import shutil
import subprocess
import sys
import tempfile

from tests.mutation.mutants import Mutant, mutants
from tests.mutation.selection import record, select

ROOT = pathlib.Path(__file__).parents[2]
ROOMS = ("_core", "engines", "wrappers", "layers")
LEAVE_OUT = (".git", ".venv", "build", "runs", "__pycache__")
# Looks at what a cell was traced to, which a test before it may have traced: no record tells the
# lines that it depends on.
STRUCTURE = "tests/laws/test_compiled.py"
MINUTES = 10  # after which a mutant counts as noticed, since it may never end
NOTICED, PASSED = (1, 2, 4), 0  # exit codes of pytest: a test failed, or is not found any more


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mutants", type=int, default=20, help="how many, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a part of the paths to change")
    parser.add_argument("--jobs", type=int, default=1, help="mutants to run at a time")
    parser.add_argument(
        "--recorded", type=pathlib.Path, help="where the run of all tests is kept, to use it again"
    )
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("survivors.md"))
    return parser.parse_args(arguments)


def draw(number: int, seed: int, only: str) -> list[Mutant]:
    """Mutants drawn without replacement, each file as likely as it is long."""
    paths = [
        p.relative_to(ROOT).as_posix() for r in ROOMS for p in (ROOT / "jaxrnn" / r).rglob("*.py")
    ]
    found = [m for path in sorted(paths) if only in path for m in mutants(ROOT, path)]
    return random.Random(seed).sample(found, min(number, len(found)))


def make_copy(folder: pathlib.Path) -> pathlib.Path:
    """A copy of the project, with the built kernels."""
    return shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEAVE_OUT))


def environment(copy: pathlib.Path) -> dict[str, str]:
    """That of a process that imports the library from `copy`."""
    places = os.pathsep.join(filter(None, [str(copy), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PYTHONPATH": places, "PYTHONDONTWRITEBYTECODE": "1"}


def run_tests(copy: pathlib.Path, tests: list[str]) -> int:
    """The exit code of these tests in the copy."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment(copy), capture_output=True, timeout=60 * MINUTES
        )
    except subprocess.TimeoutExpired:
        return NOTICED[0]
    return done.returncode


def survives(copy: pathlib.Path, mutant: Mutant, tests: list[str]) -> bool:
    """Whether these tests pass with the mutant; no test notices it if there are none."""
    if not tests:
        return True
    path = copy / mutant.path
    path.write_text(mutant.source)
    try:
        code = run_tests(copy, tests)
    finally:
        shutil.copy(ROOT / mutant.path, path)
    if code != PASSED and code not in NOTICED and code > 0:
        raise RuntimeError(f"pytest ended with {code} for {mutant.path}")
    return code == PASSED  # a process that a signal ended has noticed the mutant


def table(survivors: list[Mutant], total: int) -> str:
    """A page with a row for each survivor."""
    rows = [f"| {m.path}:{m.line} | {cell(m.before)} | {cell(m.after)} |" for m in survivors]
    head = (
        f"{len(survivors)} of {total} mutants survive.\n\n| where | before | after |\n|---|---|---|"
    )
    return "\n".join([head, *rows]) + "\n"


def cell(code: str) -> str:
    """The first line of `code`, for a cell of a table."""
    return f"`{code.splitlines()[0][:90]}`".replace("|", "\\|")


def main(arguments: list[str] | None = None) -> None:
    options = parse(arguments)
    drawn = draw(options.mutants, options.seed, options.only)
    with tempfile.TemporaryDirectory() as name:
        folder, copies = pathlib.Path(name), queue.Queue()
        for i in range(options.jobs):
            copies.put(make_copy(folder / f"copy{i}"))
        first = copies.queue[0]
        recorded = record(first, options.recorded or folder / "recorded", environment(first))

        def judge(mutant):
            copy = copies.get()
            try:
                tests = select(recorded, *mutant[:3])
                return survives(copy, mutant, tests) and survives(copy, mutant, [STRUCTURE])
            finally:
                copies.put(copy)

        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            survivors = []
            for mutant, alive in zip(drawn, pool.map(judge, drawn), strict=True):
                survivors += [mutant] if alive else []
                where, change = f"{mutant.path}:{mutant.line}", (mutant.before, mutant.after)
                print("survives" if alive else "noticed", where, *map(cell, change), flush=True)
                options.out.write_text(table(survivors, len(drawn)))
    print(table(survivors, len(drawn)))


if __name__ == "__main__":
    main()
