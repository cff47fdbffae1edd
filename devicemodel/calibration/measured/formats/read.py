"""Files of benches and simulators as tables of measurements, recognised by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from .....circuits.errors import InputError
from ..csv_table import MARK, parse_csv
from ..delimited import MAX_BYTES, decode, dialect_notes, separator, split_rows
from ..measurements import MAX_ROWS, Measurements, read_measurements, table_of_csv
from .channels import Recording, Stated, measurements_of
from .instrument_text import recording_of
from .own_columns import in_si, is_own
from .spice_raw import is_raw, read_plots
from .spice_recordings import recordings_of

__all__ = ["read_bench_file"]

_MAX_RAW = 512 * 2**20
_METADATA_LINES = 5000


def read_bench_file(
    path: str | Path,
    *,
    nodes: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    std: float | None = None,
    averages: float | None = None,
    rbw: float | None = None,
    impedance: float | None = None,
    start: float | None = None,
) -> list[Measurements]:
    """The tables in a file that a simulator, an oscilloscope, a spectrum analyser or thermograd wrote; docs/lab.md lists the formats.

    What the file was taken for, and what of it was left out or taken from its header, is in the tables' `notes`. Nothing is guessed: what
    the file does not say must be an argument. Arguments that a file has no use for are ignored.

    Args:
        path: .raw, .csv, .txt, .tsv, .parquet; the content decides.
        nodes: channel -> node or difference, as in {"CH1": "n1", "CH2": "n1-n2"}; only these channels are read. Not needed for channels
            called V(n1), and for {"onoise": "n1"} of a noise analysis.
        units: column -> unit, as in {"CH1": "mV", "psd": "V/rtHz"}, in place of what the file says.
        std: standard error of a trace's readings, V; errors of different readings are taken to be independent.
        averages: number of independent periodograms that were averaged in a spectrum.
        rbw: noise bandwidth of one reading, Hz, of levels in V, dBV or dBm. The header's RBW, if not given.
        impedance: in which powers (dBm, W/Hz) were stated, ohm.
        start: the time in the file at which the netlist's initial state holds, s; readings before it are left out. Needed if times are
            negative.

    Returns:
        One table, or one for each analysis of a raw file and each of its steps.

    Example:
        ``read_bench_file("scope.csv", nodes={"CH1": "n1"}, std=1e-3, start=0.0)``

    Raises:
        InputError: the file is missing, damaged, cut off or of no known format; something is missing that the file does not say, which is
            named; a reading is out of its range, with its line.
    """
    file = Path(path)
    source = repr(str(file))
    stated = Stated(nodes=nodes, units=units, std=std, averages=averages, rbw=rbw, impedance=impedance, start=start)
    try:
        with file.open("rb") as opened:
            data = opened.read(4096)
            raw = is_raw(data)
            most = _MAX_RAW if raw else MAX_BYTES
            if not data.startswith(b"PAR1"):
                data += opened.read(most - len(data) + 1)
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror or error}") from None
    if data.startswith(b"PAR1"):
        return [read_measurements(file)]
    if len(data) > most:
        raise InputError(f"{source} is larger than {most >> 20} MiB; write fewer points or variables into a file")
    if raw:
        recordings = recordings_of(read_plots(data, source), source)
    else:
        text, notes = decode(data, source)
        if table := _own_table(file, data, text, notes, stated):
            return [table]
        mark = separator(text)
        rows, lines = split_rows(text, mark, source, MAX_ROWS + _METADATA_LINES)
        if not rows:
            raise InputError(f"{source} is empty; is it the right file?")
        recording = recording_of(rows, lines, source, units)
        recordings = [replace(recording, notes=[*recording.notes, *notes, *dialect_notes(mark, False)])]
    digest = hashlib.sha256(data).hexdigest()
    tables = []
    for recording, own in _with_nodes(recordings, nodes):
        table = measurements_of(recording, replace(stated, nodes=own))
        tables.append(replace(table, source=file.name + recording.source[len(source) :], sha256=digest))
    return tables


def _with_nodes(
    recordings: Sequence[Recording], nodes: Mapping[str, str] | None
) -> list[tuple[Recording, Mapping[str, str] | None]]:
    """The recordings that have a channel in `nodes`, each with its own channels and those that are in no recording at all."""
    if nodes is None:
        return [(recording, None) for recording in recordings]
    present = [{name for name in nodes if any(c.is_called(name) for c in one.channels)} for one in recordings]
    nowhere = set(nodes) - set().union(*present)
    if len(nowhere) == len(nodes):
        return [(recordings[0], nodes)]
    return [
        (recording, {name: node for name, node in nodes.items() if name in here | nowhere})
        for recording, here in zip(recordings, present, strict=True)
        if here
    ]


def _own_table(file: Path, data: bytes, text: str, notes: list[str], stated: Stated) -> Measurements | None:
    """A table of thermograd's own columns, perhaps in other units; None where it is no such table."""
    head = [line for line in text[:20_000].splitlines() if line.strip()][:50]
    names = next((line for line in head if not line.startswith("#")), "")
    cells = [cell.strip().strip('"') for cell in names.split(separator(text))]
    if not (is_own(cells) or any(MARK in line for line in head)):
        return None
    table = parse_csv(text, repr(str(file)), MAX_ROWS)
    return table_of_csv(file, data, in_si(table, stated, repr(str(file))), ["read as a table of thermograd's", *notes])
