"""Pages of the documentation that hold what was measured: a table, and a picture."""

import pathlib

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

BEGIN, END = "<!-- the table begins -->\n", "<!-- the table ends -->\n"


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
