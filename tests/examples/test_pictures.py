"""What the examples on pictures read: pixels in their order, and films in which digits bounce."""

import jax
import numpy as np
import pytest

draw = pytest.importorskip("draw", reason="matplotlib or optax is not installed")
image_rows = pytest.importorskip("image_rows", reason="matplotlib or optax is not installed")
long_digits = pytest.importorskip("long_digits", reason="matplotlib or optax is not installed")
video = pytest.importorskip("video", reason="matplotlib or optax is not installed")


def test_pixels_come_row_by_row():
    pictures = np.random.default_rng(0).uniform(size=(3, 14, 14))
    by_pixels = image_rows.as_sequences(pictures, "pixels")
    by_rows = image_rows.as_sequences(pictures, "rows")
    for step in (0, 13, 14, 195):
        np.testing.assert_array_equal(by_pixels[step, :, 0], pictures[:, step // 14, step % 14])
    np.testing.assert_array_equal(by_rows[5], pictures[:, 5])


def test_pixels_are_scaled_up_for_long_sequences():
    pictures = np.random.default_rng(0).uniform(size=(3, 14, 14)).astype(np.float32)
    by_pixels = image_rows.as_sequences(pictures, "pixels")
    np.testing.assert_allclose(long_digits.as_sequences(pictures, 196), by_pixels, atol=1e-6)
    large = np.asarray(long_digits.as_sequences(pictures, 1024))
    assert large.shape == (1024, 3, 1)
    np.testing.assert_allclose(large.mean(axis=(0, 2)), pictures.mean(axis=(1, 2)), atol=0.02)


def test_held_out_digits_are_a_tenth_of_each_class_and_of_no_other_part():
    (train, classes), (held_out, held_out_classes) = image_rows.read_digits(0)
    assert np.bincount(classes).tolist() == [400] * 10
    assert np.bincount(held_out_classes).tolist() == [100] * 10
    together = np.concatenate([train, held_out]).reshape(5000, -1)
    stored = image_rows.shared.load_arrays("mnist5k_14x14_4bit.npz")["x"]
    assert len(np.unique(together, axis=0)) == len(np.unique(stored, axis=0))


def test_a_digit_to_draw_begins_with_its_class():
    digits, held_out = draw.read_digits(0)
    assert digits.shape == (197, 4000)
    assert held_out.shape == (197, 1000)
    assert (held_out[0].reshape(10, 100) == 4 + np.arange(10)[:, None]).all()
    assert set(np.unique(digits[1:])) == {0, 1, 2, 3}


def test_pixels_by_themselves_cost_their_entropy():
    """Pixels of four shades that are all as likely cost two bits, and constant ones almost none."""
    symbols = np.zeros((197, 4000), np.int32)
    assert draw.pixel_bits(symbols, symbols) < 0.02
    symbols[1:] = np.arange(4000) % 4
    assert draw.pixel_bits(symbols, symbols) == pytest.approx(2)


def test_digits_move_by_their_speed_and_stay_in_the_field():
    side, fastest = video.DIGIT, video.FASTEST
    films = video.make_films(jax.random.key(0), np.ones((1, side, side), np.float32), 20)
    frames = np.asarray(video.as_frames(films))
    assert set(np.unique(frames)) == {0, 1}
    areas = frames.sum(axis=(2, 3))
    assert (areas >= side**2).all()  # a digit that left the field would lose pixels
    assert (areas <= 2 * side**2).all()
    runs = (np.diff(frames, axis=3, prepend=0) > 0).sum(axis=3)
    assert runs.max() <= 2  # each row has one piece of each digit, so no pixel is out of place
    changed = (frames[1:] != frames[:-1]).sum(axis=(2, 3))
    assert (changed <= 2 * 2 * (side**2 - (side - fastest) ** 2)).all()
    assert (changed > 0).mean() > 0.9


def test_patches_hold_all_pixels():
    digits = np.random.default_rng(0).uniform(0.1, 1, (1, 14, 14)).astype(np.float32)
    films = video.make_films(jax.random.key(1), digits, 2)
    frames = np.asarray(video.as_frames(films))
    for frame in frames[:, 0]:
        assert np.isin(digits[0, 7], frame).sum() >= 7  # a row of one digit may be hidden in part
    np.testing.assert_array_equal(films[0, 0, 3, 5], frames[0, 0, 6:8, 10:12].ravel())
