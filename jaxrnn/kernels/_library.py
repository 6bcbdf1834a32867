"""The shared library of the native kernels: whether it is there, and making XLA know it."""

import ctypes
import functools
import pathlib

import jax

PATH = pathlib.Path(__file__).parent / "libjaxrnn.so"
INTERFACE = 3  # of the functions in native/handlers.cc
LEVELS = ("plain", "avx2", "avx512")  # instruction sets, in the order of native/handlers.cc

_BUILD = (
    "To build them, install jaxrnn again where a C++17 compiler is (g++ or clang++ on the path): "
    "`pip install --force-reinstall --no-deps --no-cache-dir .` in a clone, or with `-e .`."
)


@functools.cache
def problem() -> str | None:
    """Why the native kernels cannot run here, and what helps; None if they can.

    The first call loads the library and registers its functions with XLA.
    """
    try:
        library = _open()
        # Once the backend is there, XLA refuses what it cannot call; before, it would refuse to
        # start at all.
        jax.local_devices(backend="cpu")
        for name in ("jaxrnn_forward", "jaxrnn_backward", "jaxrnn_gradients"):
            capsule = jax.ffi.pycapsule(getattr(library, name))
            jax.ffi.register_ffi_target(name, capsule, platform="cpu")
    except _Unusable as reason:
        return str(reason)
    except Exception as error:  # XLA says only here that it cannot call this library
        return f"jax {jax.__version__} cannot call the native kernels in {PATH}: {error}. {_BUILD}"
    return None


def levels() -> tuple[str, ...]:
    """The instruction sets that this processor and this library have, the slowest first."""
    if problem() is not None:
        return ()
    library = _open()
    library.jaxrnn_has_level.restype = ctypes.c_bool
    return tuple(name for i, name in enumerate(LEVELS) if library.jaxrnn_has_level(i))


class _Unusable(Exception):
    pass


@functools.cache
def _open():
    if not PATH.exists():
        raise _Unusable(f"The native kernels were not built: there is no {PATH}. {_BUILD}")
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
