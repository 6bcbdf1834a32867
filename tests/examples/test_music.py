"""Chorales as MIDI files, which are read back here by a reader of their own."""

import numpy as np
import pytest

chorales = pytest.importorskip("chorales", reason="matplotlib is not installed")


def read_back(content, num_steps):
    """Pitches (T, 4) of a file of one track, from its notes on and off."""
    assert content[:8] == b"MThd\0\0\0\6"
    assert content[14:18] == b"MTrk"
    track = content[22:]
    assert int.from_bytes(content[18:22], "big") == len(track)
    chords, sounding, at, now = np.zeros((num_steps, 4), int), [0] * 4, 0, 0
    while True:
        wait = 0
        while True:
            wait, at = wait * 128 + track[at] % 128, at + 1
            if track[at - 1] < 128:
                break
        chords[now : now + wait // chorales.TICKS] = sounding
        now += wait // chorales.TICKS
        kind, voice = track[at] >> 4, track[at] & 15
        if track[at : at + 3] == b"\xff\x2f\0":
            assert at + 3 == len(track)
            assert now == num_steps
            assert sounding == [0] * 4
            return chords
        if kind in (8, 9):
            assert sounding[voice] == (track[at + 1] if kind == 8 else 0)
            sounding[voice] = int(track[at + 1]) if kind == 9 else 0
        at += {8: 3, 9: 3, 12: 2, 15: 6}[kind]


def test_a_midi_file_holds_the_chords():
    rng = np.random.default_rng(0)
    chords = np.repeat(rng.integers(57, 61, (30, 4)), rng.integers(1, 30, 30), axis=0)
    chords[rng.integers(0, len(chords), 20)] = 0
    np.testing.assert_array_equal(read_back(chorales.midi(chords), len(chords)), chords)


@pytest.mark.parametrize(
    ("number", "written"), [(0, b"\0"), (127, b"\x7f"), (128, b"\x81\0"), (0x4000, b"\x81\x80\0")]
)
def test_numbers_of_midi(number, written):
    assert chorales.variable_length(number) == written
