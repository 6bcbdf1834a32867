"""Devices and mapped axes, as users of other libraries combined them with recurrent layers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

import jaxrnn
from jaxrnn.engines.cpu._library import problem
from tests.laws.tables import assert_close, cell_example, total
from tests.reports import loops

T, B, I, H = 4, 3, 2, 3
MESH = Mesh(np.array(jax.devices()[:1]), ("d",))
HERE, EVERYWHERE = PartitionSpec("d"), PartitionSpec()
LSTM = jaxrnn.lstm(H)
EX = cell_example(LSTM, shape=(T, B, I))
ENGINES = ["scan", "xla"] + ["native"] * (problem() is None)
every_engine = pytest.mark.parametrize("implementation", ENGINES)


def only_varying(function, name, arguments):
    """``function(**arguments)`` on the devices of a mesh, over which only `name` varies."""

    def body(varying, others):
        out = function(**{name: jax.tree.map(lambda leaf: leaf[0], varying)}, **others)
        return jax.tree.map(lambda leaf: leaf[None], out)

    others = {key: value for key, value in arguments.items() if key != name}
    mapped = jax.shard_map(body, mesh=MESH, in_specs=(HERE, EVERYWHERE), out_specs=HERE)
    out = mapped(jax.tree.map(lambda leaf: leaf[None], arguments[name]), others)
    return jax.tree.map(lambda leaf: leaf[0], out)


def value_and_grads(layer):
    """A scalar of carry and outputs, and its gradients by parameters and inputs."""

    def function(params, carry, xs, **flags):
        def loss(params, xs):
            return total(layer.apply(params, carry, xs, **flags))

        return jax.value_and_grad(loss, (0, 1))(params, xs)

    return function


@every_engine
def test_one_argument_varies_over_devices(implementation):
    """folx#36: only the parameters, the carry, the mask or the resets differ between devices."""
    function = value_and_grads(jaxrnn.rnn(LSTM, implementation=implementation))
    arguments = EX._asdict()

    @jax.jit
    def each(arguments):
        names = "params", "carry", "mask", "resets"
        return [only_varying(function, name, arguments) for name in names]

    want = jax.jit(function)(**arguments)
    for got in each(arguments):
        assert_close(got, want, 1e-13)


KEYED = {
    "drop_connect": jaxrnn.rnn(jaxrnn.drop_connect(LSTM, 0.3)),
    "zoneout": jaxrnn.rnn(jaxrnn.zoneout(LSTM, 0.3)),
    "learned_carry": jaxrnn.rnn(jaxrnn.state_dropout(jaxrnn.learned_carry(LSTM), 0.3)),
}


@pytest.mark.thorough
@pytest.mark.parametrize("name", KEYED)
def test_the_key_alone_varies_over_devices(name):
    """folx#36: each device draws its own numbers for the same parameters and inputs."""
    function = value_and_grads(KEYED[name])
    params = jax.jit(KEYED[name].init)(jax.random.key(0), EX.xs)
    arguments = {"params": params, "carry": None, "xs": EX.xs, "key": jax.random.key(1)}
    got = jax.jit(functools.partial(only_varying, function, "key"))(arguments)
    assert_close(got, jax.jit(function)(**arguments), 1e-13)


def test_a_mean_by_axis_name():
    """jax#34249, jax#1369: the mean of gradients over a mapped axis is that over the batch."""

    def loss(params, carry, xs):
        return total(jaxrnn.unroll(LSTM, params, carry, xs)[1])

    def mean(params, carry, xs):
        return jax.lax.pmean(jax.grad(loss)(params, carry, xs), "batch")

    mapped = jax.jit(jax.vmap(mean, (None, 0, 1), axis_name="batch"))

    def loop(params):
        rows = jax.vmap(lambda carry, xs: total(loops.lstm(params, carry, xs)[1]), (0, 1))
        return rows(tuple(EX.carry), EX.xs).mean()

    want = jax.jit(jax.grad(loop))(EX.params)
    rows = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (B, *leaf.shape)), want)
    assert_close(mapped(EX.params, EX.carry, EX.xs), rows, 1e-13)


@pytest.mark.thorough
@every_engine
def test_vmap_and_scan_of_a_sharded_layer(implementation):
    """jax#7047: `vmap` and `scan` of a layer that runs within `shard_map`."""

    def run(params, carry, xs):
        return jaxrnn.unroll(LSTM, params, carry, xs, implementation=implementation)

    rows, steps = PartitionSpec("d"), PartitionSpec(None, "d")
    specs = {"in_specs": (EVERYWHERE, rows, steps), "out_specs": (rows, steps)}
    sharded = jax.shard_map(run, mesh=MESH, **specs)
    chunks = EX.xs.reshape(2, 2, B, I)
    factors = jnp.array([0.5, 1.0])

    @jax.jit
    def both(params, carry, chunks):
        def scanned(factor):
            scaled = jax.tree.map(lambda leaf: factor * leaf, params)
            return jax.lax.scan(functools.partial(sharded, scaled), carry, chunks)

        return jax.vmap(scanned)(factors)

    carry, ys = both(EX.params, EX.carry, chunks)
    for i, factor in enumerate(factors):
        scaled = jax.tree.map(lambda leaf, factor=factor: factor * leaf, EX.params)
        (h, c), want = loops.lstm(scaled, EX.carry, EX.xs)
        assert_close((carry.h[i], carry.c[i], ys[i].reshape(T, B, H)), (h, c, want), 1e-13)


@pytest.mark.thorough
@pytest.mark.parametrize("batch_size", [2, 5])
def test_posterior_samples_in_batches(batch_size):
    """numpyro#1341: `jax.lax.map` over samples of the parameters, some at a time."""
    samples = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf, -leaf]), EX.params)

    def predict(params):
        return jaxrnn.unroll(LSTM, params, EX.carry, EX.xs)[1]

    def loop(params):
        return loops.lstm(params, tuple(EX.carry), EX.xs)[1]

    got = jax.jit(lambda samples: jax.lax.map(predict, samples, batch_size=batch_size))(samples)
    assert_close(got, jax.jit(jax.vmap(loop))(samples), 1e-13)


def test_advantages_by_a_value_network():
    """pytorch/rl#2376: advantages from the values of an LSTM, mapped over trajectories."""
    discount, trace = 0.9, 0.8
    readout, rewards = jnp.array([1.0, -0.5, 2.0]), jnp.sin(jnp.arange(3.0 * T)).reshape(3, T)
    observations = jax.random.normal(jax.random.key(3), (3, T + 1, I), float)

    def advantages(params, observations, rewards):
        values = jaxrnn.unroll(LSTM, params, None, observations)[1] @ readout
        errors = rewards + discount * values[1:] - values[:-1]

        def body(after, error):
            after = error + discount * trace * after
            return after, after

        return jax.lax.scan(body, jnp.zeros(()), errors, reverse=True)[1]

    got = jax.jit(jax.vmap(advantages, (None, 0, 0)))(EX.params, observations, rewards)
    for i in range(3):
        _, ys = loops.lstm(EX.params, (jnp.zeros(H),) * 2, observations[i])
        values, after = np.asarray(ys @ readout), 0.0
        for t in reversed(range(T)):
            error = rewards[i, t] + discount * values[t + 1] - values[t]
            after = error + discount * trace * after
            np.testing.assert_allclose(got[i, t], after, rtol=1e-12)
