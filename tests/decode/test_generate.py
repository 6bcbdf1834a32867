"""Generation, beside a Python loop over the steps of one sequence."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxrnn.decode import categorical, generate, greedy
from tests.decode.models import Reader, language_model, prompts
from tests.laws.compiled import compilations

L, STOP = 6, 1
KEY = jax.random.key(1)
PROMPT, MASK = prompts([3, 2, 1, 3, 2], 3)
MEMORY = jax.random.normal(jax.random.key(3), (5, 2, 2), jnp.float32)


@functools.lru_cache
def generated(kind="gru", stop=STOP, sample=categorical()):
    model, params = language_model(kind)
    context = {"memory": MEMORY} if kind == "attention" else None
    options = {"stop": stop, "mask": MASK, "context": context, "sample": sample}
    return generate(model, params, PROMPT, KEY, L, **options)


@pytest.mark.parametrize("kind", ["attention", pytest.param("lstm", marks=pytest.mark.thorough)])
def test_equals_a_loop_of_steps(kind):
    out, keys = generated(kind), jax.random.split(KEY, 5)
    for row in range(5):
        symbols = list(PROMPT[MASK[:, row], row])
        reader = Reader(kind, {"memory": MEMORY[row]} if kind == "attention" else None)
        for i in range(L):
            log_p = reader.log_p(symbols)
            symbol = int(categorical()(jax.random.fold_in(keys[row], i), jnp.asarray(log_p)))
            assert out.symbols[i, row] == symbol
            assert out.mask[i, row] == (symbol != STOP)
            symbols.append(symbol)
            if symbol == STOP:
                assert (out.symbols[i:, row] == STOP).all()
                assert not out.mask[i:, row].any()
                break
    assert not out.mask.all(axis=0).all()
    assert out.mask.all(axis=0).any()


def test_a_row_gives_what_it_gives_alone():
    model, params = language_model()
    out, keys = generated(), jax.random.split(KEY, 5)
    for row in range(5):
        prompt = PROMPT[MASK[:, row], row]
        alone = generate(model, params, prompt, keys[row], L, stop=STOP)
        np.testing.assert_array_equal(out.symbols[:, row], alone.symbols)
        np.testing.assert_array_equal(out.mask[:, row], alone.mask)
        np.testing.assert_allclose(out.carry[1].h[row], alone.carry[1].h, rtol=1e-5, atol=1e-6)


def test_jit_and_vmap_draw_the_same():
    model, params = language_model()
    run = functools.partial(generate, model, params, length=L, stop=STOP)

    def of_row(prompt, key, mask):
        return run(prompt, key, mask=mask)

    out, keys = generated(), jax.random.split(KEY, 5)
    jitted = jax.jit(of_row)(PROMPT, keys, MASK)  # a key for each row
    mapped = jax.vmap(of_row, (1, 0, 1), 1)
    for other in jitted, mapped(PROMPT, keys, MASK)._replace(carry=None):
        np.testing.assert_array_equal(out.symbols, other.symbols)
        np.testing.assert_array_equal(out.mask, other.mask)


@pytest.mark.parametrize("cut", [pytest.param(1, marks=pytest.mark.thorough), 4])
def test_pieces_are_the_whole(cut):
    model, params = language_model()
    whole, options = generated(), {"stop": STOP}
    one = generate(model, params, PROMPT, KEY, cut, mask=MASK, **options)
    last = one.symbols[-1:], KEY, L - cut
    options |= {"mask": one.mask[-1:], "carry": one.carry, "start": cut}
    two = generate(model, params, *last, **options)
    for name in "symbols", "mask":
        joined = np.concatenate([getattr(one, name), getattr(two, name)])
        np.testing.assert_array_equal(getattr(whole, name), joined)
    np.testing.assert_allclose(whole.carry[1].h, two.carry[1].h, rtol=1e-5, atol=1e-6)


def test_one_program_for_all_prompts_of_a_padded_length():
    model, params = language_model()
    generated()
    with compilations() as compiled:
        for seed in range(3):
            prompt, mask = prompts([1, 3, 2, 1, 2], 3, seed)
            generate(model, params, prompt, jax.random.key(seed), L, stop=STOP, mask=mask)
            again, _ = language_model.__wrapped__()
            generate(again, params, prompt, KEY, L, stop=STOP, mask=mask, sample=categorical())
    assert compiled == []


def test_greedy_needs_no_key():
    model, params = language_model()
    out = generate(model, params, PROMPT, None, L, mask=MASK, sample=greedy)
    assert out.mask.all()
    cold = generate(model, params, PROMPT, KEY, L, mask=MASK, sample=categorical(temperature=0))
    np.testing.assert_array_equal(out.symbols, cold.symbols)


def test_rows_without_numbers_are_minus_one():
    """The others go on as if nothing were there."""
    model, params = language_model()
    start = jax.tree.map(lambda x: x[:5], generated().carry)
    h = start[1].h.at[1].set(jnp.nan)
    carry = (start[0], start[1]._replace(h=h), start[2])
    for stop in None, STOP:
        options = {"mask": MASK, "carry": carry, "stop": stop}
        out = generate(model, params, PROMPT, KEY, L, **options)
        assert (out.symbols[:, 1] == -1).all()
        assert out.mask[:, 1].all()
        assert (out.symbols[:, [0, 2, 3, 4]] >= 0).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32])
def test_integers_of_any_width(dtype):
    model, params = language_model()
    out = generate(model, params, PROMPT.astype(dtype), KEY, L, stop=STOP, mask=MASK)
    np.testing.assert_array_equal(out.symbols, generated().symbols)


LOGITS = np.log([0.05, 0.3, 0.1, 0.35, 0.2])


@pytest.mark.parametrize(
    ("options", "allowed"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"top_k": 2}, [1, 3]),
        ({"top_k": 99}, [0, 1, 2, 3, 4]),
        ({"top_p": 0.3}, [3]),
        ({"top_p": 0.6}, [1, 3]),
        ({"top_p": 0.66}, [1, 3, 4]),
        ({"top_p": 1.0}, [0, 1, 2, 3, 4]),
        ({"min_p": 0.5}, [1, 3, 4]),
        ({"min_p": 1.0}, [3]),
        ({"min_p": 0.0}, [0, 1, 2, 3, 4]),
        ({"top_k": 3, "min_p": 0.8}, [1, 3]),
        ({"temperature": 0.5, "top_p": 0.6}, [1, 3]),
        ({"temperature": 1e6}, [0, 1, 2, 3, 4]),
        ({"temperature": 0.0}, [3]),
    ],
)
def test_what_a_sampler_draws(options, allowed):
    keys = jax.random.split(jax.random.key(0), 20_000)
    sample = categorical(**options)
    drawn = jax.jit(jax.vmap(lambda key: sample(key, jnp.asarray(LOGITS))))(keys)
    p = np.exp((LOGITS - LOGITS.max()) / max(options.get("temperature", 1), 1e-9))
    p = np.where(np.isin(np.arange(5), allowed), p, 0)
    shares = np.bincount(drawn, minlength=5) / len(drawn)
    np.testing.assert_allclose(shares, p / p.sum(), atol=0.015)  # 4 standard deviations
    assert set(np.unique(drawn)) == set(allowed)


def test_a_sampler_may_be_traced():
    model, params = language_model()

    @jax.jit
    def run(temperature):
        sample = categorical(temperature=temperature)
        return generate(model, params, PROMPT, KEY, L, sample=sample, mask=MASK)

    np.testing.assert_array_equal(run(0.0).symbols, run(1e-6).symbols)


def test_equal_samplers_are_equal():
    assert repr(categorical(top_k=3)) != repr(categorical(top_k=4))


@pytest.mark.parametrize("options", [{}, {"top_k": 2}, {"top_p": 0.5}, {"min_p": 0.5}])
def test_an_infinite_logit_is_certain(options):
    logits = jnp.array([0.0, 1.0, jnp.inf, 2.0])
    assert categorical(**options)(KEY, logits) == 2


def test_traced_symbols_beyond_int32_are_none():
    model, params = language_model()
    large = jnp.array([[2**32 + 3, 1]])
    out = jax.jit(lambda x: generate(model, params, x, None, 2, sample=greedy))(large)
    assert (out.symbols[:, 0] == -1).all()
    assert (out.symbols[:, 1] >= 0).all()
