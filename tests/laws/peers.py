"""Plain forms of cells in other libraries, from one file each: the packages ask for much else."""

import importlib.util
import pathlib
from types import ModuleType

import pytest


def plain_form(package: str, path: str) -> ModuleType:
    """The module of one file of an installed package; the test is skipped without the package."""
    found = importlib.util.find_spec(package)
    if found is None:
        pytest.skip(f"{package} is not installed")
    file = pathlib.Path(next(iter(found.submodule_search_locations))) / path
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
