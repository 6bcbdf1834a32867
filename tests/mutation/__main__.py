"""Tests the tests: how many mutants of the library do they notice?

    python -m tests.mutation --mutants 200 --seed 0 --out survivors.md

Each mutant runs in a copy of the project, against the tests of its subject, fastest first, up to
the first failure. Prints a line for each mutant, and writes a table of those that no test noticed.
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

ROOT = pathlib.Path(__file__).parents[2]
ROOMS = ("_core", "engines", "wrappers", "layers")
# The tests of each subject, fastest first. The first prefix that fits a path is taken.
TESTS = {
    "jaxrnn/_core": "core wrappers/test_noise.py laws/test_errors.py laws/test_cells.py",
    "jaxrnn/engines/cpu": "engines/test_cpu.py engines/test_kernels.py laws/test_bits.py",
    "jaxrnn/engines/kernel": "engines/test_cpu.py engines/test_kernels.py",
    "jaxrnn/engines": "engines/test_table.py engines/test_lowering.py laws/test_cells.py "
    "laws/test_compiled.py laws/test_errors.py",
    "jaxrnn/wrappers": "wrappers laws/test_cells.py laws/test_errors.py",
    "jaxrnn/layers": "layers laws/test_deep.py laws/test_layers.py laws/test_errors.py",
}
MINUTES = 30  # after which a mutant counts as noticed, since it may never end
NOTICED, PASSED = (1, 2), 0  # exit codes of pytest: a test failed, or could not be collected


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mutants", type=int, default=20, help="how many, drawn at random")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a part of the paths to change")
    parser.add_argument("--jobs", type=int, default=1, help="mutants to run at a time")
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
    """A copy of what the tests need, with the built kernels."""
    for name in ("jaxrnn", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def subject(path: str) -> str:
    """The key of `TESTS` for a file."""
    return next(prefix for prefix in TESTS if path.startswith(prefix))


def check_tests(copy: pathlib.Path, drawn: list[Mutant]) -> None:
    """Exits unless the tests of every subject pass without a mutant: else each seems noticed."""
    for path in {subject(mutant.path): mutant.path for mutant in drawn}.values():
        if (code := run_tests(copy, path)) != PASSED:
            sys.exit(f"The tests of {subject(path)} must pass first, but pytest ended with {code}.")


def run_tests(copy: pathlib.Path, path: str) -> int:
    """The exit code of the tests of a file of the copy."""
    files = [f"tests/{name}" for name in TESTS[subject(path)].split()]
    command = [sys.executable, "-m", "pytest", "-n", "0", "-x", "-p", "no:cacheprovider", *files]
    places = os.pathsep.join(filter(None, [str(copy), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": places, "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command, cwd=copy, env=environment, capture_output=True, timeout=60 * MINUTES
        )
    except subprocess.TimeoutExpired:
        return NOTICED[0]
    return done.returncode


def survives(copy: pathlib.Path, mutant: Mutant) -> bool:
    """Whether all tests of its subject pass with the mutant."""
    path = copy / mutant.path
    path.write_text(mutant.source)
    try:
        code = run_tests(copy, mutant.path)
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
    with tempfile.TemporaryDirectory() as folder:
        copies = queue.Queue()
        for i in range(options.jobs):
            copies.put(make_copy(pathlib.Path(folder, str(i))))
        check_tests(copies.queue[0], drawn)

        def judge(mutant):
            copy = copies.get()
            try:
                return survives(copy, mutant)
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
