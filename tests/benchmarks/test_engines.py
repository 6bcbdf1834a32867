"""The page of every cell by each engine."""

import json

from benchmarks import engines
from benchmarks.cells import entries


def test_the_page_is_made_from_the_record():
    assert engines.page() == engines.PAGE.read_text()


def test_every_cell_was_measured():
    found = json.loads(engines.RECORD.read_text())["cells"]
    assert set(found) == {entry.name for entry in entries()}


def test_it_times_the_engines_that_can_run_a_cell(monkeypatch):
    monkeypatch.setattr(engines, "T", 3)
    monkeypatch.setattr(engines, "B", 2)
    (entry,) = (entry for entry in entries() if entry.name == "lru")
    programs = engines.runs(entry)
    assert list(programs) == ["xla", "scan"]  # its states are complex
    for program in programs.values():
        assert program.compile_seconds > 0
        program.run()
