"""``implementation="native"``: C++ kernels on a CPU. The library is loaded when it is needed."""

from jaxrnn.engines._associative import ASSOCIATIVE
from jaxrnn.engines._table import Engine, why_not_by_rule


def _why_not(cell, call, traits):
    from jaxrnn.engines.cpu._when import why_not

    return why_not_by_rule(cell, call, traits) or why_not(cell, call)


def _why_not_chosen(cell, call, traits):
    from jaxrnn.engines.cpu._when import has_wide_state, keeps_too_much, too_small

    if ASSOCIATIVE.why_not(cell, call, traits) is not None:
        return too_small(cell, call)
    is_wide = has_wide_state(cell, call)
    if not is_wide and ASSOCIATIVE.why_not_chosen(cell, call, traits) is None:
        return 'a linear cell with a small state runs by "associative"'
    return too_small(cell, call, is_wide=is_wide) or keeps_too_much(cell, call)


def _run(cell, loop, call):
    from jaxrnn.engines.cpu import _engine, _program
    from jaxrnn.engines.cpu._when import why_not_written

    engine = _program if why_not_written(cell, call) else _engine
    return engine.run(cell, loop, call)


def _program(cell, call):
    from jaxrnn.engines.cpu._program_kernel import program_of
    from jaxrnn.engines.cpu._when import why_not_written

    if why_not_written(cell, call) is None:
        return "a kernel written for this cell"
    return program_of(cell, call)


NATIVE = Engine("native", _why_not, _why_not_chosen, _run, _program, skips_masked=True)
