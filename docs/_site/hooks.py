"""What the site adds to the pages: equations as MathML, and a page with every public name.

Equations are written as on GitHub, in fences of ``math`` and as ``$`...`$`` in a line, and become
MathML when the site is built, so that pages load no script to show them.
"""

import importlib
import inspect
import re

from latex2mathml.converter import convert
from mkdocs.structure.files import File

ROOMS = {
    "cells": "Cells",
    "wrappers": "Wrappers of cells",
    "layers": "Layers",
    "engines": "Running cells",
    "authoring": "Writing cells",
    "initializers": "Initializers",
    "activations": "Activations",
    "losses": "Losses and scores",
    "training": "Training",
    "data": "Data",
    "decode": "Generating and decoding",
    "online": "Learning from a stream",
    "diagnostics": "Diagnostics",
    "plots": "Pictures",
    "checkpoint": "Checkpoints",
    "convert": "Converting weights",
    "linen": "Flax linen",
    "nnx": "Flax nnx",
}
TOP = "Cell", "Layer", "from_step", "constructor", "length_mask", "Noisy", "Timed"
NAMES = "names.md"

FENCE = re.compile(r"^```math\n(.*?)^```$", re.M | re.S)
IN_LINE = re.compile(r"\$`([^`]+)`\$")
TO_A_PROGRAM = re.compile(r"\[([^\]]+)\]\((?:\.\./)+(examples/[^)]+)\)")  # which no page is


def on_files(files, config):
    """Adds the page of all names."""
    files.append(File.generated(config, NAMES, content=page_of_names()))
    return files


def page_of_names():
    """A line for each public name, which links to its place in the API."""
    lines = ["# Every public name", "", "With the first line of its docstring.", ""]
    lines += ["## At the top level", "", *_table("jaxrnn", TOP)]
    for room, title in ROOMS.items():
        module = importlib.import_module(f"jaxrnn.{room}")
        lines += [f"## {title}: `jaxrnn.{room}`", "", *_table(module.__name__, _names(module))]
    return "\n".join(lines)


def _names(module):
    """The public names of a module: its `__all__`, or whatever it has from this library."""
    if hasattr(module, "__all__"):
        return module.__all__
    found = {name: getattr(x, "__module__", "") for name, x in vars(module).items()}
    return [name for name, home in found.items() if home == module.__name__ and name[0] != "_"]


def _table(module, names):
    place = importlib.import_module(module)
    lines = ["| name | what it is |", "|---|---|"]
    for name in sorted(names, key=lambda name: (name[0].isupper(), name)):
        thing = getattr(place, name)
        if inspect.isfunction(thing) or inspect.isclass(thing):
            lines.append(f"| [`{name}`][{module}.{name}] | {_summary(thing)} |")
        else:
            lines.append(f"| `{name}` | a type, for annotations |")
    return [*lines, ""]


def _summary(thing):
    text = inspect.getdoc(thing) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def on_page_markdown(markdown, page, config, files):
    """Names programs, and replaces equations by marks, which Markdown leaves alone."""
    markdown = TO_A_PROGRAM.sub(r"\1 (`\2`)", markdown)
    page.meta["equations"] = equations = []

    def mark(display):
        def replace(match):
            equations.append(convert(match[1].strip(), display=display))
            return f"EQUATION{len(equations) - 1}X"

        return replace

    return IN_LINE.sub(mark("inline"), FENCE.sub(mark("block"), markdown))


def on_page_content(html, page, config, files):
    """Puts the equations in the places of their marks."""
    equations = page.meta.get("equations", [])
    return re.sub(r"EQUATION(\d+)X", lambda match: equations[int(match[1])], html)
