"""Builds the native kernels if there is a C++17 compiler, and leaves them out otherwise."""

import concurrent.futures
import hashlib
import importlib.util
import os
import pathlib
import platform

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

NATIVE = "jaxrnn/engines/cpu/native"
SOURCES = (
    "avx2",
    "avx512",
    "backward_handler",
    "forward_handler",
    "gradients_handler",
    "library",
    "linear_handler",
    "plain",
    "products_handler",
    "program_handler",
    "single_handler",
)
FLAGS = ["-std=c++17", "-O3", "-g0", "-ffp-contract=fast", "-Wno-psabi"]
CHECKSUM = ".sha256"  # the library is verified before it is loaded: see _library.py
# By source file. The instruction set is chosen at run time, from those the processor supports.
X86_FLAGS = {
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mavx2", "-mfma"],
}


class BuildKernels(build_ext):
    """Builds a shared library that ctypes loads, so it is the same for every Python version."""

    def get_ext_filename(self, fullname):
        """Returns a file name without the tag of the Python version."""
        return fullname.replace(".", "/") + ".so"

    def build_extension(self, ext):
        """Compiles each source file with its own flags, several at a time."""

        def compile(source):
            return self.compiler.compile(
                [source],
                output_dir=self.build_temp,
                extra_postargs=FLAGS + instructions(source) + xla_headers(),
                depends=ext.depends,
            )

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = [item for found in pool.map(compile, ext.sources) for item in found]
        target = self.get_ext_fullpath(ext.name)
        self.compiler.link_shared_object(objects, target, target_lang="c++")
        digest = hashlib.sha256(pathlib.Path(target).read_bytes()).hexdigest()
        pathlib.Path(target + CHECKSUM).write_text(digest)

    def copy_extensions_to_source(self):
        """Copies the library and its checksum into a clone, for an editable install."""
        super().copy_extensions_to_source()
        for ext in self.extensions:
            built = pathlib.Path(self.build_lib, self.get_ext_filename(ext.name) + CHECKSUM)
            if built.exists():
                self.copy_file(built, self.get_ext_fullpath(ext.name) + CHECKSUM)


class TagWheel(bdist_wheel):
    """Names a wheel by what is in it, since kernels may have been left out."""

    def get_tag(self):
        """Returns py3-none-PLATFORM for a wheel with kernels, and py3-none-any without."""
        self.root_is_pure = not any(pathlib.Path(self.bdist_dir).rglob("libjaxrnn.so"))
        *_, platform_tag = super().get_tag()
        return "py3", "none", platform_tag


def instructions(source):
    """Returns the flags that select the instruction set of a source file."""
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    return X86_FLAGS.get(pathlib.Path(source).stem, []) if is_x86 else []


def xla_headers():
    """Returns the flags to find the XLA FFI headers in jaxlib, without importing jaxlib."""
    spec = importlib.util.find_spec("jaxlib")
    # As system headers, so that the compiler does not print their warnings.
    return ["-isystem", str(pathlib.Path(spec.origin).parent / "include")] if spec else []


kernels = Extension(
    "jaxrnn.engines.cpu.libjaxrnn",
    sources=[f"{NATIVE}/{name}.cc" for name in SOURCES],
    depends=sorted(str(path) for path in pathlib.Path(NATIVE).glob("*.h")),
    language="c++",
    optional=True,
)

setup(ext_modules=[kernels], cmdclass={"build_ext": BuildKernels, "bdist_wheel": TagWheel})
