"""Pages of the documentation that hold what was measured: a table, and a picture."""

import argparse
import json
import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

BEGIN, END = "<!-- the table begins -->\n", "<!-- the table ends -->\n"


class Page(NamedTuple):
    """What is measured for a page, and how the page shows it."""

    text: pathlib.Path
    picture: pathlib.Path
    record: pathlib.Path
    measure: Callable[[], dict[str, Any]]
    table: Callable[[dict[str, Any]], str]
    draw: Callable[[dict[str, Any]], Figure]

    def main(self, description: str, arguments: list[str] | None) -> None:
        """Writes the table and the picture from the record, which ``--measure`` makes first."""
        parser = argparse.ArgumentParser(description=description.split("\n")[0])
        parser.add_argument("--measure", action="store_true", help="measure again")
        if parser.parse_args(arguments).measure:
            self.record.write_text(json.dumps(self.measure(), indent=1) + "\n")
        record = json.loads(self.record.read_text())
        self.text.write_text(with_table(self.text.read_text(), self.table(record)))
        save(self.draw(record), self.picture)


def write(
    path: pathlib.Path,
    page: Callable[[], str],
    measure: Callable[[], None],
    description: str,
    arguments: list[str] | None,
) -> None:
    """Writes a page from its record, which ``--measure`` makes first."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--measure", action="store_true", help="measure the times again")
    if parser.parse_args(arguments).measure:
        measure()
    path.write_text(page())


def with_table(page: str, table: str) -> str:
    """The page with a new table between the two markers."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}"


def save(figure: Figure, path: pathlib.Path) -> None:
    """Writes a picture of few colors, which is small."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    colors = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").quantize(32)
    colors.save(path, optimize=True)
