"""Progress bars: every item passes, and scores are read only when they are shown."""

import io
import sys

import jax.numpy as jnp
import pytest

from jaxrnn.training import progress


class Loss:
    """A score that counts how often it is read."""

    def __init__(self):
        self.reads = 0

    def __float__(self):
        self.reads += 1
        return 0.123456


class Terminal(io.StringIO):
    def isatty(self):
        return True


def use_terminal(monkeypatch):
    """Called within a test, because pytest replaces stderr after the fixtures."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return terminal


def fill(iterable, scores, **choices):
    return [x for x in progress(iterable, scores, **choices) if not scores.update(step=x)]


def test_lines_where_there_is_no_terminal(capsys):
    scores = {}
    assert fill(range(3), scores, every=0) == [0, 1, 2]
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in lines] == ["1/3", "2/3", "3/3"]
    assert [line.split()[-1] for line in lines] == ["0", "1", "2"]
    assert fill((x for x in range(2)), scores) == [0, 1]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.split()[0] == "2"


def test_scores_are_read_only_when_they_are_shown(capsys):
    loss = Loss()
    for _ in progress(range(1000), {"loss": loss}, every=3600):
        assert loss.reads == 0
    assert loss.reads == 1
    assert "1000/1000" in capsys.readouterr().err
    list(progress(range(7), {"loss": loss}, every=0))
    assert loss.reads == 8
    assert "loss 0.1235" in capsys.readouterr().err


def test_a_bar_on_a_terminal(monkeypatch):
    pytest.importorskip("rich", reason="rich is not installed")
    terminal = use_terminal(monkeypatch)
    scores = {"loss [nats]": jnp.float32(0.25)}
    assert fill(range(3), scores) == [0, 1, 2]
    assert "3/3" in terminal.getvalue()
    assert "loss [nats] 0.25  step 2" in terminal.getvalue()
    assert "━" in terminal.getvalue()
    loss = Loss()
    for _ in progress(range(100), {"loss": loss}, every=3600):
        assert loss.reads == 0
    assert loss.reads == 1


def test_lines_on_a_terminal_without_rich(monkeypatch):
    terminal = use_terminal(monkeypatch)
    monkeypatch.setitem(sys.modules, "rich", None)
    fill([5], {"loss": 1})
    assert terminal.getvalue() == "1/1  0 s  loss 1  step 5\n"


def test_a_loop_that_ends_early(capsys):
    for x in progress(range(9), {}, every=3600):
        if x == 4:
            break
    assert capsys.readouterr().err.split()[0] == "4/9"

    def fail():
        for x in progress(range(9), every=3600):
            {}[x]

    with pytest.raises(KeyError):
        fail()
    assert capsys.readouterr().err.split()[0] == "0/9"


WRONG = {
    "a number": ((3,), {}, TypeError, "`iterable` must be iterable, got int"),
    "a list of scores": (
        ([], ["loss"]),
        {},
        TypeError,
        "`scores` must be a dict of numbers by name, got list",
    ),
    "back in time": (([],), {"every": -1}, ValueError, "`every` must be .* 0 or more, got -1"),
    "never": (([],), {"every": "never"}, ValueError, "`every` must be a number of seconds"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_named(case):
    args, choices, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        progress(*args, **choices)


@pytest.mark.parametrize("score", [jnp.ones(2), "low", None])
def test_a_wrong_score_is_named(score):
    with pytest.raises(TypeError, match=r"`scores\['loss'\]` must be one number, got"):
        list(progress([1], {"loss": score}, every=0))
