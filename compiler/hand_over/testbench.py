"""The circuit as a sub-circuit, and a testbench around it that says whether it holds the expected solution, for ngspice.

`array.cir` has a sub-circuit for each cell and one of them all, `ARRAY`, whose ports are the nodes that are driven and read.
`testbench.cir` includes it, drives it by b, and ends with exit code 0 where every unknown is within its tolerance, else 1.
"""

from __future__ import annotations

from scipy import constants

from ...circuits.netlist.semiconductors import NOMINAL_CELSIUS, TOLERANCES, model_cards
from ...circuits.spice.writer import write_subcircuit
from ..decks.simulators import read_expression
from ..program import AnalogProgram
from .circuit import Circuit
from .expected import GOOD, Expected

ARRAY = "thermograd_array"
"""Name of the sub-circuit."""
_UNSOLVED = "1e99"


def array_text(circuit: Circuit) -> str:
    """The file with the circuit's sub-circuits, and the cards of the models that they name."""
    return write_subcircuit(circuit.undriven(), ARRAY, circuit.ports)


def bench_text(program: AnalogProgram, circuit: Circuit, expected: Expected, array: str = "array.cir") -> str:
    """The testbench of `array_text`.

    Args:
        program: as compiled. circuit: of it, for the right-hand side.
        expected: `expected_solution` of the same.
        array: name of the file that has the sub-circuit.
    """
    netlist = circuit.netlist
    celsius = netlist.temperature - constants.zero_Celsius
    nominal = celsius if not model_cards(netlist) else NOMINAL_CELSIUS
    tolerance = (
        f"{100 * GOOD:g} % of good circuits pass, by the technology's tolerances to first order"
        if not expected.reason
        else f"of the simulator alone; {expected.reason}"
    )
    lines = [
        f"* testbench: {netlist.title}",
        "* run it by: ngspice -b testbench.cir",
        "* exit code 0: each unknown is within its tolerance of what the nominal circuit holds; 1: not",
        f"* tolerance: {tolerance}",
        f".include {array}",
        *(drive.line(netlist.temperature) for drive in circuit.drives),
        f"Xarray {' '.join(circuit.ports)} {ARRAY}",
        f".options temp={celsius!r} tnom={nominal!r}",
        *([] if netlist.is_linear else [f".options {TOLERANCES}"]),
        *_control(program, expected),
        ".end",
        "",
    ]
    return "\n".join(lines)


def _control(program: AnalogProgram, expected: Expected) -> list[str]:
    n = program.size
    columns = {"exact": expected.exact, "nominal": expected.nominal, "tolerance": expected.tolerance}
    lines = [".control", "set numdgt=9", "set width=160", "set nobreak", "op", f"let unknown=vector({n})+1"]
    lines += [f"let found=vector({n})*0+{_UNSOLVED}"]
    for name, values in columns.items():
        lines.append(f"let {name}=vector({n})*0")
        lines += [f"let {name}[{k}]={value!r}" for k, value in enumerate(values.tolist())]
    for k, (pair, scale) in enumerate(zip(program.readouts, expected.volts.tolist(), strict=True)):
        lines.append(f"let found[{k}]={read_expression(pair, scale)}")
    return [
        *lines,
        "let share=abs(found-nominal)/tolerance",
        f"print unknown found {' '.join(columns)} share",
        "let worst=vecmax(share)",
        "if worst > 1",
        "echo FAILED: an unknown is beyond its tolerance (share of it above 1)",
        "quit 1",
        "end",
        "echo PASSED: every unknown is within its tolerance",
        "quit 0",
        ".endc",
    ]
