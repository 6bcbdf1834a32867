"""The machine: its device, the installed versions, and the speed of a matrix product."""

import functools
import importlib.metadata
import os
import pathlib
import platform
import re
import subprocess
import time

import jax
import jax.numpy as jnp

_PACKAGES = ("jaxlib", "flax", "dm-haiku", "equinox", "keras", "torch")
_ROOT = pathlib.Path(__file__).parent.parent


def device() -> str:
    """The name of the accelerator, or the processor and its number of cores."""
    found = jax.devices()[0]
    return found.device_kind if found.platform != "cpu" else f"{processor()}, {cores()} cores"


def processor() -> str:
    """The model of the CPU."""
    info = pathlib.Path("/proc/cpuinfo")
    names = re.findall(r"^model name\s*: (.*)$", info.read_text(), re.M) if info.exists() else []
    return names[0] if names else platform.processor() or platform.machine()


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def slug() -> str:
    """The device, as part of a file name."""
    plain = re.sub(r"\((R|TM)\)", "", device())
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")


@functools.cache
def describe() -> dict[str, object]:
    """The fields about the machine in each record."""
    return {
        "device": device(),
        "processor": processor(),
        "cores": cores(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "versions": {package: version(package) for package in _PACKAGES if version(package)},
        "commit": _commit(),
    }


def version(package: str) -> str | None:
    """The installed version; None if there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the checkout, with a + if files were changed; None outside a checkout."""
    command = ["git", "describe", "--always", "--abbrev=10", "--exclude=*", "--dirty=+"]
    try:
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None


@functools.cache
def peak_flops(dtype: str) -> float:
    """The flops per second of a large square matrix product, the fastest of 20 runs."""
    size = 2048 if jax.default_backend() == "cpu" else 8192
    matrix = jax.random.normal(jax.random.key(0), (size, size), jnp.dtype(dtype))
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        _product(matrix, matrix).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds)


@jax.jit
def _product(a, b):
    return a @ b
