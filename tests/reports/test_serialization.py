"""Parameters, cells and models that leave the process and come back."""

import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from tests.laws.tables import assert_close, assert_same, cell_example

T, B, I, H = 3, 2, 2, 3
GRU = jaxrnn.gru(H)
EX = cell_example(GRU, shape=(T, B, I))
MODEL = jaxrnn.stack(jaxrnn.rnn(GRU), jaxrnn.dense(2))
PARAMS = MODEL.init(jax.random.key(0), EX.xs)


def as_lists(tree):
    """Nested lists and dicts in place of tuples and NamedTuples, as many formats give back."""
    if hasattr(tree, "_asdict"):
        return {name: as_lists(leaf) for name, leaf in tree._asdict().items()}
    return [as_lists(leaf) for leaf in tree] if isinstance(tree, tuple) else tree


def test_parameters_in_other_containers():
    """ferminet#105: parameters restored as dicts are named, and exact as what `init` makes."""
    restored = pickle.loads(pickle.dumps(as_lists(jax.tree.map(np.asarray, PARAMS))))
    with pytest.raises(TypeError, match=r"`params` must be GRUParams\(kernel.*got dict"):
        jaxrnn.unroll(GRU, restored[0], None, EX.xs)
    with pytest.raises(TypeError, match=r"`params`.*got dict"):
        MODEL.apply(tuple(restored), None, EX.xs)
    like = jax.eval_shape(MODEL.init, jax.random.key(0), EX.xs)
    fields = [type(one)(**fields) for one, fields in zip(like, restored, strict=True)]
    assert_same(MODEL.apply(tuple(fields), None, EX.xs), MODEL.apply(PARAMS, None, EX.xs))


def test_parameters_pickle():
    """keras#8291, Megatron-DeepSpeed#380: parameters and carries pickle, as cells do."""
    for tree in (PARAMS, EX.carry, MODEL.init_carry(PARAMS, EX.xs)):
        again = pickle.loads(pickle.dumps(tree))
        assert jax.tree.structure(again) == jax.tree.structure(tree)
        assert_same(again, tree)


def test_a_module_goes_to_orbax(tmp_path):
    """flax#4509: the state of a model with a recurrent module holds arrays only, and comes back."""
    nnx = pytest.importorskip("flax.nnx", reason="flax is not installed")
    ocp = pytest.importorskip("orbax.checkpoint", reason="orbax-checkpoint is not installed")
    from jaxrnn.nnx import RNN

    def build(seed):
        return RNN(MODEL, I, param_dtype=float, rngs=nnx.Rngs(seed))

    module, other = build(0), build(1)
    state = nnx.state(module)
    for leaf in jax.tree.leaves(state):
        assert not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "state", nnx.to_pure_dict(state))
        checkpointer.wait_until_finished()
        read = checkpointer.restore(tmp_path / "state", nnx.to_pure_dict(nnx.state(other)))
    nnx.update(other, read)
    xs = EX.xs.swapaxes(0, 1)
    assert_same(other(xs), module(xs))


def test_a_ragged_model_is_exported():
    """pytorch#62240: a model with lengths, as one program of any batch."""
    model = jaxrnn.stack(jaxrnn.rnn(GRU), jaxrnn.pool_last, jaxrnn.dense(2))
    params = model.init(jax.random.key(0), EX.xs)

    @jax.jit
    def run(xs, lengths):
        return model.apply(params, None, xs, mask=jaxrnn.length_mask(lengths, T))[1]

    (rows,) = jax.export.symbolic_shape("rows")
    shapes = (
        jax.ShapeDtypeStruct((T, rows, I), EX.xs.dtype),
        jax.ShapeDtypeStruct((rows,), jnp.int64),
    )
    program = jax.export.deserialize(jax.export.export(run)(*shapes).serialize())
    for lengths in (jnp.array([2, 0]), jnp.array([3])):
        xs = EX.xs[:, : len(lengths)]
        assert_close(program.call(xs, lengths), run(xs, lengths), 1e-14)
