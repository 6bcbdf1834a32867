"""Each picture holds the numbers that it was given, under labels with units, in any style."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("matplotlib")

import matplotlib.style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

import jaxrnn
from jaxrnn import diagnostics, plots

T, B, H = 20, 3, 4
rng = np.random.default_rng(0)
powers = 0.5 ** np.arange(T)[::-1]  # a gradient that halves at each step back
norms = jnp.asarray(powers[:, None] * np.array([0.5, 1.0, 2.0]))
gradients = diagnostics.CarryGradients(norms[0, 0], None, jaxrnn.LSTMCarry(norms, 2 * norms))
stretches = diagnostics.SingularValues(jnp.asarray(rng.uniform(0.1, 2, (T, H))), norms[0])
rates = diagnostics.LyapunovExponents(jnp.array([0.1, -0.2, -jnp.inf]), jnp.array([0.01, 0.02, 0]))
states = jax.random.normal(jax.random.key(0), (T, B, H))
components = diagnostics.principal_components(states, num=2)
points = diagnostics.FixedPoints(
    jaxrnn.HiddenCarry(states[:3, 0]),
    np.array([0.0, 0.0, 1e-3]),
    np.array([True, True, False]),
    rng.normal(size=(3, H)) + 1j,
    np.array([True, False, False]),
    np.array([5, 2, 1]),
)
share = jnp.asarray(rng.uniform(0, 0.5, H))
gates = {"sigmoid[0]": diagnostics.Saturation(share, share / 2)}
table = rng.normal(size=(T, H))
weights = np.asarray(jax.nn.softmax(jnp.asarray(table)))
chords = np.array([[60, 48], [60, 0], [60, 50], [62, 50]])
classes = np.array([0, 1, 1, 2, 0])
films = rng.uniform(size=(2, 3, 6, 5))
padded = np.where(np.arange(T)[:, None] < 15, table, np.nan)
letters = list("a text\nof letters")

CALLS = {
    "gradient_norms": lambda ax: plots.gradient_norms(gradients, ax=ax),
    "singular_values": lambda ax: plots.singular_values(stretches, ax=ax),
    "lyapunov_exponents": lambda ax: plots.lyapunov_exponents({"calm": rates}, ax=ax),
    "trajectories": lambda ax: plots.trajectories(components, fixed_points=points, ax=ax),
    "eigenvalues": lambda ax: plots.eigenvalues(points, ax=ax),
    "gate_saturation": lambda ax: plots.gate_saturation(gates, ax=ax),
    "attributions": lambda ax: plots.attributions(table, ax=ax),
    "attention_map": lambda ax: plots.attention_map(weights, sources="read", ax=ax),
    "colored_text": lambda ax: plots.colored_text(letters, np.arange(len(letters)), ax=ax),
    "confusion": lambda ax: plots.confusion(classes, classes[::-1], names="abc", ax=ax),
    "images": lambda ax: plots.images(films, rows="rw", titles=["abc", "def"], ax=ax),
    "piano_roll": lambda ax: plots.piano_roll(chords, names=["high", "low"], ax=ax),
    "sequence": lambda ax: plots.sequence(padded, features=range(H), ax=ax),
    "learning_curves": lambda ax: plots.learning_curves(powers, ylabel="nats", log=True, ax=ax),
    "forecast": lambda ax: plots.forecast(powers, [1, 2], ylabel="K", ax=ax),
}


def drawn(figure):
    """The lines of a picture (x, y), by their labels."""
    return {line.get_label(): line.get_xydata().T for line in figure.axes[0].get_lines()}


def test_there_is_a_call_of_every_picture():
    assert set(CALLS) == set(plots.__all__)


@pytest.mark.parametrize("name", CALLS)
def test_a_picture_goes_onto_the_axes_given(name):
    """Which may be one of several, with the labels of both axes but where there are none."""
    first, second = Figure().subplots(2)
    assert CALLS[name](second) is second.figure
    assert second.has_data()
    assert not first.has_data()
    if second.axison and name != "images":
        assert second.get_xlabel()
        assert second.get_ylabel()


@pytest.mark.parametrize("name", CALLS)
def test_ax_is_checked(name):
    with pytest.raises(TypeError, match=r"^`ax` must be a matplotlib Axes"):
        CALLS[name](3)


@pytest.mark.thorough
@pytest.mark.parametrize("style", ["default", "dark_background", "grayscale"])
@pytest.mark.parametrize("name", CALLS)
def test_a_picture_is_drawn_in_every_style(name, style, tmp_path):
    with matplotlib.style.context(style):
        CALLS[name](None).savefig(tmp_path / "picture.png", dpi=40)


def texts_of(figure, monkeypatch):
    """The boxes in points of all texts that are drawn, which is not every one that there is."""
    found, draw = {}, Text.draw

    def recorded(text, renderer, *args, **kwargs):
        if text.get_text().strip():
            box = text.get_window_extent(renderer)
            found[text] = np.array([[box.x0, box.y0], [box.x1, box.y1]])
        draw(text, renderer, *args, **kwargs)

    monkeypatch.setattr(Text, "draw", recorded)
    figure.set_dpi(72)
    FigureCanvasAgg(figure).draw()
    monkeypatch.undo()
    return found


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("name", CALLS)
def test_no_text_is_cut_off_or_on_another(name, width, monkeypatch):
    figure = Figure((width, 0.7 * width), layout="constrained")
    CALLS[name](figure.subplots())
    texts = texts_of(figure, monkeypatch)
    boxes = np.array(list(texts.values()))
    labels = [text.get_text() for text in texts]
    assert (boxes[:, 0] >= -1).all(), labels
    assert (boxes[:, 1] <= figure.bbox.max + 1).all(), labels
    low = np.maximum(boxes[:, None, 0], boxes[None, :, 0])
    high = np.minimum(boxes[:, None, 1], boxes[None, :, 1])
    on = (high - low > 1).all(axis=-1) & ~np.eye(len(boxes), dtype=bool)
    assert not on.any(), [(labels[i], labels[j]) for i, j in np.argwhere(on)]


@pytest.mark.parametrize("name", ["gradient_norms", "attributions", "learning_curves", "forecast"])
def test_steps_are_whole(name, monkeypatch):
    figure = Figure((8, 4), layout="constrained")
    ax = figure.subplots()
    CALLS[name](ax)
    assert all(place == round(place) for place in ax.get_xticks())


def test_gradient_norms_are_means_of_logarithms_on_a_logarithmic_axis():
    figure = plots.gradient_norms(gradients)
    assert figure.axes[0].get_yscale() == "log"
    lines = drawn(figure)
    np.testing.assert_allclose(lines["h"], [np.arange(T), powers])  # the mean of 0.5, 1 and 2
    np.testing.assert_allclose(lines["c"][1], 2 * powers)


def test_norms_of_several_networks_and_zeros():
    zero = gradients._replace(norms=jaxrnn.HiddenCarry(norms.at[:5].set(0)))
    lines = drawn(plots.gradient_norms({"a": gradients, "b": zero}))
    assert set(lines) == {"a, h", "a, c", "b"}
    assert np.isnan(lines["b"][1, :5]).all()
    with pytest.raises(ValueError, match="does not depend on the carry"):
        plots.gradient_norms(gradients._replace(norms=jaxrnn.HiddenCarry(0 * norms)))


def test_singular_values_are_those_at_the_ends_and_in_the_middle():
    lines = drawn(plots.singular_values(stretches))
    np.testing.assert_allclose(lines["largest"][1], stretches.steps.max(axis=1))
    np.testing.assert_allclose(lines["smallest"][1], stretches.steps.min(axis=1))


def test_exponents_have_their_errors():
    (bars,) = plots.lyapunov_exponents(rates).axes[0].containers
    (stems,) = bars.lines[2]
    ends = np.array(stems.get_segments()[:2])[:, :, 1]
    np.testing.assert_allclose(ends, [[0.09, 0.11], [-0.22, -0.18]])


def test_fixed_points_are_where_their_states_are():
    """In the plane of the states, by kind."""
    figure = plots.trajectories(components, fixed_points=points)
    found = {c.get_label(): c.get_offsets()[0] for c in figure.axes[0].collections}
    for i, kind in enumerate(["stable", "unstable", "slow"]):
        np.testing.assert_allclose(found[kind], components.projections[i, 0], atol=1e-6)
    assert figure.axes[0].get_aspect() == 1


def test_colors_of_signed_values_reach_as_far_on_both_sides():
    image = plots.attributions(table).axes[0].get_images()[0]
    np.testing.assert_allclose(image.get_clim(), [-np.abs(table).max(), np.abs(table).max()])
    np.testing.assert_array_equal(image.get_array(), table.T)
    assert plots.attributions(np.abs(table)).axes[0].get_images()[0].get_clim()[0] == 0


def test_letters_are_on_the_colors_of_their_values():
    values = np.linspace(-1, 1, len(letters))
    ax = plots.colored_text(letters, values, limits=(-1, 1)).axes[0]
    colors = [patch.get_facecolor()[0] for patch in ax.collections]
    scale = matplotlib.colormaps["cividis"]
    np.testing.assert_allclose(colors, scale((values + 1) / 2))
    assert "".join(text.get_text() for text in ax.texts) == "a text⏎of letters"
    lines = {text.get_text(): text.get_position()[1] for text in ax.texts}
    assert lines["a"] == 0.5
    assert lines["f"] == 1.5


def test_counts_are_those_of_pairs():
    ax = plots.confusion(classes, [0, 1, 2, 2, 1], names="abc").axes[0]
    expected = [[1, 1, 0], [0, 1, 1], [0, 0, 1]]
    np.testing.assert_array_equal(ax.get_images()[0].get_array(), expected)
    assert {t.get_position() for t in ax.texts} == {(0, 0), (1, 0), (1, 1), (2, 1), (2, 2)}


def test_notes_last_as_long_as_their_pitch():
    ax = plots.piano_roll(chords, names=["high", "low"], steps_per_beat=1).axes[0]
    high, low = (
        [line[[0, 1], [0, 1]].tolist() for line in x.get_segments()] for x in ax.collections
    )
    assert [[round(x), y] for x, y in high] == [[0, 60], [3, 62]]
    assert [[round(x), y] for x, y in low] == [[0, 48], [2, 50]]


def test_pictures_lie_in_their_rows_and_columns():
    ax = plots.images(films, rows="rw", titles=["abc", "def"]).axes[0]
    sheet = np.ma.filled(ax.get_images()[0].get_array(), np.nan)
    titles = {text.get_text(): text.get_position() for text in ax.texts}
    for i, row in enumerate(["abc", "def"]):
        for j, name in enumerate(row):
            x, y = titles[name]
            left, top = round(x - 2), int(np.ceil(y))
            top += int(np.isnan(sheet[top : top + 6, left]).argmin())
            np.testing.assert_array_equal(sheet[top : top + 6, left : left + 5], films[i, j])


def test_a_sequence_has_its_first_feature_at_the_bottom():
    ax = plots.sequence(padded).axes[0]
    np.testing.assert_array_equal(np.ma.filled(ax.get_images()[0].get_array(), np.nan), padded.T)
    assert ax.get_ylim()[0] < ax.get_ylim()[1]
    assert ax.patch.get_hatch()


def test_curves_have_their_places():
    curves = {"train": powers, "held out": (np.array([5, 10]), powers[:2])}
    figure = plots.learning_curves(curves, ylabel="nats", baselines={"chance": 2.0})
    lines = drawn(figure)
    np.testing.assert_array_equal(lines["train"][0], np.arange(1, T + 1))
    np.testing.assert_array_equal(lines["held out"][0], [5, 10])
    assert figure.axes[0].texts[0].get_text() == "chance"


def test_a_forecast_starts_after_the_history():
    band = {"low": [0, 1], "high": [2, 3], "level": 0.8}
    figure = plots.forecast(powers, [1, 2], **band, truth=[1, 1])
    lines = drawn(figure)
    assert lines["known"][0, -1] == -1
    np.testing.assert_array_equal(lines["forecast"], [[0, 1], [1, 2]])
    assert figure.axes[0].collections[0].get_label() == "80% interval"


WRONG = [
    (lambda: plots.piano_roll(chords, names=["a"]), ValueError, "`names` must have 2 labels"),
    (lambda: plots.confusion([0, 3], [0, 1], names="ab"), ValueError, "`labels` must be"),
    (lambda: plots.confusion([0, 1], [0], names="ab"), ValueError, "`predictions` must be"),
    (lambda: plots.images(table), ValueError, "`values` must have 4 axes"),
    (lambda: plots.images(films, titles=["abc"]), ValueError, "`titles` must have 2 lists"),
    (lambda: plots.images(films, rows="a"), ValueError, "`rows` must have 2 labels"),
    (lambda: plots.sequence(table, limits=(1, 0)), ValueError, "`limits` must be"),
    (lambda: plots.gradient_norms(norms), TypeError, "`gradients` must be `jaxrnn.diagnostics"),
    (lambda: plots.gradient_norms({}), ValueError, "`gradients` is an empty dict"),
    (lambda: plots.gradient_norms({1: gradients}), TypeError, "`gradients` must have names"),
    (lambda: plots.singular_values(3), TypeError, "`values` must be"),
    (lambda: plots.trajectories(components, fixed_points=rates), TypeError, "`fixed_points`"),
    (
        lambda: plots.trajectories(diagnostics.principal_components(states, num=1)),
        ValueError,
        "pass `num=2`",
    ),
    (
        lambda: plots.trajectories(components, fixed_points=points._replace(carries=None)),
        ValueError,
        "`fixed_points` must have carries with a leaf `h`",
    ),
    (
        lambda: plots.eigenvalues(points._replace(eigenvalues=np.zeros((0, 2)))),
        ValueError,
        "has no point",
    ),
    (lambda: plots.gate_saturation(share), TypeError, "`gates` must be the dict"),
    (lambda: plots.gate_saturation(gates, names={"f": "f"}), ValueError, "`names` has 'f'"),
    (lambda: plots.attributions(table[None]), ValueError, "`values` must have 1 or 2 axes"),
    (lambda: plots.attributions(table + 1j), TypeError, "`values` must be real"),
    (lambda: jax.jit(plots.attributions)(table), TypeError, "`values` is traced"),
    (lambda: plots.attributions(table, steps=["a"]), ValueError, "`steps` must have 20 labels"),
    (lambda: plots.attention_map(table), ValueError, r"`weights` must be within \[0, 1\]"),
    (lambda: plots.colored_text(["a"], table[:2, 0]), ValueError, "one value for each of 1"),
    (
        lambda: plots.colored_text(["a"], [0.5], limits=(1, 0)),
        ValueError,
        "`limits` must be",
    ),
    (
        lambda: plots.learning_curves((powers, powers[:2]), ylabel="nats"),
        ValueError,
        "20 places for 2 values",
    ),
    (lambda: plots.forecast(powers, [1], low=[0]), ValueError, "`high` is missing"),
    (
        lambda: plots.forecast(powers, [1], low=[0], high=[1], level=80),
        ValueError,
        r"`level` must be in \(0, 1\]",
    ),
    (lambda: plots.forecast(powers, [1], truth=[1, 2]), ValueError, "like `center`"),
]


@pytest.mark.parametrize(("call", "error", "message"), WRONG)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()
