"""Builds the native kernels, where there is a C++17 compiler; without one they are left out."""

import importlib.util
import pathlib
import platform

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

NATIVE = "jaxrnn/kernels/native"
FLAGS = ["-std=c++17", "-O3", "-g0", "-ffp-contract=fast", "-Wno-psabi"]
# The instructions of each file; which of them a processor has is asked when the kernels run.
X86_FLAGS = {
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mavx2", "-mfma"],
}


class BuildKernels(build_ext):
    """A plain shared library, loaded by ctypes: it is the same for every Python."""

    def get_ext_filename(self, fullname):
        """Without the mark of a Python version."""
        return fullname.replace(".", "/") + ".so"

    def build_extension(self, ext):
        """Compiles each file with flags of its own."""
        objects = []
        for source in ext.sources:
            objects += self.compiler.compile(
                [source],
                output_dir=self.build_temp,
                include_dirs=xla_headers(),
                extra_postargs=FLAGS + instructions(source),
                depends=ext.depends,
            )
        target = self.get_ext_fullpath(ext.name)
        self.compiler.link_shared_object(objects, target, target_lang="c++")


def instructions(source):
    """The flags of a source file beyond those of all."""
    is_x86 = platform.machine().lower() in ("x86_64", "amd64")
    return X86_FLAGS.get(pathlib.Path(source).stem, []) if is_x86 else []


def xla_headers():
    """Where jaxlib keeps the headers of XLA's foreign functions; found without importing it."""
    spec = importlib.util.find_spec("jaxlib")
    return [str(pathlib.Path(spec.origin).parent / "include")] if spec else []


kernels = Extension(
    "jaxrnn.kernels.libjaxrnn",
    sources=[f"{NATIVE}/{name}.cc" for name in ("avx2", "avx512", "handlers", "plain")],
    depends=sorted(str(path) for path in pathlib.Path(NATIVE).glob("*.h")),
    language="c++",
    optional=True,
)

setup(ext_modules=[kernels], cmdclass={"build_ext": BuildKernels})
