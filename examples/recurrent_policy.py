"""A recurrent policy learns a T-maze (Bakker, 2002) by proximal policy optimization (PPO).

The start of a corridor shows on which side of its end the reward will be; in between there is
nothing to see. The policy streams while it acts and is unrolled while it learns. `resets` restore
its initial carry where an episode ends within a rollout. About 20 seconds on two cores.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

import jaxrnn

SHORTEST, LONGEST = 4, 10  # corridor lengths, in steps
AGENTS, STEPS, UPDATES, EPOCHS = 64, 64, 60, 4  # STEPS per rollout, EPOCHS per update
HIDDEN, RATE, CLIP, DISCOUNT, TRACE = 32, 0.005, 0.2, 0.97, 0.95  # features; PPO; GAE
VALUE, ENTROPY = 0.5, 0.01  # weights of the value errors and the entropy in the loss

FORWARD, LEFT, RIGHT = range(3)
# A GRU, then the logits of three actions and the value.
POLICY = jaxrnn.stack(jaxrnn.rnn(jaxrnn.gru(HIDDEN)), jaxrnn.dense(4))
OPTIMIZER = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(RATE))


class Episode(NamedTuple):
    """The state of the maze, which the agent observes only in part."""

    side: jax.Array  # LEFT or RIGHT
    place: jax.Array  # steps from the start
    end: jax.Array  # the place of the junction


class Agent(NamedTuple):
    """What passes from one rollout to the next."""

    episode: Episode
    carry: tuple  # of the policy
    first: jax.Array  # bool: whether the policy is reset before its next step


class Step(NamedTuple):
    """The training data of one step."""

    observation: jax.Array  # (3,)
    first: jax.Array
    action: jax.Array
    log_prob: jax.Array
    value: jax.Array
    reward: jax.Array
    done: jax.Array  # whether the episode ended with this step


def new_episode(key):
    """A corridor of random length, with the reward on a random side."""
    keys = jax.random.split(key)
    end = jax.random.randint(keys[1], (), SHORTEST, LONGEST + 1)
    return Episode(jax.random.randint(keys[0], (), LEFT, RIGHT + 1), jnp.zeros_like(end), end)


def observe(episode):
    """The side, visible only at the start, and whether this is the start or the junction."""
    start, junction = episode.place == 0, episode.place == episode.end
    side = jnp.where(episode.side == LEFT, -1, 1) * start
    return jnp.array([side, start, junction], jnp.float32)


def move(episode, action, key):
    """The episode after an action, or a new one; the reward; and whether the episode ended."""
    junction = episode.place == episode.end
    done, goes_on = junction & (action != FORWARD), ~junction & (action == FORWARD)
    found = jnp.where(action == episode.side, 1.0, -1.0)
    reward = jnp.where(done, found, jnp.where(goes_on, 0.0, -0.1))
    after = episode._replace(place=episode.place + goes_on)
    return jax.tree.map(functools.partial(jnp.where, done), new_episode(key), after), reward, done


def policy(params, carry, observations, first):
    """Observations (T, 3) to the carry, the log-probabilities (T, 3) and the values (T)."""
    carry, ys = POLICY.apply(params, carry, observations, resets=first)
    return carry, jax.nn.log_softmax(ys[:, :3]), ys[:, 3]


def act(params, agent, key, forgets):
    """One step of one agent. An agent that `forgets` is reset before each step."""
    keys, observation = jax.random.split(key), observe(agent.episode)
    carry, log_probs, value = policy(params, agent.carry, observation[None], agent.first[None])
    action = jax.random.categorical(keys[0], log_probs[0])
    episode, reward, done = move(agent.episode, action, keys[1])
    step = Step(observation, agent.first, action, log_probs[0, action], value[0], reward, done)
    return Agent(episode, carry, done | forgets), step


def rollout(params, agent, key, forgets):
    """The agent after STEPS steps, and these steps."""

    def body(agent, key):
        return act(params, agent, key, forgets)

    return lax.scan(body, agent, jax.random.split(key, STEPS))


def advantages(steps, last_value):
    """Generalized advantage estimation (Schulman et al., 2016), (T,)."""

    def body(carry, step):
        advantage, following = carry
        error = step.reward + DISCOUNT * following * ~step.done - step.value
        advantage = error + DISCOUNT * TRACE * advantage * ~step.done
        return (advantage, step.value), advantage

    return lax.scan(body, (jnp.zeros(()), last_value), steps, reverse=True)[1]


def cost(params, carry, steps, advantage, target):
    """The clipped PPO loss (Schulman et al., 2017) of one rollout, replayed as one sequence."""
    _, log_probs, values = policy(params, carry, steps.observation, steps.first)
    log_prob = jnp.take_along_axis(log_probs, steps.action[:, None], axis=1)[:, 0]
    ratio = jnp.exp(log_prob - steps.log_prob)
    gain = jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - CLIP, 1 + CLIP) * advantage)
    entropy = -jnp.sum(jnp.exp(log_probs) * log_probs, axis=1)
    return jnp.mean(VALUE * (values - target) ** 2 - gain - ENTROPY * entropy)


@jax.jit
def update(params, state, agents, key, forgets):
    """A rollout of each agent and EPOCHS optimizer steps; also the mean return per episode."""
    run = jax.vmap(functools.partial(rollout, params, forgets=forgets))
    after, steps = run(agents, jax.random.split(key, AGENTS))
    last = jax.vmap(lambda agent: act(params, agent, key, forgets)[1].value)(after)
    advantage = jax.vmap(advantages)(steps, last)
    target = advantage + steps.value
    advantage = (advantage - advantage.mean()) / advantage.std()

    def batch_cost(params):
        each = jax.vmap(cost, in_axes=(None, 0, 0, 0, 0))
        return each(params, agents.carry, steps, advantage, target).mean()

    def epoch(_, learned):
        params, state = learned
        updates, state = OPTIMIZER.update(jax.grad(batch_cost)(params), state)
        return optax.apply_updates(params, updates), state

    params, state = lax.fori_loop(0, EPOCHS, epoch, (params, state))
    return params, state, after, steps.reward.sum() / steps.done.sum()


def train(forgets):
    """The mean return per episode after each update."""
    keys = jax.random.split(jax.random.key(0), 3)
    shape = jax.ShapeDtypeStruct((1, 3), jnp.float32)
    params = POLICY.init(keys[0], shape)

    def new_agent(key):
        return Agent(new_episode(key), POLICY.init_carry(params, shape), jnp.array(True))

    agents = jax.vmap(new_agent)(jax.random.split(keys[1], AGENTS))
    state, returns = OPTIMIZER.init(params), []
    for key in jax.random.split(keys[2], UPDATES):
        params, state, agents, mean = update(params, state, agents, key, forgets)
        returns.append(float(mean))
    return returns


def main():
    """Trains a policy that remembers and one that forgets; returns the final return of each."""
    ends = []
    for forgets in (False, True):
        returns = train(forgets)
        ends.append(sum(returns[-5:]) / 5)
        curve = " ".join(f"{r:.2f}" for r in returns[:: max(1, UPDATES // 10)])
        print(f"{'forgets' if forgets else 'remembers'}: {curve}; at the end {ends[-1]:.2f} of 1")
    return ends


if __name__ == "__main__":
    main()
