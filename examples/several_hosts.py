"""Trains one model on the devices of several processes. Each process reads only its own rows.

On a cluster, run it once on each host. Here are two processes with four simulated devices each:

    export XLA_FLAGS=--xla_force_host_platform_device_count=4
    python examples/several_hosts.py --address localhost:12345 --processes 2 --process 0 &
    python examples/several_hosts.py --address localhost:12345 --processes 2 --process 1

Without `--address` it runs in one process, on all its devices. It continues from the last
checkpoint in `--folder`, also with another number of processes or devices, and computes the same
losses.
"""

import argparse
import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import orbax.checkpoint as ocp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

import jaxrnn

STEPS, ROWS, FEATURES = 20, 16, 3  # T, B and I of a batch
MODEL = jaxrnn.stack(jaxrnn.rnn(jaxrnn.lstm(32)), jaxrnn.dropout(0.2), jaxrnn.dense(FEATURES))
OPTIMIZER = optax.adam(1e-2)


class State(NamedTuple):
    """What a checkpoint holds."""

    params: Any
    optimizer: Any
    step: jax.Array


def start():
    """The state before the first step."""
    params = MODEL.init(jax.random.key(0), jax.ShapeDtypeStruct((1, FEATURES), jnp.float32))
    return State(params, OPTIMIZER.init(params), jnp.int32(0))


def read(number, rows):
    """Rows of batch `number`, (T + 1, rows, I): a host reads no others. Here they are waves."""
    steps = np.arange(number * STEPS, (number + 1) * STEPS + 1, dtype=np.float32)
    speeds = 0.1 + np.arange(ROWS * FEATURES, dtype=np.float32).reshape(ROWS, FEATURES) / 100
    return np.sin(steps[:, None, None] * speeds[rows])


def batch(number, mesh):
    """A batch whose rows are divided over the devices of all processes."""
    shape, sharding = (STEPS + 1, ROWS, FEATURES), NamedSharding(mesh, P(None, "data"))
    return jax.make_array_from_callback(shape, sharding, lambda index: read(number, index[1]))


@jax.jit
def train_step(state, xs):
    """The state after a step, and the mean loss over all rows."""

    def loss(params):
        key = jax.random.fold_in(jax.random.key(1), state.step)
        _, ys = MODEL.apply(params, None, xs[:-1], key=key)
        return jaxrnn.losses.mean_squared_error(ys, xs[1:])

    value, grads = jax.value_and_grad(loss)(state.params)
    updates, optimizer = OPTIMIZER.update(grads, state.optimizer, state.params)
    return State(optax.apply_updates(state.params, updates), optimizer, state.step + 1), value


def train(folder, num_steps, save_every):
    """Prints the loss of each step."""
    mesh = jax.make_mesh((jax.device_count(),), ("data",))
    options = ocp.CheckpointManagerOptions(save_interval_steps=save_every)
    with jax.set_mesh(mesh), ocp.CheckpointManager(folder, options=options) as manager:
        state = jax.jit(start, out_shardings=P())()
        if manager.latest_step() is not None:
            state = manager.restore(manager.latest_step(), args=ocp.args.StandardRestore(state))
        for number in range(int(state.step), num_steps):
            state, loss = train_step(state, batch(number, mesh))
            manager.save(number + 1, args=ocp.args.StandardSave(state))
            print(f"step {number + 1} loss {loss:.9f}", flush=True)


def main():
    """Reads the arguments, and joins the other processes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--address", help="host:port of process 0")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--process", type=int, default=0)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--save-every", type=int, default=10)
    parser.add_argument("--folder", type=pathlib.Path, default=pathlib.Path("runs/several_hosts"))
    given = parser.parse_args()
    if given.address:
        jax.distributed.initialize(given.address, given.processes, given.process)
    train(given.folder.absolute(), given.steps, given.save_every)


if __name__ == "__main__":
    main()
