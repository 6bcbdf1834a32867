"""Beam search, beside an exhaustive search and a plain loop with lists."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxrnn
from jaxrnn.decode import beam_search
from tests.decode.models import Reader, V, language_model, prompts

L, STOP = 3, 1
PROMPT, MASK = prompts([3, 2, 1], 3)
MEMORY = jax.random.normal(jax.random.key(3), (3, 2, 2), jnp.float32)


def score(log_p, count, penalty):
    return log_p / ((5 + count) / 6) ** penalty


def every_sequence(reader, prompt, stop, penalty):
    """All sequences of at most L symbols with their scores, the best first."""
    found = []

    def extend(symbols, log_p):
        if len(symbols) == L or (symbols and symbols[-1] == stop):
            found.append((score(log_p, len(symbols), penalty), symbols))
            return
        following = reader.log_p([*prompt, *symbols])
        for symbol in range(V):
            extend((*symbols, symbol), log_p + following[symbol])

    extend((), 0.0)
    return sorted(found, key=lambda pair: -pair[0])


def in_full(symbols, stop):
    """A sequence as `beam_search` returns it: the symbols, and how many are before `stop`."""
    real = list(itertools.takewhile(lambda symbol: symbol != stop, symbols))
    return real + [0 if stop is None else stop] * (L - len(real)), len(real)


@pytest.mark.parametrize(
    ("kind", "stop", "penalty"),
    [
        ("gru", STOP, 1.5),
        *(
            pytest.param(*case, marks=pytest.mark.thorough)
            for case in [("gru", None, 0.0), ("lstm", STOP, 0.0), ("attention", STOP, 1.5)]
        ),
    ],
)
def test_with_all_beams_it_is_an_exhaustive_search(kind, stop, penalty):
    model, params = language_model(kind)
    context = {"memory": MEMORY} if kind == "attention" else None
    options = {"stop": stop, "length_penalty": penalty, "mask": MASK, "context": context}
    out = beam_search(model, params, PROMPT, V**L, L, **options)
    for row in range(3):
        reader = Reader(kind, {"memory": MEMORY[row]} if kind == "attention" else None)
        want = every_sequence(reader, PROMPT[MASK[:, row], row], stop, penalty)
        scores = np.array([s for s, _ in want])
        np.testing.assert_allclose(out.scores[row, : len(want)], scores, rtol=1e-4, atol=1e-5)
        assert (out.scores[row, len(want) :] == -np.inf).all()
        assert not out.mask[:, row, len(want) :].any()
        for i, (_, symbols) in enumerate(want[:5]):
            full, length = in_full(symbols, stop)
            np.testing.assert_array_equal(out.symbols[:, row, i], full)
            assert out.mask[:, row, i].sum() == length


def beams_by_hand(log_p_of, beams, length, stop, penalty):
    """The definition, with lists."""
    live, ended = [((), 0.0)], []
    for _ in range(length):
        longer = [
            ((*symbols, symbol), log_p + following)
            for symbols, log_p in live
            for symbol, following in enumerate(log_p_of(symbols))
        ]
        ended += [(score(p, len(s), penalty), s) for s, p in longer if s[-1] == stop]
        longer = [pair for pair in longer if pair[0][-1] != stop]
        live = sorted(longer, key=lambda pair: -pair[1])[:beams]
        ended = sorted(ended, key=lambda pair: -pair[0])[:beams]
    ended += [(score(p, length, penalty), s) for s, p in live]
    return sorted(ended, key=lambda pair: -pair[0])[:beams]


@pytest.mark.parametrize(("beams", "stop"), [(1, None), (5, STOP)])
def test_narrow_beams(beams, stop):
    model, params = language_model()
    out = beam_search(model, params, PROMPT, beams, L, stop=stop, length_penalty=0.6, mask=MASK)
    reader = Reader("gru")
    for row in range(3):
        prompt = PROMPT[MASK[:, row], row]

        def log_p_of(symbols, prompt=prompt):
            return reader.log_p([*prompt, *symbols])

        want = beams_by_hand(log_p_of, beams, L, stop, 0.6)
        for i, (value, symbols) in enumerate(want):
            np.testing.assert_allclose(out.scores[row, i], value, rtol=1e-4)
            np.testing.assert_array_equal(out.symbols[:, row, i], in_full(symbols, stop)[0])


def tied_model(logits):
    """A model whose logits after symbol k are row k of a table."""
    table = jaxrnn.layers.EmbedParams(jnp.asarray(logits))
    return jaxrnn.embed(len(logits), len(logits)), table


@pytest.mark.parametrize("stop", [None, 2])
def test_ties(stop):
    """Of equal scores, the sequence that ended first, then the one of the better beam."""
    model, params = tied_model(np.zeros((3, 3), np.float32))
    out = beam_search(model, params, jnp.array([1]), 27, 3, stop=stop)
    rows = {tuple(out.symbols[:, i].tolist()) for i in range(27) if out.scores[i] > -np.inf}
    ends = {in_full(s, stop)[0].__str__() for s in itertools.product(range(3), repeat=3)}
    assert {str(list(row)) for row in rows} == ends
    assert len(rows) == (27 if stop is None else 1 + 2 + 4 + 8)
    assert (np.diff(out.scores[: len(rows)]) <= 0).all()
    again = beam_search(model, params, jnp.array([1]), 4, 3, stop=stop)
    np.testing.assert_array_equal(again.scores, out.scores[:4])


def test_a_symbol_that_is_excluded_is_in_no_sequence():
    logits = np.array([[0.0, 1.0, -np.inf], [1.0, -np.inf, -np.inf], [0.0, 0.0, 0.0]], np.float32)
    model, params = tied_model(logits)
    out = beam_search(model, params, jnp.array([0]), 9, 2)
    assert (out.scores > -np.inf).sum() == 3  # 00, 01, 10
    assert not np.isnan(out.scores).any()
    dead_end = logits.copy()
    dead_end[1] = -np.inf
    model, params = tied_model(dead_end)
    out = beam_search(model, params, jnp.array([0]), 9, 2)
    assert (out.scores > -np.inf).sum() == 2  # 00, 01
    assert not np.isnan(out.scores).any()


def test_numbers_that_are_none():
    model, params = tied_model(np.array([[0, 1, 2], [0, np.nan, 1], [0, 0, 0]], np.float32))
    out = beam_search(model, params, jnp.array([[0, 1]]), 2, 1, stop=0)
    assert not np.isnan(out.scores[0]).any()
    assert np.isnan(out.scores[1]).all()
    assert (out.symbols[:, 1] == -1).all()


def test_a_row_gives_what_it_gives_alone():
    """With a carry, as after an encoder; jit changes nothing."""
    model, params = language_model("lstm")
    carry, _ = model.apply(params, None, jnp.asarray(PROMPT % V))
    options = {"stop": STOP, "length_penalty": 1.0}
    last = jnp.asarray(PROMPT[-1:] % V)
    out = beam_search(model, params, last, 3, L, carry=carry, **options)
    jitted = jax.jit(lambda c: beam_search(model, params, last, 3, L, carry=c, **options))(carry)
    np.testing.assert_array_equal(out.symbols, jitted.symbols)
    for row in range(3):
        own = jax.tree.map(lambda x, row=row: x[row], carry)
        alone = beam_search(model, params, last[:, row], 3, L, carry=own, **options)
        np.testing.assert_array_equal(out.symbols[:, row], alone.symbols)
        np.testing.assert_allclose(out.scores[row], alone.scores, rtol=1e-5)


def test_a_carry_may_hold_what_all_rows_share():
    def init_carry(params, x):
        return {"h": jnp.zeros((*x.shape[:-1], V), x.dtype), "step": jnp.int32(0)}

    def update(params, carry, u, v):
        gain = (1 + carry["step"] % 2).astype(v.dtype)
        return {"h": u + gain * v, "step": carry["step"] + 1}

    cell = jaxrnn.Cell(
        lambda key, x: jnp.eye(V, dtype=x.dtype),
        init_carry,
        lambda params, x: x @ params,
        lambda params, carry: carry["h"] @ params,
        update,
        lambda params, carry, u: carry["h"],
    )
    model = jaxrnn.stack(jaxrnn.embed(V, V), jaxrnn.rnn(cell))
    params = model.init(jax.random.key(0), PROMPT)
    carry = model.init_carry(params, jnp.asarray(PROMPT))
    out = beam_search(model, params, PROMPT % V, 3, L, carry=carry)
    alone = beam_search(model, params, PROMPT[:, 1] % V, 3, L)
    np.testing.assert_array_equal(out.symbols[:, 1], alone.symbols)
