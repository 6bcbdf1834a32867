"""Several processes train as one does, and after a crash they continue on other devices."""

import pathlib
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.devices import with_devices

pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed")
pytestmark = pytest.mark.thorough

SCRIPT = pathlib.Path(__file__).parents[2] / "examples" / "several_hosts.py"


def start(devices, *options, folder):
    command = [sys.executable, SCRIPT, "--folder", folder, *map(str, options)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=with_devices(devices))


def start_two(folder):
    with socket.socket() as found:
        found.bind(("localhost", 0))
        address = f"localhost:{found.getsockname()[1]}"
    options = "--address", address, "--processes", 2, "--process"
    return [start(4, *options, number, folder=folder) for number in range(2)]


def losses(lines):
    """The loss after each step."""
    steps = [line.split() for line in lines if line.startswith("step ")]
    return {int(number): float(loss) for _, number, _, loss in steps}


def finished(process):
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return losses(out.splitlines())


def assert_equal(got, want):
    assert got.keys() == want.keys()
    np.testing.assert_allclose(list(got.values()), list(want.values()), atol=1e-6)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    return finished(start(1, folder=tmp_path_factory.mktemp("one")))


def test_two_processes_equal_one(straight, tmp_path):
    for process in start_two(tmp_path):
        assert_equal(finished(process), straight)


def test_after_a_crash_training_continues_on_other_devices(straight, tmp_path):
    processes = start_two(tmp_path)
    for line in processes[0].stdout:
        if line.startswith("step 25 "):
            break
    for process in processes:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    # A checkpoint is written while training goes on: the last may not have been whole.
    saved = max(int(path.name) for path in tmp_path.iterdir() if path.name.isdigit())
    assert 10 <= saved < 50
    later = {number: loss for number, loss in straight.items() if number > saved}
    for devices in (1, 2, 4):
        folder = tmp_path.with_name(f"{tmp_path.name}_{devices}")
        subprocess.run(["cp", "-r", tmp_path, folder], check=True)
        assert_equal(finished(start(devices, folder=folder)), later)
