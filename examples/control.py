"""Balances a pole on a cart without seeing velocities: a recurrent policy against a memoryless one.

    python examples/control.py           # 20 seconds on two cores
    python examples/control.py --quick   # seconds

Only the place of the cart and the angle of the pole are seen. A GRU learns by policy gradients and
balances new poles for 497 of 500 steps; the same network, reset before each step, for 50.
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import shared
from matplotlib.figure import Figure

import jaxrnn
from jaxrnn import plots

OPTIONS = {"updates": (300, "rollouts to learn from, for each of the two policies")}
QUICK = {"updates": 2}
AGENTS, STEPS, EPOCHS, LIMIT = 32, 128, 4, 500  # carts; rollout; passes; longest episode
HIDDEN, RATE, CLIP, DISCOUNT, TRACE = 32, 3e-3, 0.2, 0.99, 0.95  # features; Adam; PPO; GAE
VALUE, ENTROPY = 0.5, 0.01  # weights of the value errors and the entropy in the loss
FORCE, TICK, GRAVITY, CART, POLE, HALF = 10.0, 0.02, 9.8, 1.0, 0.1, 0.5  # N, s, m/s², kg, kg, m
FAR, STEEP, REST = 2.4, 0.21, 0.05  # an episode ends at this place, m, or angle; first states

POLICY = jaxrnn.stack(jaxrnn.rnn(jaxrnn.gru(HIDDEN)), jaxrnn.dense(3))  # two logits and a value
DECAY = optax.linear_schedule(RATE, 0.0, EPOCHS * OPTIONS["updates"][0])
OPTIMIZER = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(DECAY))


def move(state, action):
    """The state (B, 4) a tick after a push (B,), 0 or 1 (Barto, Sutton and Anderson, 1983)."""
    _, speed, angle, turn = state.T
    push = jnp.where(action == 1, FORCE, -FORCE) + POLE * HALF * turn**2 * jnp.sin(angle)
    inertia = HALF * (4 / 3 - POLE * jnp.cos(angle) ** 2 / (CART + POLE))
    bend = (GRAVITY * jnp.sin(angle) - jnp.cos(angle) * push / (CART + POLE)) / inertia
    gain = (push - POLE * HALF * bend * jnp.cos(angle)) / (CART + POLE)
    return state + TICK * jnp.stack([speed, gain, turn, bend], axis=-1)


def policy(params, carry, states, first):
    """The carry, log-probabilities and values for states (T, B, 4); it sees two of the four."""
    seen = states[..., ::2] / jnp.array([FAR, STEEP])
    carry, ys = POLICY.apply(params, carry, seen, resets=first)
    return carry, jax.nn.log_softmax(ys[..., :2]), ys[..., 2]


def act(params, agents, key, forgets):
    """One step of all agents. A policy that `forgets` is reset before each step."""
    (states, carry, first, age), keys = agents, jax.random.split(key)
    carry, log_probs, value = policy(params, carry, states[None], first[None])
    action = jax.random.categorical(keys[0], log_probs[0])
    after, age = move(states, action), age + 1
    done = (abs(after[:, 0]) > FAR) | (abs(after[:, 2]) > STEEP) | (age == LIMIT)
    step = (states, first, action, log_probs[0], value[0], done)
    new = jax.random.uniform(keys[1], after.shape, jnp.float32, -REST, REST)
    after = jnp.where(done[:, None], new, after)
    return (after, carry, done | forgets, jnp.where(done, 0, age)), step


def rollout(params, agents, key, forgets, length):
    """The agents after `length` steps, and these steps."""
    keys = jax.random.split(key, length)
    return jax.lax.scan(lambda agents, key: act(params, agents, key, forgets), agents, keys)


def advantages(values, done, last):
    """Generalized advantage estimation (Schulman et al., 2016), (T, B); values are at most 1."""

    def body(carry, step):
        (advantage, following), (value, done) = carry, step
        advantage = 1 - DISCOUNT - value + DISCOUNT * ~done * (following + TRACE * advantage)
        return (advantage, value), advantage

    return jax.lax.scan(body, (jnp.zeros_like(last), last), (values, done), reverse=True)[1]


def cost(params, carry, steps, gains, targets):
    """The clipped PPO loss (Schulman et al., 2017) of a rollout, replayed as one sequence."""
    states, first, action, old, _, _ = steps
    _, log_probs, values = policy(params, carry, states, first)
    ratio = jnp.take_along_axis(jnp.exp(log_probs - old), action[..., None], axis=-1)[..., 0]
    gain = jnp.minimum(ratio * gains, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * gains)
    entropy = -jnp.sum(jnp.exp(log_probs) * log_probs, axis=-1)
    return jnp.mean(VALUE * (values - targets) ** 2 - gain - ENTROPY * entropy)


@jax.jit
def update(params, state, agents, key, forgets):
    """A rollout and EPOCHS optimizer steps; also the mean steps per episode."""
    after, steps = rollout(params, agents, key, forgets, STEPS)
    last = policy(params, after[1], after[0][None], after[2][None])[2][0]
    gains = advantages(steps[4], steps[5], last)
    targets, gains = gains + steps[4], (gains - gains.mean()) / gains.std()

    def epoch(_, learned):
        grads = jax.grad(cost)(learned[0], agents[1], steps, gains, targets)
        updates, state = OPTIMIZER.update(grads, learned[1])
        return optax.apply_updates(learned[0], updates), state

    params, state = jax.lax.fori_loop(0, EPOCHS, epoch, (params, state))
    return params, state, after, steps[5].size / jnp.maximum(1, steps[5].sum())


def begin(params, key, count):
    """Agents at the start of an episode: states, carries, resets and ages."""
    states = jax.random.uniform(key, (count, 4), jnp.float32, -REST, REST)
    carry = POLICY.init_carry(params, states[None, :, :2])
    return states, carry, jnp.ones(count, bool), jnp.zeros(count, int)


def train(forgets, updates):
    """The parameters, and the mean steps per episode in each rollout."""
    keys = jax.random.split(jax.random.key(0), 3)
    params = POLICY.init(keys[0], jnp.zeros((1, AGENTS, 2)))
    agents, state, lengths = begin(params, keys[1], AGENTS), OPTIMIZER.init(params), []
    for key in shared.until_interrupted(jax.random.split(keys[2], updates)):
        params, state, agents, length = update(params, state, agents, key, forgets)
        lengths.append(min(float(length), LIMIT))
    return params, lengths


def main(arguments=None):
    """Trains both policies, and lets each balance 64 poles that are new."""
    options, began = shared.options(__doc__, OPTIONS, QUICK, arguments), time.monotonic()
    figure, returns = Figure((8, 3.6), layout="constrained"), []
    curves, path = figure.subplots(1, 2)
    lengths, angles = {}, {}
    for forgets, name in ((False, "memory"), (True, "no memory")):
        params, lengths[name] = train(forgets, options.updates)
        new = begin(params, jax.random.key(1), 64)
        states, *_, done = rollout(params, new, jax.random.key(2), forgets, LIMIT)[1]
        ends = np.where(done.any(axis=0), done.argmax(axis=0) + 1, LIMIT)
        returns.append(ends.mean())
        angles[name] = TICK * np.arange(ends[0]), np.degrees(states[: ends[0], 0, 2])
    label = f"steps per episode, at most {LIMIT}"
    plots.learning_curves(lengths, xlabel="rollout", ylabel=label, ax=curves)
    names = {"xlabel": "time of a new episode (s)", "ylabel": "angle of the pole (degrees)"}
    plots.learning_curves(angles, **names, ax=path)
    shared.save_picture(figure, options.out / "control.png")
    score = f"held-out return {returns[0]:.0f} of {LIMIT} steps (no memory: {returns[1]:.0f})"
    print(f"{score}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
