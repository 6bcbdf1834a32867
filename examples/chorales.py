"""Four-part chorales: as steps that a network reads, as a MIDI file, and as a picture."""

import itertools

import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import shared

from jaxrnn import plots

VOICES = "soprano", "alto", "tenor", "bass"
LOWEST, PITCHES, LONGEST, BAR = 30, 58, 16, 16  # MIDI pitch below all; lengths in sixteenths
HELD_OUT = 36  # chorales
PASSAGE, COMMON = 6, 0.3  # beats; share of passages by which a chorale is a copy of another
TICKS, TEMPO, ORGAN = 24, 750_000, 19  # of MIDI in a sixteenth; microseconds of a beat; program


def read(seed):
    """Training and held-out chorales: steps (T, N, 9), padded, and their mask (T, N).

    A step has four pitches (0 is a rest), for how long each has lasted, and its place in a bar of
    four beats. Chorales that are almost copies of held-out ones are left out of the training.
    """
    arrays = shared.load_arrays("bach_chorales_16th.npz")
    pitches = arrays["x"].astype(np.int32)
    pitches = np.where(pitches > 0, pitches - LOWEST, 0)
    all_of_them = np.split(pitches, np.cumsum(arrays["lengths"], dtype=int)[:-1])
    order = np.random.default_rng(seed).permutation(len(all_of_them))
    held_out, others = ([all_of_them[i] for i in x] for x in np.split(order, [HELD_OUT]))
    known = set().union(*map(passages, held_out))
    own = [passages(x) for x in others]
    train_set = [x for x, y in zip(others, own, strict=True) if len(y & known) <= COMMON * len(y)]
    return as_steps(train_set), as_steps(held_out)


def passages(chords):
    """The passages of PASSAGE beats in chords (T, 4), all transposed to begin alike."""
    beats = chords[::4]
    spans = [beats[i : i + PASSAGE] for i in range(len(beats) - PASSAGE + 1)]
    return {np.where(span > 0, span - span[0, 0], -99).tobytes() for span in spans}


def as_steps(chorales):
    """Steps (T, N, 9) of chorales (T, 4), and their mask (T, N)."""
    lengths = np.array([len(chords) for chords in chorales])
    chords = [np.pad(x, ((0, lengths.max() - len(x)), (0, 0))) for x in chorales]
    before = jnp.tile(jnp.array([-1] * 4 + [0] * 4 + [-1], jnp.int32), (len(chorales), 1))
    steps = jax.lax.scan(lambda *x: (follow(*x),) * 2, before, np.stack(chords, axis=1))[1]
    return np.asarray(steps), np.arange(lengths.max())[:, None] < lengths


def follow(step, chord):
    """The step (..., 9) after another one, given its chord (..., 4)."""
    lasted = jnp.where(chord == step[..., :4], jnp.minimum(step[..., 4:8] + 1, LONGEST - 1), 0)
    return jnp.concatenate([chord, lasted, (step[..., 8:] + 1) % BAR], axis=-1)


def transpose(steps, shift):
    """Steps (T, N, 9), higher by `shift` (N,) semitones; rests remain."""
    pitches = steps[..., :4]
    pitches = jnp.where(pitches > 0, pitches + shift[:, None], 0)
    return jnp.concatenate([pitches, steps[..., 4:]], axis=-1)


def nats_of_last_chord(train_set, held_out):
    """-log p (T - 1, N, 4) of held-out notes, from counts.

    A note sounds on with a probability for its voice and place in the bar; else it is followed by
    one of the others, as often as these are in the training chorales.
    """
    (steps, mask), voices = train_set, np.arange(4)
    old, new, place = steps[:-1, ..., :4], steps[1:, ..., :4], steps[1:, ..., 8]
    stays, pitches = np.zeros((BAR, 4)), np.ones((4, PITCHES))
    for i in range(BAR):
        stays[i] = (1 + (old == new)[mask[1:] & (place == i)].sum(0)) / (
            2 + (mask[1:] & (place == i)).sum()
        )
    np.add.at(pitches, (voices, new[mask[1:]]), 1)
    pitches /= pitches.sum(axis=1, keepdims=True)
    steps = held_out[0]
    old, new, stay = steps[:-1, ..., :4], steps[1:, ..., :4], stays[steps[1:, ..., 8]]
    moves = (1 - stay) * pitches[voices, new] / (1 - pitches[voices, old])
    return -np.log(np.where(old == new, stay, moves))


def midi(chords):
    """A MIDI file, as bytes, of MIDI pitches (T, 4), 0 = rest; a voice is a channel.

    Equal pitches in a row are one note, since the grid does not tell which of them are struck.
    """
    rest = np.zeros((1, 4), int)
    padded = np.concatenate([rest, chords, rest]).astype(int)
    body = b"\0\xff\x51\x03" + TEMPO.to_bytes(3, "big")
    body += b"".join(bytes([0, 0xC0 + voice, ORGAN]) for voice in range(4))
    last = 0
    for time, (old, new) in enumerate(itertools.pairwise(padded)):
        changed = np.flatnonzero(old != new)
        events = [bytes([0x80 + voice, old[voice], 0]) for voice in changed if old[voice]]
        events += [bytes([0x90 + voice, new[voice], 80]) for voice in changed if new[voice]]
        for event in events:
            body += variable_length((time - last) * TICKS) + event
            last = time
    body += variable_length((len(chords) - last) * TICKS) + b"\xff\x2f\0"
    header = b"".join(x.to_bytes(2, "big") for x in (0, 1, 4 * TICKS))  # format, tracks, beat
    return b"MThd" + (6).to_bytes(4, "big") + header + b"MTrk" + len(body).to_bytes(4, "big") + body


def variable_length(number):
    """A number as MIDI writes it: seven bits a byte, and 128 in all but the last."""
    digits = [number & 127]
    while number := number >> 7:
        digits.insert(0, number & 127 | 128)
    return bytes(digits)


def draw(chords, start, path):
    """The piano roll of MIDI pitches (T, 4), with a line at `start`."""
    figure = plots.piano_roll(chords, names=VOICES)
    (axes,) = figure.axes
    axes.axvline(start / 4, color=matplotlib.rcParams["text.color"], linewidth=1)
    axes.set_title("left: beginning of a held-out chorale, right: by the network", fontsize=10)
    shared.save_picture(figure, path)
