"""Sizes of parts in the open foundries' processes: from their design rules and cells, and from publications in their node.

Design rules are those of google/gf180mcu-pdk (design manual, tables HRES, MIMTM, Mn, CO) and google/skywater-pdk (periphery rules); latches
those of gf180mcu_fd_sc_mcu7t5v0 and sky130_fd_sc_hd.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

from ..errors import InputError
from ..netlist.elements import Element
from ..netlist.semiconductors import Mosfet
from .area import Areas
from .pdk.devices import ProcessCapacitor, ProcessResistor
from .pdk.process_record import Process
from .provenance import Figure

MICRON = 1e-6
Sizes: TypeAlias = Iterable[tuple[float, float]]
LAYOUT = 2.0
"""Area of a block over that of its parts, for wells, guard rings, dummies and wiring; chosen."""

ADC = Figure(
    value=8e-8,
    kind="published",
    source="median of the eleven SAR converters with 6.5 to 9.5 effective bits in 0.13 and 0.18 um of B. Murmann, ADC Performance Survey "
    "1997-2025 (github.com/bmurmann/ADC-survey): 0.01 to 1.6 mm^2",
)
DAC = Figure(
    value=3.5e-7,
    kind="published",
    source="10 bit, 250 MS/s, 0.18 um: J. Deveugele, M. S. J. Steyaert, IEEE JSSC 41:320, 2006, less than 0.35 mm^2",
)
OVERHEAD = Figure(
    value=0.3,
    kind="chosen",
    source="supplies, guard rings, clocks and routing between blocks; no publication behind it",
)


def _foundry(value: float, source: str) -> Figure:
    return Figure(value=value, kind="foundry", source=source)


PROCESSES: dict[str, dict[str, Any]] = {
    "gf180mcu": {
        "sheet_resistance": _foundry(1000.0, "ppolyf_u_1k, 800 to 1200 ohm a square (electrical specification 6.1A)"),
        "resistor_width": Figure(value=1.0 * MICRON, kind="chosen", source="the smallest that HRES.2 allows"),
        "resistor_head": _foundry(0.51 * MICRON, "HRES.8 0.22, CO.1 0.22, CO.3 0.07 um"),
        "resistor_spacing": _foundry(0.4 * MICRON, "design rule HRES.3"),
        "capacitance_density": _foundry(1.5e-3, "MIM of 1.5 fF/um^2, 1.27 to 1.73 (electrical specification 6.4)"),
        "capacitor_border": _foundry(1.2 * MICRON, "MIMTM.3 0.6 um and half of MIMTM.1, 1.2 um"),
        "bit": _foundry(43.904e-12, "latch gf180mcu_fd_sc_mcu7t5v0__latq_1"),
        "line_pitch": _foundry(0.56 * MICRON, "Mn.1 and Mn.2a of metals 2 to 5"),
    },
    "sky130": {
        "sheet_resistance": _foundry(2000.0, "sky130_fd_pr__res_xhigh_po (device details)"),
        "resistor_width": Figure(value=0.69 * MICRON, kind="chosen", source="the second of the five widths of rpm.1b to rpm.1f"),
        "resistor_head": _foundry(2.12 * MICRON, "slot contact of 2 um with 0.06 um around it (gdsfactory/skywater130, p_n_poly)"),
        "resistor_spacing": _foundry(0.48 * MICRON, "design rule poly.9"),
        "capacitance_density": _foundry(2e-3, "sky130_fd_pr__cap_mim_m3, CMIMA, 1.8 to 2.2 fF/um^2"),
        "capacitor_border": _foundry(0.74 * MICRON, "capm.3 0.14 um and half of capm.2b, 1.2 um (google/skywater-pdk pull 263)"),
        "bit": _foundry(15.0144e-12, "latch sky130_fd_sc_hd__dlxtp_1"),
        "line_pitch": _foundry(0.6 * MICRON, "m3.1 and m3.2"),
    },
}  # fmt: skip
"""What is known of each process before an amplifier is designed in it."""

DIFFUSION = {"gf180mcu": 0.44 * MICRON, "sky130": 0.25 * MICRON}
"""Source or drain of a transistor, m along its length: CO.7 0.15, CO.1 0.22, CO.4 0.07 um; poly.7."""


def foundry_areas(
    process: str, amplifier: Figure, switch: Figure, ladder: Literal["binary", "R-2R"] = "binary", **changed: Figure
) -> Areas:
    """The sizes of a technology in a process.

    Args:
        process: of `PROCESSES`.
        amplifier, switch: of one, m^2 (`layout_area`).
        ladder: how programmable conductances are made.
        changed: other figures of `Areas` in place of these.

    Raises:
        InputError: an unknown process.
    """
    known: dict[str, Any] = dict(
        _process(process), amplifier=amplifier, switch=switch, dac=DAC, adc=ADC, overhead=OVERHEAD
    )
    return Areas(ladder=ladder, **(known | changed))


def layout_area(process: str, transistors: Sizes, capacitors: Sizes = (), resistors: Sizes = ()) -> float:
    """Area of a block from the sizes of its parts, m^2: `LAYOUT` times the sum of W (L + 2 D), D the diffusion, plates and strips.

    Args:
        process: of `PROCESSES`.
        transistors: W and L of each, m, W that of all fingers.
        capacitors: sides of each plate, m. resistors: W and L of each film, m.

    Raises:
        InputError: an unknown process, a size that is not > 0.
    """
    known, diffusion = _process(process), DIFFUSION[process]
    border, head = 2 * known["capacitor_border"].value, 2 * known["resistor_head"].value
    space = known["resistor_spacing"].value
    around = ((transistors, 0.0, 2 * diffusion), (capacitors, border, border), (resistors, space, head))
    found = 0.0
    for sizes, beside, beyond in around:
        for width, length in sizes:
            if not (width > 0 and length > 0):
                raise InputError(f"a part is {width:g} m by {length:g} m: give sizes > 0")
            found += (width + beside) * (length + beyond)
    return LAYOUT * found


def netlist_sizes(
    elements: Iterable[Element], of: Process
) -> tuple[list[tuple[float, float]], list[tuple[float, float]], list[tuple[float, float]]]:
    """Widths and lengths, m, of transistors (all fingers and copies), plates and films of a netlist with a foundry's parts, for
    `layout_area`; plain resistors and capacitors, which a netlist gives no size, are left out."""
    transistors, plates, films = [], [], []
    for part in elements:
        if isinstance(part, Mosfet):
            own = part.values
            transistors.append((own["w"] * own.get("m", 1.0), own["l"]))
            continue
        own = dict(getattr(part, "parameters", ()))
        if "c_width" in own or type(part).__name__.endswith("Capacitor"):
            plates.append(_size(own, _unit(part, of)))
        elif own:
            films.append(_size(own, _unit(part, of)))
    return transistors, plates, films


def _unit(part: Element, of: Process) -> float:
    """What a number in a part's parameters is in m."""
    model = getattr(getattr(part, "model", None), "name", "").lower()
    known: list[ProcessCapacitor | ProcessResistor] = [*of.capacitors.values(), *of.resistors.values()]
    return next((float(getattr(one, "parameter_unit", 1.0)) for one in known if one.model.lower() == model), 1.0)


def _size(own: Mapping[str, float], unit: float) -> tuple[float, float]:
    width, length = (next(own[name] for name in own if name.endswith((word, word[0]))) for word in ("width", "length"))
    return float(width) * unit, float(length) * unit


def _process(name: str) -> dict[str, Any]:
    if name not in PROCESSES:
        raise InputError(f"process {name!r} has no sizes of parts; there are: {', '.join(PROCESSES)}")
    return PROCESSES[name]
