"""``implementation="pallas"``: the loop over time as one kernel, for any cell that splits."""

from jaxrnn.engines._table import Engine, why_not_by_rule


def _why_not(cell, call, traits):
    problem = why_not_by_rule(cell, call, traits)
    if problem or call is None:
        return problem
    from jaxrnn.engines.pallas._when import why_not

    return why_not(cell, call)


def _why_not_chosen(cell, call, traits):
    return "available, not measured here: name it"


def _run(cell, loop, call):
    from jaxrnn.engines.pallas._engine import run

    return run(cell, loop, call)


PALLAS = Engine("pallas", _why_not, _why_not_chosen, _run)
