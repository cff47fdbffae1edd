"""Noise of amplifiers in what is read of one cell and of arrays: by `.noise` of ngspice, by the state space, by the law, and by readings.

`python benchmarks/devicemodel/amplifier_noise.py`; a minute on one core. The circuit is that of the macromodel without its limits, the 1/f
noise off; voltages are those of the first cell, uV rms at rest, and 800 readings of a `SurrogateDevice`. Bits are those of an ADC over the
technology's range whose step is sqrt(12) times the noise, so that both add alike. The second table has a sampler of finite bandwidth, the
third 1/f noise: one reading, the mean of 16, and one with auto-zero.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.analyses import Noise
from thermograd.circuits.netlist.elements import VCVS, Capacitor, Resistor
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.compile import lay_out
from thermograd.compiler.fabrics.requirements import array_for
from thermograd.compiler.program import AnalogProgram
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.readout import ReadOut
from thermograd.devicemodel.systems import Dense

READINGS, DURATION, CONDITION = 800, 60.0, 20.0
LINEAR: dict[str, Any] = {
    "opamp__slew": math.inf,
    "opamp__output_resistance": 0.0,
    "opamp__output_current": math.inf,
    "opamp__bias_current": 0.0,
    "opamp__common_mode_gain": math.inf,
    "opamp__common_mode_gbw": math.inf,
    "adc__bits": None,
    "adc__noise": 0.0,
}
WHITE = {"opamp__noise_voltage_corner": 0.0, "opamp__noise_current_corner": 0.0}
SILENT = {"opamp__noise_voltage": 0.0, "opamp__noise_current": 0.0}


def matrix(n: int) -> np.ndarray:
    """Random, of condition number `CONDITION`; 1 for n = 1."""
    basis, _ = np.linalg.qr(np.random.default_rng([5, n]).standard_normal((n, n)))
    return (basis * np.geomspace(1.0, 1.0 / CONDITION, n)) @ basis.T if n > 1 else np.eye(1)


def program_of(technology: Technology, n: int) -> AnalogProgram:
    return lay_out(matrix(n), array_for(technology), technology).on(Die(technology, 3))


def netlist_of(program: AnalogProgram, bandwidth: float = math.inf) -> tuple[Netlist, list[tuple[str, str]]]:
    """With noisy macromodels, and where it is read: at the cells, or at samplers of one pole."""
    zero = np.zeros(program.size)
    netlist, read = (
        program.circuit(zero, zero, Macromodel(program.technology.opamp)).linearised(),
        list(program.readouts),
    )
    if math.isfinite(bandwidth):
        for k, (plus, minus) in enumerate(read):
            netlist.add(
                VCVS(f"EREAD{k}", f"read{k}", "0", plus, minus, 1.0),
                Resistor(f"RREAD{k}", f"read{k}", f"held{k}", 1e3, noisy=False),
                Capacitor(f"CREAD{k}", f"held{k}", "0", 1 / (2 * math.pi * bandwidth * 1e3)),
            )
        read = [(f"held{k}", "0") for k in range(program.size)]
    return netlist, read


def by_state_space(program: AnalogProgram, bandwidth: float = math.inf) -> float:
    netlist, read = netlist_of(program, bandwidth)
    space = state_space(netlist, {f"x{k}": pair for k, pair in enumerate(read)})
    return math.sqrt(float(space.covariance()[0, 0]))


def by_ngspice(program: AnalogProgram) -> float:
    netlist, ((plus, minus), *_) = netlist_of(program)
    source = next(element.name.lower() for element in netlist if element.name.startswith("VB1"))
    return run(netlist, Noise(plus if minus == "0" else (plus, minus), source, 1.0, 1e12, 100)).total


def by_readings(
    technology: Technology, n: int, read_out: ReadOut | None = None, rest: float = 0.0
) -> tuple[float, float]:
    """Standard deviation of the first cell's readings, V, and its standard error; with `rest` seconds between them."""
    device = SurrogateDevice(DeviceCard.uncalibrated(technology), 3, 0, read_out, extrapolate=True)
    system, b = Dense(torch.from_numpy(matrix(n))), torch.full((n,), 0.1, dtype=torch.float64)
    found = []
    for _ in range(READINGS):
        device.idle(rest)
        device.solve(system, b, DURATION, x0=torch.zeros(n, dtype=torch.float64))
        assert device.probe is not None
        zero = 0.0 if device.probe.zero is None else device.probe.zero[0]
        found.append(device.probe.read[0] - zero)
    deviation = float(np.std(found, ddof=1))
    return deviation, deviation / math.sqrt(2 * READINGS)


def bits(noise: float, technology: Technology) -> float:
    return math.log2(2 * technology.adc.full_scale / (math.sqrt(12) * noise))


def micro(volts: float) -> str:
    return f"{1e6 * volts:.2f}"


def main() -> None:
    print("| technology | n | `.noise` | state space | readings | without amplifiers | bits of an ADC | without |")
    print("|---|---|---|---|---|---|---|---|")
    for name in ("integrated", "breadboard"):
        white = preset(name).replace(**LINEAR, **WHITE)
        for n in (1, 4, 8):
            program, silent = program_of(white, n), program_of(white.replace(**SILENT), n)
            exact, alone = by_state_space(program), by_state_space(silent)
            read, error = by_readings(white, n)
            print(
                f"| {name} | {n} | {micro(by_ngspice(program))} | {micro(exact)} | {micro(read)} +- {micro(error)} | {micro(alone)} "
                f"| {bits(exact, white):.1f} | {bits(alone, white):.1f} |"
            )
    print("\n| technology | sampler, Hz | state space | readings |\n|---|---|---|---|")
    for name, bandwidths in (("integrated", (math.inf, 5e8, 5e7, 1.6e6)), ("breadboard", (math.inf, 3e6, 1e5, 1.6e4))):
        white = preset(name).replace(**LINEAR, **WHITE)
        for bandwidth in bandwidths:
            read, error = by_readings(white.replace(adc__bandwidth=bandwidth), 1)
            exact = by_state_space(program_of(white, 1), bandwidth)
            print(f"| {name} | {bandwidth:g} | {micro(exact)} | {micro(read)} +- {micro(error)} |")
    print(
        "\n| technology, n = 8 | 1/f noise | one reading | mean of 16, 1 tau apart | with auto-zero |\n|---|---|---|---|---|"
    )
    outs = (ReadOut(), ReadOut(16, 1.0), ReadOut(auto_zero=True))
    for name in ("integrated", "breadboard"):
        for kind, changes in (("none", WHITE), ("the preset's", {}), ("corner 100 times as high", None)):
            technology = preset(name).replace(**LINEAR)
            corner = {"opamp__noise_voltage_corner": 100 * technology.opamp.noise_voltage_corner}
            technology = technology.replace(**(corner if changes is None else changes))
            columns = [by_readings(technology, 8, one, rest=1e4) for one in outs]
            print(
                f"| {name} | {kind} | "
                + " | ".join(f"{micro(read)} +- {micro(error)}" for read, error in columns)
                + " |"
            )


if __name__ == "__main__":
    main()
