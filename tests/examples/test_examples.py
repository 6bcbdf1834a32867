"""The examples of larger models learn, and do so by memory."""

import functools
import importlib.util
import pathlib

import jax
import numpy as np
import pytest

import jaxrnn

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example


@pytest.fixture
def as_users_run():
    """In float32 and with JAX's own promotion, which optax needs."""
    with jax.enable_x64(False), jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.thorough
@pytest.mark.usefixtures("as_users_run")
def test_the_recurrent_transformer_reads_more_than_pairs():
    pytest.importorskip("flax", reason="flax is not installed")
    example = load("recurrent_transformer")
    example.WIDTH, example.BLOCKS, example.WIDEN = 32, 1, 2
    example.STEPS, example.RATE, example.HELD_OUT = 150, 0.02, 8000
    bits, pairs = example.main()
    assert 3.4 < pairs < 3.7
    assert bits < pairs - 0.3


@pytest.mark.thorough
@pytest.mark.usefixtures("as_users_run")
def test_the_recurrent_policy_learns_by_memory():
    example = load("recurrent_policy")
    example.LONGEST, example.STEPS, example.UPDATES = 6, 32, 40
    example.POLICY = jaxrnn.stack(jaxrnn.rnn(jaxrnn.gru(16)), jaxrnn.dense(4))
    remembers, forgets = example.main()
    assert remembers > 0.9
    assert forgets < 0.3


@pytest.mark.thorough
@pytest.mark.usefixtures("as_users_run")
def test_a_rollout_equals_its_replay():
    """What the policy did step by step, while episodes ended, it does in one unroll."""
    example = load("recurrent_policy")
    example.STEPS = 200
    shape = jax.ShapeDtypeStruct((1, 3), np.float32)
    params = example.POLICY.init(jax.random.key(0), shape)
    carry = example.POLICY.init_carry(params, shape)
    episodes = jax.vmap(example.new_episode)(jax.random.split(jax.random.key(1), 3))
    agents = example.Agent(episodes, carry, jax.numpy.array(False))
    run = jax.vmap(
        functools.partial(example.rollout, params, forgets=False),
        in_axes=(example.Agent(0, None, None), 0),
    )
    after, steps = jax.jit(run)(agents, jax.random.split(jax.random.key(2), 3))
    assert (steps.done.sum(1) > 2).all()
    assert (~steps.done).any(1).all()

    replay = jax.jit(jax.vmap(functools.partial(example.policy, params), (None, 0, 0)))
    last, log_probs, values = replay(carry, steps.observation, steps.first)
    chosen = np.take_along_axis(log_probs, np.asarray(steps.action)[..., None], axis=-1)[..., 0]
    np.testing.assert_allclose(values, steps.value, atol=1e-5)
    np.testing.assert_allclose(chosen, steps.log_prob, atol=1e-5)
    jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-5), last, after.carry)


@pytest.mark.thorough
@pytest.mark.usefixtures("as_users_run")
def test_dates_that_were_never_seen_are_exact():
    assert load("dates").main() == 0
