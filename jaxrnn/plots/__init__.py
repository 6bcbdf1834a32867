"""Pictures of recurrent networks: one function a picture, drawn with matplotlib.

Each function takes what `jaxrnn.diagnostics` returns, or arrays, draws on the Axes `ax` or on a new
Figure, and returns the Figure. Save it with `figure.savefig("picture.png")`; a notebook shows it.
Colors of text and background are those of the current matplotlib style, so
``matplotlib.style.context("dark_background")`` gives dark pictures. Lines differ in their dashes
and colors in their lightness, so pictures can be read in gray.

It needs matplotlib, which the extra `plots` installs: ``pip install "jaxrnn[plots]"``. Import it by
name, as ``from jaxrnn import plots``.
"""

from jaxrnn.plots._attention_map import attention_map
from jaxrnn.plots._attributions import attributions
from jaxrnn.plots._colored_text import colored_text
from jaxrnn.plots._confusion import confusion
from jaxrnn.plots._eigenvalues import eigenvalues
from jaxrnn.plots._forecast import forecast
from jaxrnn.plots._gate_saturation import gate_saturation
from jaxrnn.plots._gradient_norms import gradient_norms
from jaxrnn.plots._images import images
from jaxrnn.plots._learning_curves import learning_curves
from jaxrnn.plots._lyapunov_exponents import lyapunov_exponents
from jaxrnn.plots._piano_roll import piano_roll
from jaxrnn.plots._sequence import sequence
from jaxrnn.plots._singular_values import singular_values
from jaxrnn.plots._trajectories import trajectories

__all__ = [
    "attention_map",
    "attributions",
    "colored_text",
    "confusion",
    "eigenvalues",
    "forecast",
    "gate_saturation",
    "gradient_norms",
    "images",
    "learning_curves",
    "lyapunov_exponents",
    "piano_roll",
    "sequence",
    "singular_values",
    "trajectories",
]


def __dir__():
    return __all__
