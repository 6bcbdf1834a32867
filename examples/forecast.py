"""Forecasts CO2 of the air, sunspots and the weather of Seattle, with bands.

    python examples/forecast.py           # 45 seconds on two cores
    python examples/forecast.py --quick   # seconds

An autoregression (AR) is fitted by least squares, and a GRU learns what it leaves. Both fit the
first 64 % of a series, the next 16 % choose their size and the width of their bands, and the rest
is held out. The quantile loss of the GRU is 0 to 6 % lower; on sunspots it depends on the seed.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import shared
from matplotlib.figure import Figure

import jaxrnn
from jaxrnn import decode, losses, plots, training

OPTIONS = {"steps": (400, "optimizer steps at most; the best number is chosen")}
QUICK = {"steps": 10}
NAMES = "CO2 at Mauna Loa", "Sunspots", "Seattle, daily maximum"
UNITS, TIME_UNITS, LENGTHS = ("ppm", "√number", "°C"), ("weeks", "years", "days"), (52, 11, 14)
RECENT, HIDDEN, DROPOUT, RATE = 3, 16, 0.4, 3e-3  # values that the GRU sees at a time; features
ORDERS = 1, 2, 3, 4, 6, 8, 10, 12, 15, 18, 24, 30, 52, 60  # of the autoregression, in steps
WARM, ORIGINS, PATHS = 30, 40, 100  # steps before a long forecast; forecasts; paths of each
LEVELS = [level / 10 for level in range(1, 10)]  # quantiles; the outer ones bound 80 %
NORMAL = jax.scipy.special.ndtri(np.array(LEVELS))

network = jaxrnn.stack(jaxrnn.rnn(jaxrnn.gru(HIDDEN)), jaxrnn.dropout(DROPOUT), jaxrnn.dense(2))
optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(RATE))


def load():
    """Three series (N,), NaN where nothing was measured; sunspots are roots of their number."""
    arrays = shared.load_arrays("series.npz")
    tenths = 10 * arrays["co2_weekly"].astype(float)  # what has more digits was interpolated
    co2 = np.where(abs(tenths - tenths.round()) < 0.1, tenths / 10, np.nan)
    return co2, np.sqrt(arrays["sunspots_yearly"]), arrays["seattle_weather"][:, 1]


def autoregress(z, order, rows):
    """Windows (N - p, p), the p + 1 weights that least squares gives `rows`, errors (N - p,)."""
    xs, ys = np.lib.stride_tricks.sliding_window_view(z[:-1], order), z[order:]
    inputs = np.pad(xs, ((0, 0), (0, 1)), constant_values=1)
    weights = np.linalg.lstsq(inputs[rows[order:]], ys[rows[order:]], rcond=None)[0]
    return xs, weights, ys - inputs @ weights


def forecast(params, carry, xs, **options):
    """Windows (T, ..., p) to (T, ..., p + 2): the windows, the means and the log scales."""
    linear, scale = jax.lax.stop_gradient((params["linear"], params["scale"]))
    seen = (xs[..., -RECENT:] - xs.mean(axis=-1, keepdims=True)) / scale
    carry, ys = network.apply(params["network"], carry, seen, **options)
    mean = xs @ linear[:-1] + linear[-1] + 0.3 * scale * ys[..., 0]
    outputs = mean, jnp.log(scale) + 0.3 * ys[..., 1]
    return carry, jnp.concatenate([xs, jnp.stack(outputs, axis=-1)], axis=-1)


@jax.jit
def loss(params, xs, ys, mask, key=None):
    """Negative log-likelihood of the values ys (T,) after windows xs (T, p)."""
    return losses.gaussian_loss(*forecast(params, None, xs, key=key)[1][:, -2:].T, ys, mask)


@jax.jit
def train_step(params, state, key, *data):
    """One optimizer step."""
    updates, state = optimizer.update(jax.grad(loss)(params, *data, key), state)
    return optax.apply_updates(params, updates), state


def fit(z, order, rows, check, steps):
    """The parameters that forecast `check` best after at most `steps`; 0 is the AR alone."""
    xs, linear, errors = autoregress(z, order, rows)
    params = {"linear": linear, "scale": errors[rows[order:]].std()}
    first = network.init(jax.random.key(0), xs[:, -RECENT:])
    params["network"] = jax.tree.map(lambda leaf: leaf * (steps > 0), first)
    state, stopping = optimizer.init(params), training.early_stopping(steps + 1)
    best = stopping.init(params)
    for key in jax.random.split(jax.random.key(1), steps):
        params, state = train_step(params, state, key, xs, z[order:], rows[order:])
        best = stopping.update(best, loss(params, xs, z[order:], check[order:]), params)
    mean, log_scale = np.asarray(forecast(best.params, None, xs)[1][:, -2:]).T
    width = np.quantile((abs(z[order:] - mean) / np.exp(log_scale))[check[order:]], 0.8)
    return best.params | {"scale": best.params["scale"] * np.float32(width / NORMAL[-1])}


def bands(params, z, order, starts, length):
    """Nine quantiles: of each next value (N - p, 9), and of those from each start on (L, S, 9)."""

    def draw(key, y):  # the next window
        return jnp.append(y[1:-2], y[-2] + jnp.exp(y[-1]) * jax.random.normal(key))

    xs = np.lib.stride_tricks.sliding_window_view(z[:-1], order)
    mean, log_scale = np.asarray(forecast(params, None, xs)[1][:, -2:]).T[..., None]
    prompt = np.moveaxis([[xs[: i - order + 1][-WARM:]] * PATHS for i in starts], 2, 0)
    layer = network._replace(apply=forecast)
    path = decode.sample_path(layer, params, prompt, jax.random.key(2), length, sample=draw)
    long = np.quantile(path.xs[..., -1], LEVELS, axis=-1)
    return mean + np.exp(log_scale) * NORMAL, np.moveaxis(long, 0, -1)


def score(bands, values, of_what):
    """The quantile loss of bands (N, 9) of values (N,), and how many are within 80 %, in words."""
    loss = losses.quantile_loss(jnp.asarray(bands), jnp.asarray(values), quantile=LEVELS)
    inside = (bands[:, 0] < values) & (values < bands[:, -1])
    return f"{loss:.4f} {of_what}, {inside.mean():.0%} in the band"


def study(axes, which, x, most):
    """Forecasts x (N,), prints the scores, and draws the last long forecast."""
    name, unit, time_unit, length = (of[which] for of in (NAMES, UNITS, TIME_UNITS, LENGTHS))
    real, share = np.isfinite(x), np.arange(len(x)) / len(x)
    x = np.interp(share, share[real], x[real])  # lines fill gaps; only what is real is scored
    rows, held_out = real & (share < 0.64), real & (share >= 0.8)
    mean, std, check = x[rows].mean(), x[rows].std(), real & ~rows & ~held_out
    z = ((x - mean) / std).astype(np.float32)
    order = min(ORDERS, key=lambda p: autoregress(z, p, rows)[2][check[p:]].std())
    starts = np.linspace(0.8 * len(x) + 1, len(x) - length, ORIGINS).astype(int)
    after = starts + np.arange(length)[:, None]
    for ax, (number, model) in zip(axes, ((0, f"AR({order})"), (most, "GRU")), strict=True):
        found = bands(fit(z, order, rows, check, number), z, order, starts, length)
        one, many = (mean + std * y for y in found)
        short = score(one[held_out[order:]], x[held_out], unit)
        long = score(many[real[after]], x[after][real[after]], f"{unit} in {length} {time_unit}")
        print(f"held-out loss, {name}, {model}: {short}; {long}; {time.process_time():.0f} CPU s")
        low, center, high = many[:, -1, [0, 4, 8]].T
        band = {"low": low, "high": high, "level": 0.8, "truth": x[-length:]}
        labels = {"xlabel": f"{time_unit} from the first unread", "ylabel": f"{name} ({unit})"}
        plots.forecast(x[-2 * length : -length], center, **band, **labels, ax=ax)
        ax.set_title(model)
        ax.get_legend().remove()  # one is enough


def main(arguments=None):
    """Forecasts each series, and draws the end of it."""
    options = shared.options(__doc__, OPTIONS, QUICK, arguments)
    panels = (figure := Figure((8, 8), layout="constrained")).subplots(len(NAMES), 2, sharey="row")
    for which, x in shared.until_interrupted(list(enumerate(load()))):
        study(panels[which], which, x.astype(float), options.steps)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    shared.save_picture(figure, options.out / "forecast.png")


if __name__ == "__main__":
    main()
