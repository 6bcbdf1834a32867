"""The notes of several voices over time."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxrnn._core.checks import check_size
from jaxrnn.plots._axes import Axes, Figure, check_labels, on_axes, values_of

WIDTHS = 4.5, 3.5, 2.5, 1.5  # in points, so that voices differ in gray, and at the same pitch


def piano_roll(
    pitches: Any,
    *,
    names: Sequence[Any],
    steps_per_beat: int = 4,
    ax: Axes | None = None,
) -> Figure:
    """Draws music as a piano roll: a line for each note, as long as it sounds.

        plots.piano_roll(chords, names=["soprano", "alto", "tenor", "bass"])

    Args:
      pitches: (T, V), MIDI numbers of V voices, where 60 is middle C (C4); 0 is a rest. A pitch
        that stays is one note.
      names: of the V voices.
      steps_per_beat: steps in a beat.
      ax: the Axes to draw on; None means those of a new Figure.

    Returns:
      The Figure. Lines of later voices are thinner, so that they are seen on those of others.

    Raises:
      ValueError, TypeError: `pitches` has other axes, there are not as many names as voices, or
        `steps_per_beat` is not a positive integer.

    Examples:
      >>> from jaxrnn import plots
      >>> import numpy as np
      >>> figure = plots.piano_roll(np.array([[60, 48], [60, 50]]), names=["high", "low"])
      >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
      ['C3', 'C4']
    """
    notes = values_of("pitches", pitches, 2)
    labels = check_labels("names", names, notes.shape[1], "voice")
    check_size("steps_per_beat", steps_per_beat)
    ax = on_axes(ax, 8.0, 3.6)
    for voice, label in enumerate(labels):
        line = notes[:, voice]
        ends = np.append(np.flatnonzero(np.diff(line)) + 1, len(line))
        starts = np.append(0, ends[:-1])
        sounds = line[starts] > 0
        first, last = (starts[sounds] + 0.1) / steps_per_beat, (ends[sounds] - 0.1) / steps_per_beat
        style = {"color": f"C{voice % 10}", "linewidth": WIDTHS[min(voice, len(WIDTHS) - 1)]}
        ax.hlines(line[starts][sounds], first, last, label=label, **style)
    heard = notes[notes > 0]
    low, high = (heard.min(), heard.max()) if heard.size else (60, 60)
    octaves = np.arange(12 * (low // 12), high + 1, 12)
    ax.set_yticks(octaves, [f"C{int(pitch) // 12 - 1}" for pitch in octaves])
    ax.set(xlabel="beat", ylabel="pitch", xlim=(0, len(notes) / steps_per_beat))
    ax.set_ylim(min(low, octaves[0]) - 1, high + 1)
    ax.grid(axis="y", alpha=0.3)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax.figure
