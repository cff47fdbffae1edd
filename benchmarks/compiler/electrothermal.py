"""Effect of the die's temperature on the solution, for each thermal preset: an 8-unknown crossbar of technology `integrated`.

    python benchmarks/compiler/electrothermal.py

First table: one program, one die without mismatch, at its electro-thermal steady state. Hottest and coldest cell and their spread; the
heat of the amplifiers and of the resistors, and the rise of the hottest cell by each; the best common factor s against the solution x0 of
the same parts at their reference temperature, minus one; the distortion |x - s x0| / |x0|; and how the search for the steady temperature
ended. Second: medians over systems, for the fabrics. Last: the rise by the amplifiers alone of larger arrays on the preset's package.
"""

from __future__ import annotations

import time

import numpy as np

from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.parts import Thermal
from thermograd.circuits.technology.presets import SITUATIONS, preset
from thermograd.circuits.technology.thermal import heat_at, temperature_map, time_constants
from thermograd.compiler.analysis.electrothermal import ElectroThermal, self_heated
from thermograd.compiler.analysis.heat import equilibrium
from thermograd.compiler.compile import compile_matrix

UNKNOWNS, CONDITION = 8, 10.0
SYSTEMS = 20
LARGER = (64, 1000)
FABRICS = ("crossbar", "dual_rail")


def system(fabric: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A random positive definite matrix with this condition number, and a right-hand side; diagonally dominant for `dual_rail`."""
    rng = np.random.default_rng([seed, UNKNOWNS])
    basis, _ = np.linalg.qr(rng.standard_normal((UNKNOWNS, UNKNOWNS)))
    a = (basis * np.geomspace(1.0, CONDITION, UNKNOWNS)) @ basis.T
    a = (a + a.T) / 2
    if fabric == "dual_rail":
        off = np.abs(a).sum(axis=1) - np.diag(a)
        a = a + np.diag(np.maximum(1.2 * off - np.diag(a), 0.0))
    return a, rng.standard_normal(UNKNOWNS)


def amplifiers_rise(unknowns: int) -> np.ndarray:
    """(cells, cells) K, with the amplifiers at the right ends of their rows."""
    technology = preset("integrated")
    rows = (np.arange(unknowns) + 0.5) / unknowns
    heat = heat_at(technology.thermal.cells, technology.opamp.power, rows, 1.0)
    return temperature_map(technology.thermal, power=heat) - temperature_map(technology.thermal)


def run(fabric: str, thermal: Thermal, seed: int) -> tuple[ElectroThermal, float, float]:
    """The steady state, the error of scale and the distortion."""
    technology = preset("integrated").replace(thermal=thermal)
    a, b = system(fabric, seed)
    program = compile_matrix(a, fabric, technology, b=b)
    die = Die(technology, None)
    reference = np.full((thermal.cells, thermal.cells), thermal.reference)
    x0 = equilibrium(program.on(die.at(reference)), b)
    found = self_heated(program, die, b)
    scale = float(found.x @ x0 / (x0 @ x0))
    return found, scale - 1.0, float(np.linalg.norm(found.x - scale * x0) / np.linalg.norm(x0))


def rises(found: ElectroThermal, thermal: Thermal) -> tuple[float, float]:
    """Rise of the hottest cell, K, by the amplifiers and by the resistors: temperatures are linear in the heat."""
    hottest = np.unravel_index(found.temperatures.argmax(), found.temperatures.shape)
    cold = temperature_map(thermal, 0.0)
    heats = (found.amplifier_heat, found.heat - found.amplifier_heat)
    by_amplifiers, by_resistors = (temperature_map(thermal, 0.0, heat)[hottest] - cold[hottest] for heat in heats)
    return float(by_amplifiers), float(by_resistors)


def main() -> None:
    began = time.perf_counter()
    print(f"crossbar, {UNKNOWNS} unknowns, condition {CONDITION:g}, technology integrated, one system\n")
    print(
        f"  {'situation':14}{'hottest':>10}{'coldest':>10}{'spread':>11}{'amplifiers':>12}{'rise':>9}{'resistors':>11}{'rise':>10}"
        f"{'scale':>10}{'distortion':>12}{'slowest':>10}  outcome"
    )
    for name, thermal in SITUATIONS.items():
        found, scale, distortion = run("crossbar", thermal, 0)
        amplifiers, resistors = rises(found, thermal)
        print(
            f"  {name:14}{found.temperatures.max():>8.2f} K{found.temperatures.min():>8.2f} K{found.spread:>9.2g} K"
            f"{1e3 * found.amplifier_heat.sum():>9.2f} mW{amplifiers:>7.2g} K"
            f"{1e6 * (found.total_power - found.amplifier_heat.sum()):>8.1f} uW{1e3 * resistors:>7.2g} mK"
            f"{100 * scale:>8.3f} %{100 * distortion:>10.4f} %"
            f"{time_constants(thermal)[0]:>8.2g} s  {found.outcome.value} in {found.iterations}"
        )
    print(f"\nmedians over {SYSTEMS} systems\n")
    print(
        f"  {'fabric':11}{'situation':14}{'amplifiers':>11}{'resistors':>12}{'scale':>10}{'distortion':>12}  converged"
    )
    for fabric in FABRICS:
        for name, thermal in SITUATIONS.items():
            rows = [run(fabric, thermal, seed) for seed in range(SYSTEMS)]
            amplifiers, resistors = np.median([rises(found, thermal) for found, _, _ in rows], axis=0)
            scale, distortion = (np.median([row[k] for row in rows]) for k in (1, 2))
            steady = sum(found.outcome.value == "converged" for found, _, _ in rows)
            print(
                f"  {fabric:11}{name:14}{amplifiers:>9.2g} K{1e3 * resistors:>9.2g} mK"
                f"{100 * scale:>8.3f} %{100 * distortion:>10.4f} %  {steady} of {SYSTEMS}"
            )
    print("\nrise by the amplifiers of larger arrays\n")
    for unknowns in LARGER:
        rise = amplifiers_rise(unknowns)
        print(f"  n = {unknowns:<6}mean {rise.mean():.2g} K, from {rise.min():.3g} to {rise.max():.3g} K")
    print(f"\n{time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
