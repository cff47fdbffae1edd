"""Eight unknowns solved by an array whose amplifiers are transistor circuits, and its predicted error.

    python examples/transistor_crossbar.py --plot out/transistors.png        (about 5 s)

A two-stage Miller amplifier (`amplifiers/two_stage.cir`, level 1 MOS models) is measured in ngspice; its parameters become the
technology of a compiled single-ended array of 8 unknowns; and the array is simulated with the transistors in place of
every amplifier, integrators and inverters alike. Four predictions of where it settles, from coarse to fine:

    ideal        A^-1 b
    one pole     (K + L / A0)^-1 (I + L V_os): gain and offset as measured under the heaviest column's load, the law that devices are
                 modelled after
    macromodel   the record's macromodel in the netlist, with its output resistance, so that each column has its own gain
    transistors  ngspice

What is compared is the error vector x - A^-1 b: a prediction that explains it leaves little of it.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from thermograd import compile_matrix
from thermograd.circuits import (
    Amplifier,
    AmplifierCell,
    Capacitors,
    Macromodel,
    Mosfet,
    Netlist,
    OperatingPoint,
    Resistors,
    Technology,
    Transient,
    VoltageSource,
    characterise,
    run,
)
from thermograd.compiler import AnalogProgram

AMPLIFIER = Path(__file__).parent / "amplifiers" / "two_stage.cir"
UNIT_RESISTOR, UNIT_CAPACITOR = 1e5, 1e-11  # ohm, F
SMALLEST = 0.1  # eigenvalue; the largest is 1


def system(seed: int, size: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """A symmetric matrix of condition 10 with entries of both signs, and a right-hand side."""
    generator = np.random.default_rng(seed)
    vectors, _ = np.linalg.qr(generator.standard_normal((size, size)))
    matrix = vectors @ np.diag(np.geomspace(SMALLEST, 1.0, size)) @ vectors.T
    return (matrix + matrix.T) / 2, generator.standard_normal(size)


def with_offset(program: AnalogProgram, volts: float) -> AnalogProgram:
    """The same program with one and the same offset at every amplifier."""
    same = np.full(program.size, volts)
    return dataclasses.replace(
        program, parts=dataclasses.replace(program.parts, offset=same, inverter_offset=same.copy())
    )


def settle(program: AnalogProgram, b: np.ndarray, amplifier: AmplifierCell | None) -> np.ndarray:
    """Where ngspice finds the circuit at rest, problem units."""
    netlist = program.netlist(b, amplifier=amplifier)
    return program.decode(run(netlist, OperatingPoint(program.nodes)).voltages)


def stepped(netlist: Netlist, start: float) -> Netlist:
    """The drive switched on at `start` seconds, instead of having been there for ever."""
    moved = Netlist(netlist.title, netlist.temperature)
    for part in netlist:
        if isinstance(part, VoltageSource) and part.name.startswith("VB") and part.dc:
            wave = ((0.0, 0.0), (start, 0.0), (1.01 * start, part.dc))
            part = dataclasses.replace(part, dc=0.0, waveform=wave)
        moved.add(part)
    return moved


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Run it all and print; the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the system")
    parser.add_argument("--plot", type=Path, help="picture of the settling and of the errors")
    options = parser.parse_args(arguments)
    matrix, b = system(options.seed)
    exact = np.linalg.solve(matrix, b)
    amplifier = Amplifier.read_spice(AMPLIFIER, "two_stage", ("inp", "inn"), ("out",), {"vdd": 0.9, "vss": -0.9})

    def compiled(technology: Technology) -> AnalogProgram:
        return compile_matrix(matrix, fabric="crossbar_single", technology=technology, b=b)

    parts = Technology(
        name="two-stage amplifier", resistors=Resistors(unit=UNIT_RESISTOR), capacitors=Capacitors(unit=UNIT_CAPACITOR)
    )
    columns = compiled(parts).parts.coupling[0].sum(axis=0)
    heaviest = 1.0 / float(columns.max())
    free, loaded = characterise(amplifier), characterise(amplifier, load_resistance=heaviest)
    program = with_offset(compiled(parts.replace(opamp=loaded.opamp)), loaded.offset)
    found = {
        "one pole": settle(program, b, None),
        "macromodel": settle(program, b, Macromodel(free.opamp)),
        "transistors": settle(with_offset(program, 0.0), b, amplifier),
    }
    size = float(np.linalg.norm(exact))
    errors = {name: (x - exact) / size for name, x in found.items()}
    true = errors["transistors"]
    missed = {name: float(np.linalg.norm(error - true) / np.linalg.norm(true)) for name, error in errors.items()}

    duration = 12 * program.settling_time
    start = duration / 100
    curve = run(
        stepped(with_offset(program, 0.0).netlist(b, amplifier=amplifier), start),
        Transient(duration, nodes=program.nodes, use_initial=False, samples=241),
    )
    settling = program.decode(curve.voltages)
    final = float(np.linalg.norm(settling[:, -1] - exact) / size)

    print(
        f"amplifier        A0 {free.opamp.gain:.0f}, with {heaviest / 1e3:.3g} kohm {loaded.opamp.gain:.0f};", end=" "
    )
    print(f"GBW {free.opamp.gbw / 1e6:.3g} MHz, phase margin {loaded.phase_margin:.0f} deg, R_out", end=" ")
    print(f"{free.opamp.output_resistance / 1e3:.3g} kohm, offset {1e6 * free.offset:.3g} uV")
    circuit = program.netlist(b, amplifier=amplifier)
    transistors = len(circuit.of(Mosfet))
    print(
        f"circuit          {len(circuit)} parts, {transistors} of them transistors; 8 unknowns, condition {1 / SMALLEST:g}"
    )
    print("prediction       |x - A^-1 b| / |A^-1 b|    of the transistors' error vector it misses")
    for name, error in errors.items():
        print(f"  {name:14s} {np.linalg.norm(error):22.4e}    {100 * missed[name]:8.2f} %")
    print(f"switched on, after 12 settling times of {program.settling_time:.3g} s: {final:.4e}")
    if options.plot:
        _plot(options.plot, curve.time - start, settling, exact, errors, program.settling_time, transistors)
        print(f"wrote {options.plot}")
    return {"errors": errors, "missed": missed, "final": final, "exact": exact, "free": free, "loaded": loaded}


def _plot(
    path: Path,
    time: np.ndarray,
    settling: np.ndarray,
    exact: np.ndarray,
    errors: dict[str, np.ndarray],
    tau: float,
    transistors: int,
) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.4, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for k, x in enumerate(settling):
        left.plot(time / tau, x, color=f"C{k}", linewidth=1.1)
        left.axhline(exact[k], color=f"C{k}", linewidth=0.7, linestyle=":")
    left.set(xlabel="time after the drive is on (settling times)", ylabel="x (problem units)", xlim=(0, time[-1] / tau))
    left.set_title(f"{transistors} transistors settle at A⁻¹b (dotted)", loc="left", fontsize=10)
    places = np.arange(1, len(exact) + 1)
    for name, marker, face in (("transistors", "o", "none"), ("macromodel", "x", "C1"), ("one pole", "_", "C0")):
        colour = "black" if name == "transistors" else face
        right.plot(
            places,
            1e3 * errors[name],
            marker,
            color=colour,
            markerfacecolor=face,
            markersize=9,
            label=name,
            linestyle="",
        )
    right.axhline(0.0, color="grey", linewidth=0.7)
    right.set(xlabel="unknown", ylabel="error, 10⁻³ of |A⁻¹b|", xticks=places)
    right.set_title("error, simulated and predicted", loc="left", fontsize=10)
    right.legend(frameon=False)
    for ax in (left, right):
        ax.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    main()
