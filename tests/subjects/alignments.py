"""Losses over alignments by their definition: the sum over every alignment. Of one sequence.

Both return -log p and its gradient, which is inf and zeros where no alignment is possible.
"""

import itertools

import numpy as np


def ctc(logits, symbols, blank=0):
    """Of logits (T, K): the paths of classes (T,) that become the symbols (U,)."""
    num_steps, num_classes = logits.shape
    paths = np.array(list(itertools.product(range(num_classes), repeat=num_steps)), int)
    before = np.concatenate([np.full((len(paths), 1), -1), paths[:, :-1]], axis=1)
    is_kept = (paths != before[:, :num_steps]) & (paths != blank)
    is_long = is_kept.sum(axis=1) == len(symbols)
    kept = paths[is_long][is_kept[is_long]].reshape(is_long.sum(), len(symbols))
    right = paths[is_long][(kept == np.asarray(symbols)).all(axis=1)]
    return _sum(logits, (np.arange(num_steps)[None], right))


def rnnt(logits, symbols, blank=0):
    """Of logits (T, U + 1, K): the steps at which the symbols (U,) are emitted do not decrease."""
    num_steps, count = len(logits), len(symbols)
    when = list(itertools.combinations_with_replacement(range(num_steps), count))
    when = np.array(when, int).reshape(len(when), count)
    steps = np.broadcast_to(np.arange(num_steps), (len(when), num_steps))
    read = (when[:, None] <= steps[..., None]).sum(axis=-1)
    place = np.broadcast_to(np.arange(count), when.shape)
    classes = [np.broadcast_to(np.asarray(symbols, int), when.shape), np.full_like(steps, blank)]
    parts = ([when, steps], [place, read], classes)
    return _sum(logits, tuple(np.concatenate(part, axis=1) for part in parts))


def _sum(logits, paths):
    """-log of the sum over paths, of the product of what is at their indices (P, N) of softmax."""
    logits = np.asarray(logits, float)
    log_p = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    each = log_p[paths].sum(axis=-1)
    total = np.logaddexp.reduce(each)
    if total == -np.inf:
        return np.inf, np.zeros_like(logits)
    counts = np.zeros_like(logits)  # how often each is expected, given the symbols
    np.add.at(counts, paths, np.exp(each - total)[:, None])
    return -total, np.exp(log_p) * counts.sum(axis=-1, keepdims=True) - counts
