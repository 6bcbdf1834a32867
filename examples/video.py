"""Foresees a film of two digits that move and bounce: the next frame, and then frame after frame.

    python examples/video.py            # four minutes on two cores
    python examples/video.py --quick    # a few steps, to see that it runs

Two layers of convolutional LSTMs read the frames and predict the next one: their squared error is
0.026, and copying the last frame makes one of 0.043. The predictions are blurred, so they fade when
the network reads its own ones: after eight such frames little is left of the film.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import shared

import jaxrnn
from jaxrnn import decode, losses, plots

OPTIONS = {
    "steps": (350, "training steps, each on new films"),
    "batch": (16, "films in a minibatch"),
    "channels": (16, "channels of a layer"),
    "rate": (1e-2, "peak learning rate"),
    "films": (100, "held-out films"),
    "seed": (0, "random seed of the split, the weights and the films"),
}
QUICK = {"steps": 4, "batch": 2, "channels": 2, "films": 4}
DIGIT, FIELD, PATCH = 14, 28, 2  # pixels of a side; a patch is a pixel with 4 channels
FRAMES, FASTEST = 16, 2  # of a film; pixels a frame
SEEN = 8  # frames that are read before the network goes on alone
HELD_OUT = 1000  # digits that are in no film of the training


def main(arguments=None):
    """Trains, prints its error next to the error of copying, and draws a film."""
    options, began = shared.options(__doc__, OPTIONS, QUICK, arguments), time.perf_counter()
    digits = read_digits(options.seed)
    model = jaxrnn.stack(
        jaxrnn.rnn(jaxrnn.conv_lstm(options.channels, (3, 3))),
        jaxrnn.rnn(jaxrnn.conv_lstm(options.channels, (3, 3))),
        jaxrnn.dense(PATCH**2),
    )
    params = train(model, digits[HELD_OUT:], options)
    films = make_films(jax.random.key(options.seed + 1), digits[:HELD_OUT], options.films)
    frames, predicted, alone = map(as_frames, (films, *predict(model, params, films)))
    errors = [np.mean((x - frames[SEEN:]) ** 2) for x in (predicted, frames[SEEN - 1 : -1], alone)]
    draw(frames[:, 0], predicted[:, 0], alone[:, 0], options.out / "video.png")
    print(
        f"held-out squared error of the next frame {errors[0]:.4f} (copying the last frame: "
        f"{errors[1]:.4f}; alone for {FRAMES - SEEN} frames: {errors[2]:.4f}), "
        f"{time.perf_counter() - began:.0f} s"
    )


def read_digits(seed):
    """Digits (N, 14, 14) from 0 to 1, in random order."""
    pictures = shared.load_digits()[0] / np.float32(15)
    return jnp.asarray(np.random.default_rng(seed).permutation(pictures))


def make_films(key, digits, count):
    """Films of two digits each, as patches (T, B, 14, 14, 4)."""
    which, where, how_fast = jax.random.split(key, 3)
    chosen = digits[jax.random.randint(which, (count, 2), 0, len(digits))]
    room = FIELD - DIGIT
    starts = jax.random.randint(where, (count, 2, 2), 0, 2 * room)
    speeds = jax.random.randint(how_fast, (count, 2, 2), -FASTEST, FASTEST + 1)
    times = jnp.arange(FRAMES)[:, None, None, None]
    corners = room - jnp.abs(room - (starts + speeds * times) % (2 * room))  # reflected at 0 and 14

    def place(digit, corner):
        return jax.lax.dynamic_update_slice(jnp.zeros((FIELD, FIELD), digit.dtype), digit, corner)

    frames = jax.vmap(jax.vmap(jax.vmap(place)), (None, 0))(chosen, corners).max(axis=2)
    side = FIELD // PATCH
    patches = frames.reshape(FRAMES, count, side, PATCH, side, PATCH).swapaxes(3, 4)
    return patches.reshape(FRAMES, count, side, side, PATCH**2)


def as_frames(patches):
    """Frames (T, B, 28, 28) of patches (T, B, 14, 14, 4)."""
    side = FIELD // PATCH
    parts = patches.reshape(*patches.shape[:2], side, side, PATCH, PATCH).swapaxes(3, 4)
    return parts.reshape(*patches.shape[:2], FIELD, FIELD)


def train(model, digits, options):
    """The parameters after `options.steps` minibatches of new films."""
    rate = optax.cosine_onecycle_schedule(options.steps, options.rate, pct_start=0.1)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

    @jax.jit
    def train_step(state, key):
        films = make_films(key, digits, options.batch)

        def loss(params):
            _, logits = model.apply(params, None, films[:-1])
            return losses.binary_cross_entropy(logits, films[1:])

        cost, grads = jax.value_and_grad(loss)(state[0])
        updates, opt_state = optimizer.update(grads, state[1])
        return (optax.apply_updates(state[0], updates), opt_state), cost

    key = jax.random.key(options.seed)
    params = jax.jit(model.init)(key, make_films(key, digits, 1))
    state, scores = (params, optimizer.init(params)), {}
    for step in shared.until_interrupted(range(options.steps), scores):
        state, cost = train_step(state, jax.random.fold_in(key, step))
        scores["loss"] = float(cost)  # waits, so that Ctrl-C is heard after each step
    return state[0]


def predict(model, params, films):
    """The frames after the first SEEN: each from all before it, and all of them from the first."""
    _, logits = jax.jit(model.apply)(params, None, films[:-1])
    given = {"sample": lambda key, logits: jax.nn.sigmoid(logits), "num_feature_axes": 3}
    path = decode.sample_path(model, params, films[:SEEN], None, FRAMES - SEEN, **given)
    return jax.nn.sigmoid(logits[SEEN - 1 :]), path.xs


def draw(frames, predicted, alone, path):
    """Draws every frame of a film, and below them the two kinds of predictions."""
    rows = {
        "read": frames[:SEEN],
        "what followed": frames[SEEN:],
        "next frame": predicted,
        "alone": alone,
    }
    numbers = [range(SEEN), *[range(SEEN, FRAMES)] * 3]
    figure = plots.images(
        np.stack(list(rows.values())), rows=list(rows), titles=numbers, limits=(0, 1)
    )
    shared.save_picture(figure, path)


if __name__ == "__main__":
    main()
