"""Loads the shared library of native kernels and registers its functions with XLA."""

import ctypes
import functools
import hashlib
import pathlib

import jax

PATH = pathlib.Path(__file__).parent / "libjaxrnn.so"
INTERFACE = 16  # kInterface in native/library.cc
FUNCTIONS = (
    "jaxrnn_forward",
    "jaxrnn_single",
    "jaxrnn_backward",
    "jaxrnn_gradients",
    "jaxrnn_linear",
    "jaxrnn_program",
    "jaxrnn_products",
)
INSTRUCTION_SETS = ("plain", "avx2", "avx512")  # in the order of native/library.cc

_BUILD = (
    "To build them, reinstall jaxrnn with a C++17 compiler (g++ or clang++) on the path: "
    "`pip install --force-reinstall --no-deps --no-cache-dir .` in a clone, or with `-e .`."
)


@functools.cache
def problem() -> str | None:
    """Returns why the native kernels cannot run here and how to fix it; None if they can.

    The first call loads the library and registers its functions with XLA.
    """
    try:
        library = _open()
        # Start the backend first: then XLA rejects only a library that it cannot call. If the
        # library is registered before, the backend fails to start.
        jax.local_devices(backend="cpu")
        for name in FUNCTIONS:
            capsule = jax.ffi.pycapsule(getattr(library, name))
            jax.ffi.register_ffi_target(name, capsule, platform="cpu")
    except _Unusable as reason:
        return str(reason)
    except Exception as error:  # XLA reports only here that it cannot call the library
        return f"jax {jax.__version__} cannot call the native kernels in {PATH}: {error}. {_BUILD}"
    return None


def instruction_sets() -> tuple[str, ...]:
    """Returns the instruction sets that this processor and library support, slowest first."""
    if problem() is not None:
        return ()
    library = _open()
    library.jaxrnn_has_instruction_set.restype = ctypes.c_bool
    return tuple(
        name for i, name in enumerate(INSTRUCTION_SETS) if library.jaxrnn_has_instruction_set(i)
    )


def operations() -> list[str]:
    """Returns the names of the operations of programs, in the order of their numbers."""
    library = _open()
    library.jaxrnn_operations.restype = ctypes.c_char_p
    return library.jaxrnn_operations().decode().split()


class _Unusable(Exception):
    pass


@functools.cache
def _open():
    if not PATH.exists():
        raise _Unusable(f"The native kernels were not built: there is no {PATH}. {_BUILD}")
    _check_bytes()
    try:
        library = ctypes.CDLL(str(PATH))
        interface = library.jaxrnn_interface()
    except (OSError, AttributeError) as error:
        raise _Unusable(f"{PATH} is no library of native kernels: {error}. {_BUILD}") from error
    if interface != INTERFACE:
        raise _Unusable(
            f"{PATH} was built from other sources: it has interface {interface}, and this version "
            f"of jaxrnn needs {INTERFACE}. {_BUILD}"
        )
    return library


def _check_bytes():
    """Raises unless the library is what was built: loading a damaged one can kill the process."""
    checksum = PATH.with_name(PATH.name + ".sha256")  # written by setup.py
    expected = checksum.read_text() if checksum.exists() else None
    if (got := hashlib.sha256(PATH.read_bytes()).hexdigest()) != expected:
        raise _Unusable(
            f"{PATH} is damaged or incomplete: expected the SHA-256 in {checksum.name}, "
            f"{expected}, got {got}. {_BUILD}"
        )
