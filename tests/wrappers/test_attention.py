"""Attention to a memory, beside a NumPy loop written from the equations."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.engines.cpu._library import problem
from tests.laws import oracle
from tests.laws.compiled import hlo
from tests.laws.tables import B, H, I, T, assert_close, assert_same, noisy, total

S, D, A = 6, 4, 3
KEY = jax.random.key(0)
XS = jax.random.normal(KEY, (T, B, I), jnp.float64)
MEMORY = jax.random.normal(jax.random.key(1), (B, S, D), jnp.float64)
ENTRIES = jaxrnn.length_mask(jnp.array([S, 0, 2]), S).T
CONTEXT = {"memory": MEMORY, "memory_mask": ENTRIES}

every_kind = pytest.mark.parametrize("feed_back", [False, True])
every_score = pytest.mark.parametrize(
    ("score", "feed_back"),
    [*((s, f) for s in ("dot", "general", "additive") for f in (False, True)), ("location", True)],
)
NATIVE = pytest.param(
    "native",
    marks=pytest.mark.skipif(problem() is not None, reason="the native kernels were not built"),
)
W = 4  # of the convolution of "location"


def attending(score, feed_back):
    options = {"size": A, "feed_back": feed_back}
    if score == "location":
        options |= {"num_entries": S, "width": W}
    cell = jaxrnn.attention(jaxrnn.lstm(H), D, score=score, **options)
    return cell, noisy(cell.init(KEY, XS[0]), jax.random.key(2))


def attend(params, h, memory, before):
    """What one state reads from the entries (S', D) of one sequence, and the weights."""
    if not len(memory):
        return np.zeros(D), before
    query = h if params.query is None else h @ params.query
    if params.score is None:
        scores = memory @ query
    else:
        inner = query + memory @ params.key
        if params.location is not None:
            inner += [located(params.location, before, s) for s in range(len(memory))]
        scores = np.tanh(inner) @ params.score
    weights = np.exp(scores - scores.max())
    weights /= weights.sum()
    return weights @ memory, weights


def located(kernel, weights, entry):
    """The convolution of the weights, at one entry: its window begins (W - 1) // 2 before it."""
    terms = [(entry + w - (W - 1) // 2, kernel[w]) for w in range(W)]
    return sum(weights[s] * row if 0 <= s < len(weights) else 0 * row for s, row in terms)


def loop(params, xs, memory, feed_back):
    """The carry and the outputs of one sequence, step by step."""
    params = jax.tree.map(np.asarray, params)
    h, c, weights = np.zeros(H), np.zeros(H), np.zeros(len(memory))
    ys = []
    for x in np.asarray(xs):
        cell = params.cell
        if feed_back:
            read, weights = attend(params, h, memory, weights)
            cell = cell._replace(bias=cell.bias + read @ params.feed)
        (h, c), _ = oracle.lstm(cell, (h, c), x)
        if not feed_back:
            read, _ = attend(params, h, memory, weights)
        ys.append(np.concatenate([h, read]))
    return (h, c), np.stack(ys), weights


@pytest.mark.parametrize("score", ["dot", "general", "additive", "location"])
def test_a_memory_that_is_fed_back_has_no_program(score):
    """However many steps there are: None takes another engine."""
    cell, params = attending(score, True)
    xs = jnp.zeros((64, *XS.shape[1:]))
    assert jaxrnn.explain(cell, xs, params=params, context=CONTEXT).implementation == "xla"
    jaxrnn.unroll(cell, params, None, xs, context=CONTEXT)


def test_an_output_that_reads_a_memory_leaves_the_step_its_program():
    cell = jaxrnn.attention(jaxrnn.coupled_lstm(H), D)
    xs = jax.random.normal(KEY, (64, *XS.shape[1:]))
    params = cell.init(KEY, xs[0])

    def gradient(implementation):
        def loss(params, xs):
            options = {"context": CONTEXT, "implementation": implementation}
            return total(jaxrnn.unroll(cell, params, None, xs, **options))

        return jax.value_and_grad(loss, (0, 1))(params, xs)

    assert_close(gradient(None), gradient("scan"), 1e-12)


@every_score
@pytest.mark.parametrize("implementation", ["scan", "xla", NATIVE])
def test_attention_is_its_equations(score, feed_back, implementation):
    if implementation == "native" and feed_back:
        pytest.skip("a program has no parameters with batch axes, which a memory has")
    cell, params = attending(score, feed_back)
    carry, ys = jaxrnn.unroll(
        cell, params, None, XS, context=CONTEXT, implementation=implementation
    )
    inner = carry.carry if feed_back else carry
    for row in range(B):
        memory = np.asarray(MEMORY[row])[np.asarray(ENTRIES[row])]
        (h, c), want, weights = loop(params, XS[:, row], memory, feed_back)
        np.testing.assert_allclose(ys[:, row], want, atol=1e-12)
        np.testing.assert_allclose(inner.h[row], h, atol=1e-12)
        np.testing.assert_allclose(inner.c[row], c, atol=1e-12)
        if score == "location":
            np.testing.assert_allclose(carry.weights[row][ENTRIES[row]], weights, atol=1e-12)
            assert not carry.weights[row][~ENTRIES[row]].any()


@every_score
def test_padding_of_the_memory_is_never_read(score, feed_back):
    cell, params = attending(score, feed_back)

    def loss(params, memory):
        context = CONTEXT | {"memory": memory}
        return total(jaxrnn.unroll(cell, params, None, XS, context=context))

    run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))
    clean = run(params, jnp.where(ENTRIES[..., None], MEMORY, 0))
    dirty = run(params, jnp.where(ENTRIES[..., None], MEMORY, jnp.nan))
    assert_same(dirty, clean)
    assert not np.asarray(dirty[1][1])[~np.asarray(ENTRIES)].any()


@every_kind
def test_gradients_flow_into_the_memory_by_every_engine(feed_back):
    cell, params = attending("general", feed_back)

    def grads(engine):
        def loss(params, memory):
            context = CONTEXT | {"memory": memory}
            run = functools.partial(jaxrnn.unroll, cell, implementation=engine)
            return total(run(params, None, XS, context=context))

        return jax.jit(jax.grad(loss, argnums=(0, 1)))(params, MEMORY)

    assert_close(grads("xla"), grads("scan"), 1e-12)
    if not feed_back and problem() is None:
        assert_close(grads("native"), grads("scan"), 1e-12)
    assert np.abs(grads("xla")[1]).max() > 1e-3


@pytest.mark.parametrize("score", ["dot", "general", "additive"])
@pytest.mark.parametrize("implementation", ["xla", NATIVE])
def test_no_entry_is_copied_for_each_step(score, implementation):
    """The gradient has no array of steps times entries times features."""
    steps, batch, entries, size = 8, 2, 9, 10
    options = {"score": score, "size": size}
    cell = jaxrnn.attention(jaxrnn.lstm(size), size, **options)
    xs, memory = jnp.ones((steps, batch, 3)), jnp.ones((batch, entries, size))

    def loss(params, memory):
        run = functools.partial(jaxrnn.unroll, cell, implementation=implementation)
        return total(run(params, None, xs, context={"memory": memory}))

    program = hlo(jax.grad(loss, argnums=(0, 1)), cell.init(KEY, xs[0]), memory)
    shapes = re.findall(r"\bf(?:32|64)\[([\d,]+)\]", program)
    sizes = [np.prod([int(n) for n in shape.split(",")]) for shape in shapes]
    assert len(sizes) > 50
    assert max(sizes) < steps * batch * entries * size


@every_kind
def test_a_decoder_streams(feed_back):
    cell, params = attending("general", feed_back)
    layer = jaxrnn.stack(jaxrnn.rnn(cell), jaxrnn.dense(2))
    params = layer.init(KEY, XS)
    carry, want = layer.apply(params, None, XS, context=CONTEXT)
    state, ys = layer.init_carry(params, XS), []
    for x in XS:
        state, y = jaxrnn.step(layer, params, state, x, context=CONTEXT)
        ys.append(y)
    assert_close((state, jnp.stack(ys)), (carry, want), 1e-12)


@pytest.mark.thorough
def test_its_gradient_without_jit():
    layer = jaxrnn.stack(jaxrnn.rnn(attending("general", True)[0]), jaxrnn.dense(2))
    params = layer.init(KEY, XS)

    def loss(params):
        return total(layer.apply(params, None, XS[:2], context=CONTEXT)[1])

    want = jax.jit(jax.grad(loss))(params)
    with jax.disable_jit():
        assert_close(jax.grad(loss)(params), want, 1e-12)


def test_a_memory_can_be_shared_and_mapped():
    cell, params = attending("general", False)
    one = {"memory": MEMORY[0]}
    want = jaxrnn.unroll(cell, params, None, XS[:, :1], context={"memory": MEMORY[:1]})[1]
    assert_close(jaxrnn.unroll(cell, params, None, XS, context=one)[1][:, :1], want, 1e-12)
    run = functools.partial(jaxrnn.unroll, cell, params, None)
    mapped = jax.vmap(lambda xs, context: run(xs, context=context)[1], (1, 0), 1)
    assert_close(mapped(XS, CONTEXT), run(XS, context=CONTEXT)[1], 1e-12)


@pytest.mark.thorough
def test_a_cell_that_draws_can_attend():
    cell = jaxrnn.attention(jaxrnn.zoneout(jaxrnn.lstm(H), 0.3), D)
    layer = jaxrnn.remat(jaxrnn.rnn(cell), chunk=3)
    params = layer.init(KEY, XS)
    noise = layer.apply(params, None, XS, key=KEY, context=CONTEXT)[1]
    plain = layer.apply(params, None, XS, context=CONTEXT)[1]
    assert np.abs(noise - plain).max() > 1e-3
    whole = jaxrnn.rnn(cell).apply(params, None, XS, key=KEY, context=CONTEXT)[1]
    assert_close(noise, whole, 1e-12)


def test_what_a_cell_prepares_from_the_context_is_made_once():
    """A speaker embedding of a user's own, by `prepare`."""
    inner = jaxrnn.gru(H)

    def prepare(params, context):
        speaker = jaxrnn.authoring.context_field(context, "speaker")
        return params._replace(bias=params.bias + speaker)

    cell = inner._replace(prepare=prepare)
    params = cell.init(KEY, XS[0])
    speaker = jax.random.normal(KEY, (3 * H,), jnp.float64)
    got = jaxrnn.unroll(cell, params, None, XS, context={"speaker": speaker})
    want = jaxrnn.unroll(inner, params._replace(bias=params.bias + speaker), None, XS)
    assert_close(got, want, 1e-13)


WRONG = {
    "no reader": (
        lambda cell, params: jaxrnn.rnn(jaxrnn.gru(H)).apply(
            jaxrnn.gru(H).init(KEY, XS[0]), None, XS, context=CONTEXT
        ),
        r"`context` was given, and nothing reads it in rnn\(gru\(4\)\)",
    ),
    "no reader below unroll": (
        lambda cell, params: jaxrnn.unroll(
            jaxrnn.gru(H), jaxrnn.gru(H).init(KEY, XS[0]), None, XS, context=CONTEXT
        ),
        r"`context` was given, and nothing reads it in gru\(4\)",
    ),
    "no context": (
        lambda cell, params: jaxrnn.unroll(cell, params, None, XS),
        "`context` is None, and this cell reads its field `memory`",
    ),
    "a field is missing": (
        lambda cell, params: jaxrnn.unroll(cell, params, None, XS, context={"speaker": MEMORY}),
        r"`context` lacks the field `memory`.*\['speaker'\]",
    ),
    "the wrong width": (
        lambda cell, params: jaxrnn.unroll(
            cell, params, None, XS, context={"memory": MEMORY[..., 1:]}
        ),
        r"`memory` must be \(\.\.\., S, 4\), got float64\(3, 6, 3\)",
    ),
    "time first": (
        lambda cell, params: jaxrnn.unroll(
            cell, params, None, XS, context={"memory": MEMORY.swapaxes(0, 1)}
        ),
        r"must have the batch axes of the inputs.*\(3,\)",
    ),
    "a mask of another shape": (
        lambda cell, params: jaxrnn.unroll(
            cell, params, None, XS, context={"memory": MEMORY, "memory_mask": ENTRIES[:, 1:]}
        ),
        r"`memory_mask` must be bool \(3, 6\)",
    ),
    "too few entries": (
        lambda cell, params: jaxrnn.unroll(
            *attending("location", True), None, XS, context={"memory": MEMORY[:, 1:]}
        ),
        r"`memory` must be \(..., 6, 4\), got float64\(3, 5, 4\). Pad it",
    ),
    "a location that is not fed back": (
        lambda cell, params: attending("location", False),
        "`score='location'` needs `feed_back=True`",
    ),
    "a location without a size": (
        lambda cell, params: jaxrnn.attention(jaxrnn.lstm(H), D, score="location", feed_back=True),
        "`score='location'` needs `num_entries`",
    ),
    "an unknown score": (
        lambda cell, params: jaxrnn.attention(jaxrnn.lstm(H), D, score="cosine"),
        "`score` must be one of",
    ),
    "dot with other widths": (
        lambda cell, params: jaxrnn.attention(jaxrnn.lstm(H), 7, score="dot").init(KEY, XS[0]),
        "needs a hidden state as wide as the memory",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_contexts_are_named(name):
    call, words = WRONG[name]
    with pytest.raises(ValueError, match=words):
        call(*attending("general", False))


def test_the_scores_are_drawn_from_a_narrow_normal_and_apart_from_the_rest():
    cell = jaxrnn.attention(jaxrnn.lstm(H), 2000, score="additive", size=2000, feed_back=True)
    params = cell.init(KEY, XS[0])
    assert 0.09 < params.score.std() < 0.11
    drawn = jaxrnn.attention(
        jaxrnn.lstm(H), 2000, score="additive", size=2000, feed_back=True, score_init=first_row
    ).init(KEY, XS[0])
    assert not np.allclose(drawn.score, drawn.feed[:, 0])


def first_row(key, shape, dtype):
    """The numbers that the initializer of the other weights would draw, in their first column."""
    return jaxrnn.initializers.glorot_uniform()(key, (*shape, 4 * H), dtype)[:, 0]


def test_an_output_that_is_no_array_is_told():
    reader = jaxrnn.attention(jaxrnn.emit_carry(jaxrnn.lstm(4)), 2)
    params = reader.init(jax.random.key(0), jnp.zeros((3, 2)))
    context = {"memory": jnp.zeros((3, 5, 2))}
    with pytest.raises(TypeError, match="which must be one array, and that of emit_carry"):
        jaxrnn.unroll(reader, params, None, jnp.zeros((1, 3, 2)), context=context)
