"""The energy that a GPU has taken, as its driver counts it; None where no driver tells."""

import ctypes
import functools
import os
from typing import Any

LIBRARY = "libnvidia-ml.so.1"  # comes with the driver of NVIDIA


def joules() -> float | None:
    """Since the driver was loaded, for the first device that this process sees."""
    device = _device()
    count = ctypes.c_ulonglong()  # millijoules
    if device is None or _library().nvmlDeviceGetTotalEnergyConsumption(device, _at(count)):
        return None
    return count.value / 1000


def driver() -> str | None:
    """The version of the driver."""
    if _library() is None:
        return None
    name = ctypes.create_string_buffer(80)
    failed = _library().nvmlSystemGetDriverVersion(name, len(name))
    return None if failed else name.value.decode()


@functools.cache
def _library() -> Any:
    try:
        library = ctypes.CDLL(LIBRARY)
        return None if library.nvmlInit_v2() else library
    except (OSError, AttributeError):  # it is not there, or is not what it seems
        return None


@functools.cache
def _device():
    index = _index()
    if _library() is None or index is None:
        return None
    device = ctypes.c_void_p()
    failed = _library().nvmlDeviceGetHandleByIndex_v2(index, _at(device))
    return None if failed else device


def _index():
    """CUDA may hide and reorder devices; the driver counts all of them."""
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    return int(first) if first.isdigit() else None


def _at(value):
    return ctypes.byref(value)
