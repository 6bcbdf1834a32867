"""From outputs to sequences: generation, beam search, free running, CTC decoding, edit distance.

A decoder reads a prompt, and then its own outputs. Prompts are (P, ...), results (L, ...), both
time-first, for any batch axes or none. A row gives what it gives alone: it has a key of its own.
"""

from jaxrnn.decode._beam_search import Beams, beam_search
from jaxrnn.decode._ctc import Labels, ctc_beam_search, ctc_greedy
from jaxrnn.decode._edit_distance import edit_distance, error_rate
from jaxrnn.decode._generate import Generated, generate
from jaxrnn.decode._sample_path import Path, sample_path
from jaxrnn.decode._samplers import categorical, greedy
from jaxrnn.decode._scheduled_sampling import scheduled_sampling

__all__ = [
    "Beams",
    "Generated",
    "Labels",
    "Path",
    "beam_search",
    "categorical",
    "ctc_beam_search",
    "ctc_greedy",
    "edit_distance",
    "error_rate",
    "generate",
    "greedy",
    "sample_path",
    "scheduled_sampling",
]


def __dir__():
    return __all__
