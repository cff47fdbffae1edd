"""Arrays of transistors against the macromodel of their amplifier's figures: the same compiled system, at rest, settling, and its noise.

    python benchmarks/circuits/transistor_array.py two_stage                               (a minute)
    python benchmarks/circuits/transistor_array.py gf180mcu --fabric crossbar,oscillator --sizes 4,8

A random matrix of condition 10 is compiled with resistors of any value, so that nothing but the amplifiers makes an error. In place of
each of them stand, in turn, the linear one-pole law, the macromodel, and the sub-circuit itself; at rest also a macromodel of the unloaded
gain with the output resistance behind it, so that each column has its own gain:

    at rest     |x - A^-1 b| / |A^-1 b| at a level of 0.1 to 0.9 of the output limit, and the part of the transistors' error vector
                that a model misses
    settling    the drive is switched on: largest distance of a model's curves from the transistors', over the largest |x|, and the time
                after which the solution stays within 1 % of where it ends
    noise       `.noise` of the first unknown, V rms: over all frequencies, and up to a tenth of the gain-bandwidth product

The amplifier's figures are those of `characterise` under the load of the average column.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import time
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
    Noise,
    OnePole,
    OpAmp,
    OperatingPoint,
    Resistors,
    Technology,
    Transient,
    VoltageSource,
    characterise,
    run,
)
from thermograd.circuits.amplifiers.process_amplifier import process_amplifier
from thermograd.circuits.amplifiers.testbench import Bench
from thermograd.compiler import AnalogProgram

CONDITION = 10.0
LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)
"""Largest output over the output limit."""
SETTLED, IN_BAND = 0.01, 0.1
FOLDER = Path(__file__).resolve().parents[2] / "examples" / "amplifiers"
UNIT_RESISTOR, UNIT_CAPACITOR = 1e5, 1e-11


def amplifier_named(name: str) -> Amplifier:
    """The amplifier of examples/amplifiers/NAME.cir."""
    if name == "two_stage":
        return Amplifier.read_spice(FOLDER / f"{name}.cir", name, ("inp", "inn"), ("out",), {"vdd": 0.9, "vss": -0.9})
    return process_amplifier(name)


def system(size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A symmetric matrix of mixed signs and mean diagonal one, and a right-hand side."""
    generator = np.random.default_rng([size, seed])
    vectors, _ = np.linalg.qr(generator.standard_normal((size, size)))
    matrix = (vectors * np.geomspace(1 / CONDITION, 1.0, size)) @ vectors.T
    matrix *= size / np.trace(matrix)
    return (matrix + matrix.T) / 2, generator.standard_normal(size)


def compiled(matrix: np.ndarray, b: np.ndarray, fabric: str, opamp: OpAmp, level: float) -> AnalogProgram:
    """The program whose largest output is `level` of the output limit."""
    technology = Technology(
        name="array", resistors=Resistors(unit=UNIT_RESISTOR), capacitors=Capacitors(unit=UNIT_CAPACITOR), opamp=opamp
    )
    program = compile_matrix(matrix, fabric, technology, b=b)
    volts = np.abs(np.linalg.solve(matrix, b) / program.readout_scale)
    return program.at_scale(level * opamp.output_limit / float(volts.max()))


def with_offset(program: AnalogProgram, volts: float) -> AnalogProgram:
    """The same program with one and the same offset at every amplifier."""
    names = {field.name for field in dataclasses.fields(program.parts)}
    offsets = [name for name in ("offset", "inverter_offset", "position_offset") if name in names]
    same = {name: np.full(program.size, volts) for name in offsets}
    return dataclasses.replace(program, parts=dataclasses.replace(program.parts, **same))


def at_rest(program: AnalogProgram, b: np.ndarray, cell: AmplifierCell | None) -> np.ndarray:
    """Where ngspice finds the circuit at rest, problem units."""
    return program.decode(run(program.netlist(b, amplifier=cell), OperatingPoint(program.nodes)).voltages)


def switched_on(netlist: Netlist, start: float) -> Netlist:
    """The drive switched on at `start` seconds, in place of having been there for ever."""
    moved = Netlist(netlist.title, netlist.temperature)
    for part in netlist:
        if isinstance(part, VoltageSource) and part.name.startswith("VB") and part.dc:
            wave = ((0.0, 0.0), (start, 0.0), (1.01 * start, part.dc))
            part = dataclasses.replace(part, dc=0.0, waveform=wave)
        moved.add(part)
    return moved


def settling(
    program: AnalogProgram, b: np.ndarray, cell: AmplifierCell | None, duration: float
) -> tuple[np.ndarray, np.ndarray]:
    """Times, s, and x, (n, T), of the array whose drive is switched on at a hundredth of the time."""
    netlist = switched_on(program.netlist(b, amplifier=cell), duration / 100)
    analysis = Transient(duration, nodes=program.nodes, use_initial=False, samples=801, tolerance=1e-5)
    found = run(netlist, analysis, timeout=600.0)
    return found.time, program.decode(found.voltages)


def settled_after(time_: np.ndarray, x: np.ndarray) -> float:
    """The time from which on x stays within `SETTLED` of its end, s."""
    away = np.linalg.norm(x - x[:, -1:], axis=0) > SETTLED * np.linalg.norm(x[:, -1])
    last = int(np.flatnonzero(away)[-1]) if away.any() else 0
    return float(time_[min(last + 1, len(time_) - 1)])


def noise(program: AnalogProgram, cell: AmplifierCell | None) -> tuple[float, float]:
    """Of the first unknown, V rms, from a thousandth of the slowest corner frequency to ten gain-bandwidth products, and to a tenth."""
    output = [node for node in program.readouts[0] if node != "0"]
    source = next(iter(program.fabric.drives(program.parts)[0]))
    low = 1e-3 / (2 * math.pi * program.settling_time)
    analysis = Noise(
        (output[0], output[1]) if len(output) == 2 else output[0], source, low, 10 * program.technology.opamp.gbw, 20
    )
    found = run(program.netlist(amplifier=cell), analysis)
    slow = found.frequency <= IN_BAND * program.technology.opamp.gbw
    return found.total, math.sqrt(np.trapezoid(found.density[slow] ** 2, found.frequency[slow]))


def gain_under(amplifier: Amplifier, ohm: float) -> float:
    """A0 with so many ohm at each output."""
    bench = Bench(amplifier, len(amplifier.outputs), ohm, 0.0, amplifier.parts.temperature, 120.0)
    return float(abs(bench.gain(1e3, 1e-6, 1e-5, 1)[1][0]))


def study(name: str, fabric: str, size: int, seed: int, rest: bool = False) -> dict[str, Any]:
    """Everything of one system."""
    began = time.perf_counter()
    amplifier, (matrix, b) = amplifier_named(name), system(size, seed)
    exact = np.linalg.solve(matrix, b)
    first = compiled(matrix, b, fabric, OpAmp(outputs=len(amplifier.outputs)), 0.5)
    load = 1.0 / float(np.mean([np.mean(columns) for _, columns in first.parts.amplifier_loads()]))
    measured = characterise(amplifier, load_resistance=load)
    opamp = measured.opamp.model_copy(update={"offset": 0.0})
    gains = [gain_under(amplifier, ohm) for ohm in (math.inf, load)]
    behind = {"gain": gains[0], "output_resistance": load * (gains[0] / gains[1] - 1)}
    own_loads = Macromodel(opamp.model_copy(update={**behind, "output_current": math.inf, "output_limit": 1e2}))
    cells = {"one pole": None, "macromodel": Macromodel(opamp), "transistors": amplifier}
    found: dict[str, Any] = {"fabric": fabric, "size": size, "seed": seed, "load": load, "opamp": opamp.model_dump()}
    found["rest"] = []
    for level in LEVELS:
        program = compiled(matrix, b, fabric, opamp, level)
        # A netlist's own offset is in its transistors.
        modelled = with_offset(program, measured.offset)
        errors = {
            key: at_rest(program if key == "transistors" else modelled, b, cell) - exact
            for key, cell in {**cells, "own loads": own_loads}.items()
        }
        true, scale = errors["transistors"], float(np.linalg.norm(exact))
        found["rest"].append(
            {"level": level}
            | {key: float(np.linalg.norm(error)) / scale for key, error in errors.items()}
            | {
                f"{key} misses": float(np.linalg.norm(errors[key] - true) / np.linalg.norm(true))
                for key in ("one pole", "macromodel", "own loads")
            }
        )
    found["settling"] = []
    for level in () if rest else (LEVELS[0], LEVELS[-1]):
        program = compiled(matrix, b, fabric, opamp, level)
        duration = 12 * program.settling_time
        curves = {key: settling(program, b, cell, duration) for key, cell in cells.items()}
        at, true = curves["transistors"]
        row = {"level": level, "settling time": program.settling_time}
        for key, (times, x) in curves.items():
            row[key] = settled_after(times, x) - duration / 100
            if key != "transistors":
                row[f"{key} apart"] = float(np.abs(x - true).max() / np.abs(true).max())
        row["steepest"] = float(np.abs(np.diff(true, axis=1)).max() / (at[1] - at[0])) * program.volts_per_unit
        found["settling"].append(row)
    program = compiled(matrix, b, fabric, opamp, 0.5)
    noisy = {"one pole": OnePole(opamp, noisy=True), "macromodel": cells["macromodel"], "transistors": amplifier}
    found["noise"] = {} if rest else {key: noise(program, cell) for key, cell in noisy.items()}
    found["transistor count"] = len(program.netlist(b, amplifier=amplifier).of(Mosfet))
    found["seconds"] = time.perf_counter() - began
    return found


def show(found: dict[str, Any]) -> None:
    """One system as text."""
    print(
        f"{found['fabric']}, {found['size']} unknowns (seed {found['seed']}), {found['transistor count']} transistors, average column "
        f"{found['load'] / 1e3:.3g} kohm, {found['seconds']:.0f} s"
    )
    print("  level   error: one pole  macromodel  transistors   missed by one pole, macromodel, own loads")
    for row in found["rest"]:
        print(
            f"  {row['level']:5.1f} {row['one pole']:17.3e} {row['macromodel']:11.3e} {row['transistors']:12.3e} "
            f"{100 * row['one pole misses']:14.2f} % {100 * row['macromodel misses']:8.2f} % {100 * row['own loads misses']:8.2f} %"
        )
    for row in found["settling"]:
        print(
            f"  switched on at level {row['level']:.1f}: within 1 % after {1e6 * row['transistors']:.3f} us (macromodel "
            f"{1e6 * row['macromodel']:.3f}, one pole {1e6 * row['one pole']:.3f}); curves apart by {100 * row['macromodel apart']:.2f} % "
            f"(macromodel), {100 * row['one pole apart']:.2f} % (one pole); up to {1e-6 * row['steepest']:.2f} V/us of "
            f"{1e-6 * found['opamp']['slew']:.3g}"
        )
    noisy = found["noise"]
    text = ", ".join(f"{key} {1e6 * whole:.1f} ({1e6 * slow:.1f})" for key, (whole, slow) in noisy.items())
    print(f"  noise, uV rms (below a tenth of GBW): {text}")


def main(arguments: list[str] | None = None) -> list[dict[str, Any]]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("amplifier", help="of examples/amplifiers")
    parser.add_argument("--fabric", default="crossbar_single", help="one or more, with commas")
    parser.add_argument("--sizes", default="4,8")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rest", action="store_true", help="where they settle alone")
    parser.add_argument("--out", type=Path, help="figures as JSON")
    options = parser.parse_args(arguments)
    found = []
    for fabric in options.fabric.split(","):
        for size in map(int, options.sizes.split(",")):
            found.append(study(options.amplifier, fabric, size, options.seed, options.rest))
            show(found[-1])
    if options.out is not None:
        options.out.write_text(json.dumps(found, indent=1, default=str), encoding="utf-8")
    return found


if __name__ == "__main__":
    main()
