"""Settling time and heat of a settled run: what the cost states of compiled arrays against plain ngspice transients.

    python benchmarks/devicemodel/cost_against_spice.py [--sizes 8,32,64] [--condition 3] [--fabric oscillator]

Random symmetric positive definite systems (eigenvalues in equal ratios) with a random b, on `integrated` and `breadboard`, and on
`integrated` with amplifiers of 3 MHz. ngspice runs the netlist with the macromodels of the amplifiers (slew rate, output limit and output
stage in it, noise aside) from cells without charge. Settling time: the last moment at which |x(t) - x(end)| / |x(end)| is 1 %, x(end)
ngspice's own after three such times. Heat: v^2 / R of all resistors of the array, by the trapezoidal rule over ngspice's points up to that
moment. The cost's figures are `compiled_array(program, b)`, which runs no simulator; the control is what the cost stated before it knew
the circuit: 50 tau, and for that long the heat of the most that the resistors make with every unknown at half of the output limit.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import time

import numpy as np

from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.netlist.analyses import Transient
from thermograd.circuits.netlist.elements import GROUND, Resistor
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology.presets import preset
from thermograd.circuits.technology.technology import Technology
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.program import AnalogProgram
from thermograd.devicemodel.cost.compiled import compiled_array

ACCURACY = 0.01
SLOW = {"opamp__gbw": 3e6, "opamp__second_pole": 9e6, "opamp__common_mode_gbw": 1.2e6, "opamp__slew": math.inf}
TECHNOLOGIES = {
    "integrated": preset("integrated"),
    "breadboard": preset("breadboard"),
    "integrated, 3 MHz": preset("integrated").replace(**SLOW),
}


@dataclasses.dataclass(frozen=True)
class Compared:
    """One run: seconds to 1 % and joules in the resistors until then; stated, simulated, and as the cost had them before."""

    technology: str
    n: int
    settling: float
    simulated_settling: float
    old_settling: float
    heat: float
    simulated_heat: float
    old_heat: float

    @property
    def errors(self) -> tuple[float, float]:
        """Relative errors of settling time and heat."""
        return self.settling / self.simulated_settling - 1, self.heat / self.simulated_heat - 1

    @property
    def old_errors(self) -> tuple[float, float]:
        """The same of the control."""
        return self.old_settling / self.simulated_settling - 1, self.old_heat / self.simulated_heat - 1


def system(n: int, seed: int, condition: float) -> tuple[np.ndarray, np.ndarray]:
    """A and b."""
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.standard_normal((n, n)))
    matrix = (basis * np.geomspace(1.0, 1.0 / condition, n)) @ basis.T
    return (matrix + matrix.T) / 2, rng.standard_normal(n)


def simulated(program: AnalogProgram, b: np.ndarray, expected: float) -> tuple[float, float]:
    """Settling time (s) and heat until then (J), by ngspice; `expected` only sets how long it runs."""
    quiet = program.technology.opamp.model_copy(update={"noise_voltage": 0.0, "noise_current": 0.0})
    netlist = program.netlist(b, amplifier=Macromodel(quiet))
    found = run(netlist, Transient(stop=3 * expected, step=expected / 200, tolerance=1e-5))
    x, seconds = program.decode(found.voltages), found.time
    error = np.linalg.norm(x - x[:, -1:], axis=0) / np.linalg.norm(x[:, -1])
    last = int(np.flatnonzero(error > ACCURACY)[-1])
    settled = float(np.interp(-ACCURACY, -error[last : last + 2], seconds[last : last + 2]))
    volts = {**{name.lower(): wave for name, wave in found.voltages.items()}, GROUND: np.zeros(len(seconds))}
    heat = np.zeros(len(seconds))
    for part in netlist.of(Resistor):
        if part.noisy:  # the amplifiers' own are not resistors of the array
            heat += (volts[part.a.lower()] - volts[part.b.lower()]) ** 2 / part.resistance
    until = np.append(seconds[seconds < settled], settled)
    return settled, float(np.trapezoid(np.interp(until, seconds, heat), until))


def compared(
    name: str, technology: Technology, n: int, condition: float = 3.0, seed: int = 1, fabric: str | None = None
) -> Compared:
    """One random system of n unknowns; by default in the crossbar that the amplifiers make."""
    matrix, b = system(n, seed, condition)
    fabric = fabric or ("crossbar" if technology.opamp.outputs == 2 else "crossbar_single")
    program = compile_matrix(matrix, fabric, technology, b=b, check=False)
    array = compiled_array(program, b)
    settling = array.settling(ACCURACY)
    assert settling is not None
    spice = simulated(program, b, settling)
    halved = program.parts.dissipation_bound(technology.opamp.output_limit / 2, technology.dac.full_scale)
    old = 50 * program.tau
    return Compared(name, n, settling, spice[0], old, array.heat * settling, spice[1], halved * old)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default="8,32,64", help="numbers of unknowns (default 8,32,64)")
    parser.add_argument("--condition", type=float, default=3.0, help="condition number of the systems (default 3)")
    parser.add_argument("--fabric", help="of `integrated` alone, such as oscillator (default: crossbars of all)")
    arguments = parser.parse_args()
    sizes = [int(word) for word in arguments.sizes.split(",")]
    print(
        "| technology | n | settling to 1 %: cost | ngspice | error | 50 tau | heat: cost | ngspice | error | before |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    start, worst = time.process_time(), 0.0
    chosen = dict(list(TECHNOLOGIES.items())[:1]) if arguments.fabric else TECHNOLOGIES
    for name, technology in chosen.items():
        for n in sizes:
            one = compared(name, technology, n, arguments.condition, fabric=arguments.fabric)
            worst = max(worst, *map(abs, one.errors))
            print(
                f"| {name} | {n} | {one.settling:.3g} s | {one.simulated_settling:.3g} s | {100 * one.errors[0]:+.2f} % | "
                f"{one.old_settling:.3g} s | {one.heat:.3g} J | {one.simulated_heat:.3g} J | {100 * one.errors[1]:+.2f} % | "
                f"{one.old_heat:.3g} J |",
                flush=True,
            )
    print(f"\nlargest error {100 * worst:.2g} %; {time.process_time() - start:.0f} s of CPU")


if __name__ == "__main__":
    main()
