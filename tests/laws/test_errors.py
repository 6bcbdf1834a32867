"""A wrong argument is refused by name, with what was expected, what came and the likely cause."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn

T, B, I, H = 7, 3, 5, 4
KEY = jax.random.key(0)
CELL = jaxrnn.lstm(H)
XS = jnp.ones((T, B, I), jnp.float32)
PARAMS = CELL.init(KEY, XS[0])
CARRY = CELL.init_carry(PARAMS, XS[0])
MASK = jnp.ones((T, B), bool)
WHOLE = jaxrnn.from_step(CELL.init, CELL.init_carry, lambda params, carry, x: (carry, x))


def unroll(params=PARAMS, carry=CARRY, xs=XS, cell=CELL, **options):
    return jaxrnn.unroll(cell, params, carry, xs, **options)


def narrow(tree):
    return jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), tree)


def growing(params, carry, u, v):
    carry = CELL.update(params, carry, u, v)
    return carry._replace(c=carry.c[None])


def widening(params, carry, u, v):
    carry = CELL.update(params, carry, u, v)
    return carry._replace(c=carry.c.astype(jnp.float64))


def forgetful(params, carry, u, v):
    return CELL.update(params, carry, u, v).h


def in_order(params, carry, u, v):
    return type(carry)(*map(jnp.sort, CELL.update(params, carry, u, v)))


def paired(params, carry, u, v):
    carry = CELL.update(params, carry, u, v)
    return carry, carry.h


def doubled(params, carry, u):
    return carry.h, carry.h


def curved(params, carry):
    return jnp.tanh(carry.h) @ params.recurrent_kernel


def squared(params, carry):
    return jax.jit(lambda h: h * h)(carry.h) @ params.recurrent_kernel


def unbatched(params, x):
    return jaxrnn.LSTMCarry(jnp.zeros(H, x.dtype), jnp.zeros(H, x.dtype))


def two_way(carry=None, **options):
    params = jaxrnn.layers.BidirectionalParams(PARAMS, PARAMS)
    return jaxrnn.bidirectional(CELL).apply(params, carry, XS, **options)


# Each row: what is called, the error, and what its message must say.
WRONG = {
    "no time axis": (lambda: unroll(xs=jnp.float32(1)), ValueError, "`xs` needs a time axis"),
    "no feature axis": (
        lambda: unroll(xs=XS[:, 0, 0], carry=None),
        ValueError,
        "`x` needs a feature axis",
    ),
    "xs of lists": (lambda: unroll(xs=[1.0, 2.0]), TypeError, "`xs` must be an array or"),
    "xs of nothing": (lambda: unroll(xs=()), ValueError, "`xs` holds no array"),
    "xs of different length": (
        lambda: unroll(xs=(XS, XS[1:])),
        ValueError,
        r"`xs` is time-first.*\[6, 7\]",
    ),
    "feature size": (
        lambda: unroll(xs=XS[..., :3], carry=None),
        ValueError,
        r"`x` must have 5 features.*got 3 in float32\(3, 3\).*last one",
    ),
    "integer inputs": (
        lambda: unroll(xs=jnp.ones((T, B, I), jnp.int32)),
        TypeError,
        r"`x` must be floating, got int32\(3, 5\).*embed",
    ),
    "another dtype": (
        lambda: unroll(xs=XS.astype(jnp.bfloat16)),
        TypeError,
        "`x` must be float32.*got bfloat16.*promoted",
    ),
    "carry of a tuple": (
        lambda: unroll(carry=(CARRY.c, CARRY.h)),
        TypeError,
        r"`carry` must be LSTMCarry\(h=float32\(3, 4\).*got tuple.*\(c, h\)",
    ),
    "carry of another cell": (
        lambda: unroll(carry=jaxrnn.HiddenCarry(CARRY.h)),
        TypeError,
        r"`carry` must be LSTMCarry.*got HiddenCarry",
    ),
    "carry of another batch": (
        lambda: unroll(carry=jax.tree.map(lambda a: a[:1], CARRY)),
        ValueError,
        r"`carry.h` must have shape \(3, 4\), got \(1, 4\)",
    ),
    "carry of another dtype": (
        lambda: unroll(carry=narrow(CARRY)),
        TypeError,
        "`carry.h` must be float32, got bfloat16",
    ),
    "carry of objects": (
        lambda: unroll(carry=jaxrnn.LSTMCarry("h", "c")),
        TypeError,
        "`carry` must hold arrays only, got str",
    ),
    "step of one sequence with other features": (
        lambda: jaxrnn.step(CELL, PARAMS, None, XS[0, 0, :3]),
        ValueError,
        r"`x` must have 5 features in its last axis, .* got 3 in float32\(3,\)",
    ),
    "step with a carry of another batch": (
        lambda: jaxrnn.step(CELL, PARAMS, jax.tree.map(lambda a: a[:1], CARRY), XS[0]),
        ValueError,
        r"`carry.h` must have shape \(3, 4\), got \(1, 4\)",
    ),
    "mask of integers": (
        lambda: unroll(mask=MASK.astype(jnp.int32)),
        TypeError,
        "`mask` must be bool, got int32",
    ),
    "mask of a list": (lambda: unroll(mask=[True] * T), TypeError, "`mask` must be a bool array"),
    "mask of a dtype": (
        lambda: unroll(mask=jnp.bool_),
        TypeError,
        "`mask` must be a bool array",
    ),
    "mask transposed": (
        lambda: unroll(mask=MASK.T),
        ValueError,
        r"`mask` must match.*got \(3, 7\).*transposed",
    ),
    "mask of another batch": (
        lambda: unroll(mask=MASK[:, :1]),
        ValueError,
        r"`mask` must match.*\(7, 3, 5\), got \(7, 1\)",
    ),
    "mask with features": (
        lambda: unroll(mask=jnp.ones((T, B, I), bool)),
        ValueError,
        r"`mask` must be \(T, ...\).*got \(7, 3, 5\).*batch axes are \(3,\)",
    ),
    "mask of no axis": (lambda: unroll(mask=jnp.array(True)), ValueError, "`mask` must match"),
    "resets of another length": (
        lambda: unroll(resets=MASK[1:]),
        ValueError,
        r"`resets` must match.*got \(6, 3\)",
    ),
    "resets of floats": (
        lambda: unroll(resets=MASK.astype(jnp.float32)),
        TypeError,
        "`resets` must be bool",
    ),
    "lengths below 0": (
        lambda: jaxrnn.length_mask(jnp.array([2, -1]), T),
        ValueError,
        "`lengths` must be from 0 to 7, got values from -1 to 2",
    ),
    "lengths above T": (
        lambda: jaxrnn.length_mask(np.array([8, 2]), T),
        ValueError,
        "`lengths` must be from 0 to 7, got values from 2 to 8.*padded length T",
    ),
    "lengths of floats": (
        lambda: jaxrnn.length_mask(jnp.array([2.0]), T),
        TypeError,
        "`lengths` must be integers, got float",
    ),
    "projection of no size": (
        lambda: jaxrnn.projected_lstm(H, 0),
        ValueError,
        "`projection_size` must be a positive integer, got 0",
    ),
    "projection that is no smaller": (
        lambda: jaxrnn.projected_lstm(H, H),
        ValueError,
        "`projection_size` must be less than `hidden_size` = 4, got 4.*exchanged.*`jaxrnn.lstm`",
    ),
    "params without a projection": (
        lambda: unroll(cell=jaxrnn.projected_lstm(H, 2), carry=None),
        TypeError,
        r"`params` must be ProjectedLSTMParams\(.*projection\), got LSTMParams",
    ),
    "carry of the same size without a projection": (
        lambda: unroll(
            cell=jaxrnn.projected_lstm(H, 2),
            params=jaxrnn.projected_lstm(H, 2).init(KEY, XS[0]),
        ),
        ValueError,
        r"`carry.h` must have shape \(3, 2\), got \(3, 4\)",
    ),
    "hidden size 0": (lambda: jaxrnn.lstm(0), ValueError, "`hidden_size`.*got 0"),
    "hidden size of a float": (lambda: jaxrnn.gru(4.0), TypeError, "`hidden_size`.*got 4.0"),
    "hidden size True": (lambda: jaxrnn.elman(True), TypeError, "`hidden_size`.*got True"),
    "activation of a name": (
        lambda: jaxrnn.elman(H, "tanh"),
        TypeError,
        "`activation` must be a function.*'tanh'",
    ),
    "unknown implementation": (
        lambda: unroll(implementation="cuda"),
        ValueError,
        r"`implementation` must be None or one of \['native', .*'cudnn'\], got 'cuda'",
    ),
    "unknown implementation of a layer": (
        lambda: jaxrnn.rnn(CELL, implementation="cuda"),
        ValueError,
        "`implementation` must be",
    ),
    "implementation that cannot run the cell": (
        lambda: jaxrnn.rnn(WHOLE, implementation="xla"),
        ValueError,
        "`implementation='xla'` cannot run this cell: the cell was made by `from_step`",
    ),
    "missing key": (lambda: CELL.init(None, XS[0]), ValueError, "`key` is None.*jax.random.key"),
    "missing key of a stack": (
        lambda: jaxrnn.stack(jaxrnn.rnn(CELL)).init(None, XS),
        ValueError,
        "`key` is None",
    ),
    "key of a seed": (lambda: CELL.init(0, XS[0]), TypeError, "`key` must be a key.*got int"),
    "key of floats": (lambda: CELL.init(XS[0, 0], XS[0]), TypeError, "`key` must be a key.*float"),
    "several keys": (
        lambda: CELL.init(jax.random.split(KEY), XS[0]),
        ValueError,
        "`key` must be a single key.*split",
    ),
    "key of dropout": (
        lambda: jaxrnn.dropout(0.5).apply((), None, XS, key=3),
        TypeError,
        "`key` must be a key",
    ),
    "rate of 1": (lambda: jaxrnn.dropout(1.0), ValueError, r"`rate` must be in \[0, 1\), got 1.0"),
    "rate below 0": (lambda: jaxrnn.dropout(-0.1), ValueError, r"`rate` must be in \[0, 1\)"),
    "rate of a string": (lambda: jaxrnn.dropout("0.5"), TypeError, "`rate` must be a number"),
    "params of another cell": (
        lambda: unroll(params=jaxrnn.gru(H).init(KEY, XS[0])),
        TypeError,
        r"`params` must be LSTMParams\(kernel, recurrent_kernel, bias\), got GRUParams",
    ),
    "params missing": (lambda: unroll(params=None), TypeError, "`params` must be LSTMParams"),
    "layer for a cell": (
        lambda: jaxrnn.rnn(jaxrnn.rnn(CELL)),
        TypeError,
        r"`cell` must be a Cell, got the Layer rnn\(lstm\(4\)\)",
    ),
    "function for a cell": (lambda: unroll(cell=jnp.tanh), TypeError, "`cell` must be a Cell"),
    "cell in a stack": (
        lambda: jaxrnn.stack(jaxrnn.rnn(CELL), CELL),
        TypeError,
        r"argument 1 of `stack` must be a Layer, got Cell.*rnn\(cell\)",
    ),
    "empty stack": (lambda: jaxrnn.stack(), ValueError, "at least one layer"),
    "params of a shorter stack": (
        lambda: jaxrnn.stack(jaxrnn.rnn(CELL), jaxrnn.dense(2)).apply((PARAMS,), None, XS),
        TypeError,
        "`params` of this stack must be a tuple.*2 layers, got tuple of 1",
    ),
    "carry of a shorter stack": (
        lambda: jaxrnn.stack(jaxrnn.rnn(CELL)).apply((PARAMS,), CARRY, XS),
        TypeError,
        "`carry` of this stack must be a tuple.*got LSTMCarry of 2",
    ),
    "empty skip": (
        lambda: jaxrnn.skip_stack(),
        ValueError,
        "`skip_stack` needs at least one layer",
    ),
    "cell in a skip": (
        lambda: jaxrnn.skip_stack(CELL),
        TypeError,
        r"argument 0 of `skip_stack` must be a Layer, got Cell.*rnn\(cell\)",
    ),
    "params of a shorter skip": (
        lambda: jaxrnn.skip_stack(jaxrnn.rnn(CELL), jaxrnn.dense(2)).apply((PARAMS,), None, XS),
        TypeError,
        "`params` of this skip_stack must be a tuple.*2 layers, got tuple of 1",
    ),
    "symbols to a skip": (
        lambda: jaxrnn.skip_stack(jaxrnn.embed(9, 2)).init(KEY, jnp.ones((T, B), jnp.int32)),
        TypeError,
        "`x` must be floating, got int32.*embed",
    ),
    "key of a stack of a seed": (
        lambda: jaxrnn.stack(jaxrnn.rnn(CELL)).apply((PARAMS,), None, XS, key=3),
        TypeError,
        "`key` must be a key of jax.random, got int",
    ),
    "cell in a residual": (
        lambda: jaxrnn.residual(CELL),
        TypeError,
        r"`layer` must be a Layer, got Cell.*rnn\(cell\)",
    ),
    "residual of another width": (
        lambda: jaxrnn.residual(jaxrnn.rnn(CELL)).init(KEY, XS),
        ValueError,
        r"`residual` adds.*input is float32\(7, 3, 5\), the output float32\(7, 3, 4\).*dense\(5\)",
    ),
    "params of a residual of another width": (
        lambda: jaxrnn.residual(jaxrnn.rnn(CELL)).apply(PARAMS, None, XS),
        ValueError,
        r"`residual` adds.*input is float32\(7, 3, 5\), the output float32\(7, 3, 4\)",
    ),
    "symbols to a residual": (
        lambda: jaxrnn.residual(jaxrnn.embed(9, 2)).init(KEY, jnp.ones((T, B), jnp.int32)),
        TypeError,
        "`x` must be floating, got int32.*embed",
    ),
    "cell in a deep block": (
        lambda: jaxrnn.deep_block(CELL, 4),
        TypeError,
        r"`layer` must be a Layer, got Cell.*rnn\(cell\)",
    ),
    "deep block of no features": (
        lambda: jaxrnn.deep_block(jaxrnn.rnn(CELL), 0),
        ValueError,
        "`features` must be a positive integer, got 0",
    ),
    "deep block of another width": (
        lambda: jaxrnn.deep_block(jaxrnn.rnn(CELL), 4).init(KEY, XS),
        ValueError,
        r"`residual` adds.*input is float32\(7, 3, 5\), the output float32\(7, 3, 4\)",
    ),
    "deep block that drops all": (
        lambda: jaxrnn.deep_block(jaxrnn.rnn(CELL), 4, rate=1.0),
        ValueError,
        r"`rate` must be in \[0, 1\), got 1.0",
    ),
    "activation of a deep block by name": (
        lambda: jaxrnn.deep_block(jaxrnn.rnn(CELL), 4, activation="gelu"),
        TypeError,
        "`activation` must be None or a function such as jax.nn.gelu, got 'gelu'",
    ),
    "GLU of no features": (
        lambda: jaxrnn.glu(0),
        ValueError,
        "`features` must be a positive integer, got 0",
    ),
    "features of a GLU": (
        lambda: jaxrnn.glu(2).apply(jaxrnn.glu(2).init(KEY, XS), None, XS[..., :2]),
        ValueError,
        "`x` must have 5 features",
    ),
    "layer norm with a bias of a name": (
        lambda: jaxrnn.layer_norm(use_bias="no"),
        TypeError,
        "`use_bias` must be True or False, got 'no'",
    ),
    "layer norm over zero": (
        lambda: jaxrnn.layer_norm(epsilon=0),
        ValueError,
        "`epsilon` must be a finite number above 0, got 0",
    ),
    "symbols to a layer norm": (
        lambda: jaxrnn.layer_norm().init(KEY, jnp.ones((T, B), jnp.int32)),
        TypeError,
        "`x` must be floating, got int32",
    ),
    "features of an RMS norm": (
        lambda: jaxrnn.rms_norm().apply(jaxrnn.rms_norm().init(KEY, XS), None, XS[..., :2]),
        ValueError,
        "`x` must have 5 features",
    ),
    "cell in a highway": (
        lambda: jaxrnn.highway(CELL),
        TypeError,
        "`layer` must be a Layer, got Cell",
    ),
    "highway of another width": (
        lambda: jaxrnn.highway(jaxrnn.dense(4)).init(KEY, XS),
        ValueError,
        r"`highway` adds.*input is float32\(7, 3, 5\), the output float32\(7, 3, 4\)",
    ),
    "params of no highway": (
        lambda: jaxrnn.highway(jaxrnn.rnn(CELL)).apply(PARAMS, None, XS),
        TypeError,
        "`params` must be HighwayParams.*got LSTMParams",
    ),
    "mask of a residual transposed": (
        lambda: jaxrnn.residual(jaxrnn.dropout(0.5)).apply((), None, XS, mask=MASK.T),
        ValueError,
        "`mask` must match",
    ),
    "no cell both ways": (
        lambda: jaxrnn.bidirectional(128),
        TypeError,
        "`forward` must be a Cell such as.*got 128",
    ),
    "no cell backward": (
        lambda: jaxrnn.bidirectional(CELL, "gru"),
        TypeError,
        "`backward` must be a Cell such as.*got 'gru'",
    ),
    "unknown merge": (
        lambda: jaxrnn.bidirectional(CELL, merge="add"),
        ValueError,
        r"`merge` must be one of \['concat', 'mean', 'mul', 'sum'\], or a function.*got 'add'",
    ),
    "merge of None": (
        lambda: jaxrnn.bidirectional(CELL, merge=None),
        ValueError,
        "`merge` must be one of.*got None",
    ),
    "sum of different widths": (
        lambda: jaxrnn.bidirectional(CELL, jaxrnn.gru(1), merge="sum").init(KEY, XS),
        ValueError,
        r"`merge='sum'` does not fit.*float32\(7, 3, 4\) forward and float32\(7, 3, 1\) backward"
        ".*element by element.*merge='concat'",
    ),
    "params of different widths to sum": (
        lambda: jaxrnn.bidirectional(CELL, jaxrnn.gru(1), merge="mean").apply(
            jaxrnn.layers.BidirectionalParams(PARAMS, jaxrnn.gru(1).init(KEY, XS[0])), None, XS
        ),
        ValueError,
        r"`merge='mean'` does not fit.*float32\(7, 3, 4\) forward and float32\(7, 3, 1\) backward",
    ),
    "merge of several arrays": (
        lambda: jaxrnn.bidirectional(CELL._replace(output=doubled)).init(KEY, XS),
        ValueError,
        "`merge='concat'` does not fit the outputs tuple forward and tuple backward.*one array",
    ),
    "merge by a function that does not fit": (
        lambda: jaxrnn.bidirectional(CELL, jaxrnn.gru(3), merge=jnp.add).init(KEY, XS),
        ValueError,
        r"`merge` cannot take the outputs float32\(7, 3, 4\) forward and float32\(7, 3, 3\) back",
    ),
    "merge over time": (
        lambda: jaxrnn.bidirectional(CELL, merge=lambda a, b: (a + b).sum(axis=0)).init(KEY, XS),
        ValueError,
        r"`merge` must keep the leading axes \(7, 3\).*it made float32\(3, 4\).*pool_mean",
    ),
    "params of one direction": (
        lambda: jaxrnn.bidirectional(CELL).apply(PARAMS, None, XS),
        TypeError,
        r"`params` must be BidirectionalParams\(forward, backward\), got LSTMParams",
    ),
    "carry of one direction": (
        lambda: two_way(CARRY),
        TypeError,
        r"`carry` must be BidirectionalCarry\(forward, backward\), got LSTMCarry",
    ),
    "carry of another batch in one direction": (
        lambda: two_way(
            jaxrnn.layers.BidirectionalCarry(CARRY, jax.tree.map(lambda a: a[:1], CARRY))
        ),
        ValueError,
        r"`carry.backward.h` must have shape \(3, 4\), got \(1, 4\)",
    ),
    "final carry of a two-way layer": (
        lambda: two_way(jaxrnn.layers.BidirectionalFinal(CARRY, CARRY)),
        TypeError,
        "`carry` is the BidirectionalFinal of an earlier call.*whole of it.*`carry=None`",
    ),
    "mask of a two-way layer with features": (
        lambda: two_way(mask=jnp.ones((T, B, I), bool)),
        ValueError,
        r"`mask` must be \(T, ...\).*features",
    ),
    "resets of a two-way layer transposed": (
        lambda: two_way(resets=MASK.T),
        ValueError,
        "`resets` must match",
    ),
    "pool of integers": (
        lambda: jaxrnn.pool_mean(jnp.ones((T, B, H), jnp.int32)),
        TypeError,
        "`x` must be floating",
    ),
    "pool without time": (
        lambda: jaxrnn.pool_max(jnp.float32(1)),
        ValueError,
        "`xs` needs a time axis",
    ),
    "pool of numbers": (
        lambda: jaxrnn.pool_sum(XS[:, 0, 0]),
        ValueError,
        "`x` needs a feature axis",
    ),
    "mask of a pool transposed": (
        lambda: jaxrnn.pool_last(XS, MASK.T),
        ValueError,
        "`mask` must match",
    ),
    "mask of a pool with features": (
        lambda: jaxrnn.pool_sum(XS, jnp.ones((T, B, I), bool)),
        ValueError,
        r"`mask` must be \(T, ...\).*features",
    ),
    "mask of a pool of floats": (
        lambda: jaxrnn.pool_mean(XS, jnp.ones((T, B))),
        TypeError,
        "`mask` must be bool, got float",
    ),
    "size of an attention pool": (
        lambda: jaxrnn.attention_pool(0),
        ValueError,
        "`size` must be a positive integer, got 0",
    ),
    "params of an attention pool": (
        lambda: jaxrnn.attention_pool(2).apply(PARAMS, XS),
        TypeError,
        "`params` must be AttentionPoolParams",
    ),
    "features of an attention pool": (
        lambda: jaxrnn.attention_pool(2).apply(jaxrnn.attention_pool(2).init(KEY, XS), XS[..., :2]),
        ValueError,
        "`x` must have 5 features",
    ),
    "segments of floats": (
        lambda: jaxrnn.data.segment_resets(XS),
        TypeError,
        r"`segment_ids` must be an array of integers \(T, ...\), got float32",
    ),
    "segments without time": (
        lambda: jaxrnn.data.segment_resets(np.int32(3)),
        ValueError,
        "`segment_ids` needs a time axis",
    ),
    "previous segments of another batch": (
        lambda: jaxrnn.data.segment_resets(np.zeros((T, B), int), np.zeros(T, int)),
        ValueError,
        r"`previous` must be one step like.*int64\(7, 3\), got int64\(7,\)",
    ),
    "previous segments of a list": (
        lambda: jaxrnn.data.segment_resets(np.zeros((T, B), int), [0, 0, 0]),
        TypeError,
        "`previous` must be an array of integers.*got list",
    ),
    "pack an array": (
        lambda: jaxrnn.data.pack(np.ones((B, T, I)), T),
        TypeError,
        "`sequences` must be a list of arrays",
    ),
    "pack nothing": (
        lambda: jaxrnn.data.pack([], T),
        ValueError,
        "`sequences` must hold at least one",
    ),
    "pack numbers": (
        lambda: jaxrnn.data.pad_to_bucket([np.ones(2), np.float64(1)]),
        ValueError,
        r"`sequences` must hold arrays \(T_i, ...\), got no time axis in number 1",
    ),
    "pack different features": (
        lambda: jaxrnn.data.pack([np.ones((2, 3)), np.ones((2, 4))], T),
        ValueError,
        r"`sequences` must be alike.*number 0 is float64\(2, 3\), number 1 is float64\(2, 4\)",
    ),
    "pack different dtypes": (
        lambda: jaxrnn.data.pad_to_bucket([np.ones(2), np.ones(2, int)]),
        ValueError,
        "`sequences` must be alike.*number 1 is int64",
    ),
    "pack into short rows": (
        lambda: jaxrnn.data.pack([np.ones(2), np.ones(T + 1)], T),
        ValueError,
        "`length` = 7 steps is too short for sequence 1, which has 8",
    ),
    "pack into few rows": (
        lambda: jaxrnn.data.pack([np.ones(T)] * 3, T, num_rows=2),
        ValueError,
        "`num_rows` = 2 rows.*3 sequences, which need 3",
    ),
    "pack into rows of no length": (
        lambda: jaxrnn.data.pack([np.ones(2)], 0),
        ValueError,
        "`length` must be a positive integer",
    ),
    "unpack another array": (
        lambda: jaxrnn.data.unpack(XS, np.zeros((B, T), int), 1),
        ValueError,
        r"`segment_ids` \(3, 7\) must match.*`ys` \(7, 3, 5\)",
    ),
    "unpack too few": (
        lambda: jaxrnn.data.unpack(XS, np.full((T, B), 4), 4),
        ValueError,
        "`segment_ids` must be from -1 to 3.*got values from 4 to 4",
    ),
    "unpack by the mask": (
        lambda: jaxrnn.data.unpack(XS, MASK, 4),
        TypeError,
        r"`segment_ids` must be an array of integers \(T, R\), got bool",
    ),
    "bucket of a negative length": (
        lambda: jaxrnn.data.bucket_length(-1),
        ValueError,
        "`length` must be 0 or more",
    ),
    "bucket of a float": (
        lambda: jaxrnn.data.bucket_length(7.0),
        TypeError,
        "`length` must be an integer, got float",
    ),
    "buckets of no length": (
        lambda: jaxrnn.data.pad_to_bucket([np.ones(2)], smallest=0),
        ValueError,
        "`smallest` must be a positive integer",
    ),
    "mask of dense with features": (
        lambda: jaxrnn.dense(2).apply(
            jaxrnn.dense(2).init(KEY, XS), None, XS, mask=jnp.ones((T, B, I), bool)
        ),
        ValueError,
        r"`mask` must be \(T, ...\).*features",
    ),
    "resets of dropout with features": (
        lambda: jaxrnn.dropout(0.5).apply((), None, XS, resets=jnp.ones((T, B, I), bool)),
        ValueError,
        r"`resets` must be \(T, ...\).*features",
    ),
    "key of a layer of a seed": (
        lambda: jaxrnn.rnn(CELL).apply(PARAMS, None, XS, key=3),
        TypeError,
        "`key` must be a key of jax.random, got int",
    ),
    "two-way layer in chunks": (
        lambda: jaxrnn.remat(jaxrnn.bidirectional(CELL), chunk=2).apply(
            jaxrnn.layers.BidirectionalParams(PARAMS, PARAMS), None, XS
        ),
        TypeError,
        "`carry` is the BidirectionalFinal.*cannot go on from there to the next chunk",
    ),
    "chunks of 0 steps": (
        lambda: jaxrnn.remat(jaxrnn.rnn(CELL), chunk=0),
        ValueError,
        "`chunk` must be a positive integer, got 0",
    ),
    "chunks of a name": (
        lambda: jaxrnn.remat(jaxrnn.rnn(CELL), chunk="half"),
        TypeError,
        "`chunk` must be a positive integer, got 'half'",
    ),
    "truncate every 0 steps": (
        lambda: jaxrnn.truncate(jaxrnn.rnn(CELL), 0),
        ValueError,
        "`every` must be a positive integer, got 0",
    ),
    "cell in a remat": (lambda: jaxrnn.remat(CELL), TypeError, "`layer` must be a Layer, got Cell"),
    "floats to embed": (
        lambda: jaxrnn.embed(9, 2).init(KEY, XS),
        TypeError,
        "`xs` must be integers",
    ),
    "features of dense": (
        lambda: jaxrnn.dense(2).apply(jaxrnn.dense(2).init(KEY, XS), None, XS[..., :2]),
        ValueError,
        "`x` must have 5 features",
    ),
    "update that grows the carry": (
        lambda: unroll(cell=CELL._replace(update=growing)),
        ValueError,
        r"`new carry.c` must have shape \(3, 4\), got \(1, 3, 4\).*`update`",
    ),
    "update that widens the carry": (
        lambda: unroll(cell=CELL._replace(update=widening)),
        TypeError,
        "`new carry.c` must be float32, got float64",
    ),
    "update that drops a leaf": (
        lambda: unroll(cell=CELL._replace(update=forgetful)),
        TypeError,
        "`new carry` must be LSTMCarry",
    ),
    "chrono of no time": (
        lambda: jaxrnn.initializers.chrono(2),
        ValueError,
        "`max_time` must be more than 2",
    ),
    "chrono without a gate that keeps": (
        lambda: jaxrnn.initializers.chrono(9, gates="rn"),
        ValueError,
        "`gates` must name a gate that keeps",
    ),
    "bias of another number of gates": (
        lambda: jaxrnn.gru(5, bias_init=jaxrnn.initializers.chrono(9)).init(KEY, XS[0]),
        ValueError,
        r"`shape` must be \(G\*H,\) with G = 4 for `gates` = 'ifgo', got \(15,\)",
    ),
    "gates without a forget gate": (
        lambda: jaxrnn.initializers.unit_forget_bias(gates="rzn"),
        ValueError,
        "`gates` must name a forget gate",
    ),
    "kernel of another number of gates": (
        lambda: jaxrnn.initializers.glorot_uniform(3)(KEY, (4, 8)),
        ValueError,
        "`shape` must end in a multiple of `num_gates` = 3",
    ),
    "a kernel for an operation that has none": (
        lambda: unroll(cell=CELL._replace(update=in_order), implementation="native"),
        ValueError,
        "`implementation='native'` cannot run this cell: there is no operation for its ",
    ),
    "a kernel for a layer of a cell that is whole": (
        lambda: jaxrnn.rnn(jaxrnn.from_step(*CELL[:2], doubled), implementation="native"),
        ValueError,
        "`implementation='native'` cannot run this cell: the cell was made by `from_step`",
    ),
    "a kernel for float16": (
        lambda: unroll(
            jax.tree.map(lambda leaf: leaf.astype(jnp.float16), PARAMS),
            None,
            XS.astype(jnp.float16),
            implementation="native",
        ),
        ValueError,
        "`implementation='native'` cannot run this cell: .*float32, float64 and bfloat16, "
        "not for float16",
    ),
    "explanation of a number": (
        lambda: jaxrnn.explain(3, XS),
        TypeError,
        "`cell` must be a Cell such as",
    ),
    "a pair from update": (
        lambda: unroll(cell=CELL._replace(update=paired)),
        TypeError,
        r"`update` must return the new carry alone, and returned a pair.*`output\(params, carry",
    ),
    "a pair from update of a cell of one array": (
        lambda: jaxrnn.unroll(
            jaxrnn.Cell(
                lambda key, x: (),
                lambda params, x: jnp.zeros_like(x),
                lambda params, x: x,
                jaxrnn.authoring.nothing,
                lambda params, h, u, v: (h + u, h),
            ),
            (),
            None,
            XS,
        ),
        TypeError,
        "`update` must return the new carry alone",
    ),
    "a recur that is not linear": (
        lambda: unroll(cell=CELL._replace(recur=curved)),
        ValueError,
        r"`recur` of lstm\(4\)._replace\(recur=curved\) must be linear.*term `tanh` of float32",
    ),
    "a recur that is not linear inside of jit": (
        lambda: unroll(cell=CELL._replace(recur=squared), implementation="scan"),
        ValueError,
        "its term `mul` of float32.* is not",
    ),
    "an initial carry without batch axes": (
        lambda: unroll(carry=None, cell=CELL._replace(init_carry=unbatched)),
        ValueError,
        r"`init_carry` must return a carry with the batch axes.*float32\(3, 4\).*float32\(4,\)",
    ),
    "a carry without an output": (
        lambda: jaxrnn.unroll(
            CELL._replace(
                init_carry=lambda params, x: (x, x),
                project=lambda params, x: x,
                recur=jaxrnn.authoring.nothing,
                update=lambda params, carry, u, v: carry,
            ),
            PARAMS,
            None,
            XS,
        ),
        TypeError,
        "has no field `h` to be the output: give the cell an `output",
    ),
    "a key for the step of a cell": (
        lambda: jaxrnn.step(CELL, PARAMS, CARRY, XS[0], key=KEY),
        ValueError,
        "`key` is for a layer",
    ),
    "two pools": (
        lambda: jaxrnn.stack(jaxrnn.rnn(CELL), jaxrnn.pool_last, jaxrnn.pool_mean),
        ValueError,
        "argument 2 of `stack` is a second pool",
    ),
    "a pool in a stack within a stack": (
        lambda: jaxrnn.stack(
            jaxrnn.stack(jaxrnn.rnn(CELL), jaxrnn.pool_last), jaxrnn.dense(2)
        ).init(KEY, XS),
        ValueError,
        "`stack` has a layer that pools over time.*Put the pool itself into this stack",
    ),
    "chunks of a layer that pools": (
        lambda: jaxrnn.remat(jaxrnn.stack(jaxrnn.rnn(CELL), jaxrnn.pool_last)).apply(
            (PARAMS, ()), None, XS
        ),
        ValueError,
        "`remat` needs a layer that returns a sequence",
    ),
    "a summary of a cell": (
        lambda: jaxrnn.summary(CELL, XS),
        TypeError,
        r"`model` must be a Layer, got Cell.*rnn\(cell\)",
    ),
    "zoneout of everything": (
        lambda: jaxrnn.zoneout(CELL, 1.0),
        ValueError,
        r"`rate` must be in \[0, 1\), got 1.0",
    ),
    "zoneout of a leaf by a word": (
        lambda: jaxrnn.zoneout(CELL, jaxrnn.LSTMCarry(0.1, "c")),
        TypeError,
        r"`rate` must be a number in \[0, 1\), got str",
    ),
    "zoneout with the rates of another cell": (
        lambda: unroll(cell=jaxrnn.zoneout(CELL, jaxrnn.HiddenCarry(0.1))),
        ValueError,
        r"`rate` must be a number, or a carry.*LSTMCarry.*got HiddenCarry\(h=0.1\)",
    ),
    "zoneout of a layer": (
        lambda: jaxrnn.zoneout(jaxrnn.rnn(CELL), 0.1),
        TypeError,
        r"`cell` must be a Cell, got the Layer rnn\(lstm\(4\)\)",
    ),
    "zoneout outside of state dropout": (
        lambda: jaxrnn.rnn(jaxrnn.zoneout(jaxrnn.state_dropout(CELL, 0.1), 0.1)).apply(
            PARAMS, None, XS, key=KEY
        ),
        ValueError,
        "`zoneout` must be inside `state_dropout`",
    ),
    "candidate dropout of a wrapped cell": (
        lambda: jaxrnn.candidate_dropout(jaxrnn.zoneout(CELL, 0.1), 0.1),
        TypeError,
        "`cell` must have an `update` that takes `drop`.*innermost",
    ),
    "candidate dropout without a candidate": (
        lambda: jaxrnn.candidate_dropout(jaxrnn.elman(H), 0.1),
        TypeError,
        "`cell` must have an `update` that takes `drop`",
    ),
    "candidate dropout below 0": (
        lambda: jaxrnn.candidate_dropout(CELL, -0.1),
        ValueError,
        r"`rate` must be in \[0, 1\), got -0.1",
    ),
    "state dropout of a cell that does not split": (
        lambda: jaxrnn.state_dropout(WHOLE, 0.1),
        ValueError,
        "`state_dropout` changes the carry between.*made by `from_step`",
    ),
    "noise with a key of integers": (
        lambda: jaxrnn.rnn(jaxrnn.zoneout(CELL, 0.1)).apply(PARAMS, None, XS, key=3),
        TypeError,
        "`key` must be a key of jax.random, got int",
    ),
    "noise with the count of another batch": (
        lambda: jaxrnn.rnn(jaxrnn.zoneout(CELL, 0.1)).apply(
            PARAMS, jaxrnn.wrappers.CountedCarry(CARRY, jnp.zeros(2, jnp.int32)), XS, key=KEY
        ),
        ValueError,
        r"`carry.position` must have shape \(3,\), got \(2,\).*counts the steps",
    ),
    "DropConnect without recurrent weights": (
        lambda: jaxrnn.drop_connect(jaxrnn.learned_carry(CELL), 0.1).init(KEY, XS[0]),
        ValueError,
        "`fields` name recurrent_kernel, and the parameters of this cell are params, carry",
    ),
    "DropConnect of a layer": (
        lambda: jaxrnn.drop_connect(jaxrnn.dense(3), 0.1),
        TypeError,
        r"`cell` must be a Cell, got the Layer dense\(3\)",
    ),
    "weight norm without kernels": (
        lambda: jaxrnn.weight_norm(CELL._replace(init=lambda key, x: jnp.zeros(3))).init(KEY, XS),
        ValueError,
        "have no array with two axes",
    ),
    "weight norm with the parameters of the cell": (
        lambda: jaxrnn.rnn(jaxrnn.weight_norm(CELL)).apply(PARAMS, None, XS),
        TypeError,
        r"`params` must be WeightNormParams\(params, gains\), got LSTMParams",
    ),
    "a learned carry outside of state dropout": (
        lambda: jaxrnn.learned_carry(jaxrnn.state_dropout(CELL, 0.1)).init(KEY, XS[0]),
        ValueError,
        "`learned_carry` must be inside `state_dropout`",
    ),
    "a learned carry for symbols": (
        lambda: jaxrnn.learned_carry(CELL).init(KEY, jnp.zeros(B, jnp.int32)),
        TypeError,
        "`x` must be floating",
    ),
    "a clip outside of state dropout": (
        lambda: unroll(
            carry=None, cell=jaxrnn.clip_carry_gradient(jaxrnn.state_dropout(CELL, 0.1), 1.0)
        ),
        ValueError,
        "`clip_carry_gradient` must be inside `state_dropout`",
    ),
    "gains of another cell": (
        lambda: unroll(
            jaxrnn.wrappers.WeightNormParams(PARAMS, (PARAMS.bias,)),
            cell=jaxrnn.weight_norm(CELL),
        ),
        TypeError,
        r"`params` must be WeightNormParams\(.*gains=LSTMParams.*another cell",
    ),
    "noise of infinite deviation": (
        lambda: jaxrnn.noisy_carry(jaxrnn.rnn(CELL), float("inf")),
        ValueError,
        "`stddev` must be a finite number",
    ),
    "noise of another shape": (
        lambda: unroll(
            cell=jaxrnn.zoneout(CELL, 0.1),
            xs=jaxrnn.Noisy(XS, ([jnp.ones((T, H), bool)] * 2, None)),
        ),
        ValueError,
        r"`noise` must begin with the leading axes \(3,\) of its input, got \(4,\)",
    ),
    "a position that is no array": (
        lambda: jaxrnn.dropout(0.1).apply((), jaxrnn.layers.DropoutCarry(0), XS),
        TypeError,
        "`carry.position` must be an array, got int",
    ),
    "a rate that is a flag": (
        lambda: jaxrnn.dropout(False),
        TypeError,
        r"`rate` must be a number in \[0, 1\), got bool",
    ),
    "a clipped activation that is no function": (
        lambda: jaxrnn.activations.clipped(None, 1.0),
        TypeError,
        "`activation` must be a function such as jnp.tanh, got None",
    ),
    "an activation clipped below 0": (
        lambda: jaxrnn.activations.clipped(jnp.tanh, -1.0),
        ValueError,
        "`limit` must be 0 or more, got -1.0",
    ),
    "windows without a carry": (
        lambda: jaxrnn.training.train_windows(lambda *_: None, (), None, XS, 2),
        ValueError,
        "`carry` must be given",
    ),
    "windows whose carry is a number": (
        lambda: jaxrnn.training.train_windows(lambda *_: None, (), 0.0, XS, 2),
        TypeError,
        "`carry` must be an array or a pytree of arrays, got float",
    ),
    "windows whose carry changes": (
        lambda: jaxrnn.training.train_windows(lambda s, c, w: (s, c.h, 0.0), (), CARRY, XS, 2),
        TypeError,
        "`carry after a window` must be LSTMCarry.*Every window must hand on a carry like",
    ),
    "windows of different length": (
        lambda: jaxrnn.training.train_windows(lambda *_: None, (), CARRY, (XS, XS[1:]), 2),
        ValueError,
        "`batch` is time-first",
    ),
    "a limit of 0": (
        lambda: jaxrnn.clip_carry_gradient(CELL, 0),
        ValueError,
        "`limit` must be a finite number above 0, got 0",
    ),
    "a limit of words": (
        lambda: jaxrnn.clip_carry_gradient(CELL, "small"),
        TypeError,
        "`limit` must be a number above 0, got str",
    ),
    "a learned carry with the parameters of the cell": (
        lambda: jaxrnn.learned_carry(CELL).init_carry(PARAMS, XS[0]),
        TypeError,
        r"`params` must be LearnedCarryParams\(params, carry\), got LSTMParams",
    ),
    "windows of no step": (
        lambda: jaxrnn.training.train_windows(lambda *_: None, (), CARRY, XS, 0),
        ValueError,
        "`window` must be a positive integer, got 0",
    ),
    "windows of nothing": (
        lambda: jaxrnn.training.train_windows(lambda *_: None, (), CARRY, XS[:0], 3),
        ValueError,
        "`batch` has no time step",
    ),
    "penalty with a mask of another batch": (
        lambda: jaxrnn.losses.temporal_activation_penalty(XS, MASK.T),
        ValueError,
        "`mask` must match",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_named(case):
    call, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("case", ["feature size", "carry of another batch", "mask transposed"])
def test_it_is_named_under_jit_too(case):
    call, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        jax.jit(call)()


def test_nothing_is_raised_from_inside_a_scan(monkeypatch):
    monkeypatch.setattr(jax.lax, "scan", None)
    for call, error, message in WRONG.values():
        with pytest.raises(error, match=message):
            call()


def test_lengths_are_not_read_under_jit():
    mask = jax.jit(functools.partial(jaxrnn.length_mask, num_steps=T))(jnp.array([0, 3, 9]))
    np.testing.assert_array_equal(mask.sum(axis=0), [0, 3, T])


def test_lengths_that_are_known_are_read_under_jit():
    lengths = jnp.array([2, 0])
    mask = jax.jit(lambda: jaxrnn.length_mask(lengths, 3))()
    np.testing.assert_array_equal(mask.sum(axis=0), [2, 0])
    with pytest.raises(ValueError, match="`lengths` must be from 0 to 1, got"):
        jax.jit(lambda: jaxrnn.length_mask(lengths, 1))()


def test_symbols_outside_of_the_table_become_nan():
    layer = jaxrnn.embed(3, 2)
    params = layer.init(KEY, jnp.zeros(1, jnp.int32))
    symbols = jnp.array([0, 2, 3, -1])
    _, ys = jax.jit(layer.apply)(params, None, symbols)
    np.testing.assert_array_equal(np.isnan(ys).any(axis=-1), [False, False, True, True])
    with pytest.raises(ValueError, match="`xs` must be from 0 to 2, got values from -1 to 3"):
        layer.apply(params, None, symbols)
