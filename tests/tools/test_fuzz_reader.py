"""tools/fuzz_reader: random netlists are read as ngspice reads them or rejected, and a broken reader is caught."""

from __future__ import annotations

import pytest

from thermograd.circuits.spice import expressions, parser
from thermograd.tools.fuzz_reader.campaign import run, text_of
from thermograd.tools.fuzz_reader.reference import is_safe, simulate
from thermograd.tools.fuzz_reader.shrinking import shrink
from thermograd.tools.fuzz_reader.verdict import Kind, judge

from ..circuits.ngspice_command import needs_ngspice

pytestmark = needs_ngspice


def test_a_slice_is_read_as_ngspice_reads_it():
    tally = run(seed=20, inputs=120)
    assert not tally.failures, "\n".join(f"{verdict.detail}\n{text}" for _, verdict, text in tally.failures)
    assert tally.inputs == 120
    assert tally.kinds[Kind.EQUAL, False] >= 20  # not all is rejected
    assert tally.kinds[Kind.EQUAL, True] >= 6
    assert min(tally.compared[what] for what in ("written", "op", "ac", "tran", "noise")) >= 1


BOARD = b"t\n.temp 77\nV1 a 0 1 ac 1\nR1 a b 1k\nR2 b 0 20m\nC1 b 0 1u\n.op\n.ac lin 2 1k 1meg\n.noise v(b) v1 dec 1 100 10k\n.end\n"


def test_all_analyses_are_compared(tmp_path):
    verdict = judge(BOARD, tmp_path)
    assert verdict.kind is Kind.EQUAL
    assert set(verdict.compared) == {"written", "op", "ac", "noise"}


@pytest.mark.parametrize("broken", ["suffix", "temperature"])
def test_a_broken_reader_is_caught(tmp_path, monkeypatch, broken):
    if broken == "suffix":
        monkeypatch.setitem(expressions._SUFFIXES, "m", 6)
    else:
        monkeypatch.setattr(parser, "temperature", lambda cards, scope: 300.15)
    verdict = judge(BOARD, tmp_path)
    assert verdict.kind is Kind.DIFFERENT
    assert verdict.detail.startswith("written" if broken == "suffix" else "noise")


def test_an_exception_without_a_message_is_caught(tmp_path, monkeypatch):
    monkeypatch.setitem(expressions._SUFFIXES, "m", "milli")
    assert judge(BOARD, tmp_path).kind is Kind.CRASH


def test_inputs_are_repeatable_and_nothing_runs_commands(tmp_path):
    assert text_of(3, 14) == text_of(3, 14)
    assert text_of(3, 14) != text_of(3, 15)
    assert not is_safe("t\n.control\nshell ls\n.endc\n")
    assert judge(b"t\n.control\nshell ls\n.endc\n", tmp_path).kind is Kind.UNSAFE
    with pytest.raises(ValueError, match="runs a command"):
        simulate(b"t\n.include /etc/passwd\n", tmp_path)


def test_shrinking_keeps_what_fails():
    assert shrink("t\nR1 a 0 1k\nC1 a 0 22n\nL1 a 0 1m\n", lambda text: "22n" in text) == "t\n22n"
