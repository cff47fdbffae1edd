"""Where time and energy of a step go over N and batch, against a GPU's own second-order step, and what would have to change.

    python benchmarks/devicemodel/bottlenecks.py [TECHNOLOGY ...]

Steps of the dual and of the factored layout, settled to 1 % at a condition number of 10, for the paper's constants, `gf180mcu` and
`integrated`, or for technologies of one's own (a name or a file, such as the winner of `thermograd codesign`), beside the same step on the
GPU of `DigitalHost` alone: by Cholesky on the Gram matrix, and by CG with products with the curvature, which forms no matrix. Then the
row "no die", and what schedules save. Tables in Markdown, for docs/cost.md.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from pathlib import Path

from thermograd.circuits.technology.presets import PRESETS, preset
from thermograd.circuits.technology.technology import Technology
from thermograd.devicemodel.cost.digital_host import DigitalHost
from thermograd.devicemodel.cost.model import Scenario
from thermograd.devicemodel.cost.no_die import advantage, break_even, solution_figures, without_die
from thermograd.devicemodel.cost.schedule import NAMES, schedule_of
from thermograd.devicemodel.cost.step import StepCost
from thermograd.report.formatting import engineering

TECHNOLOGIES, OUTPUTS = ("paper", "gf180mcu", "integrated"), 10
SIZES, BATCHES = (1_000, 100_000, 10_000_000), (8, 64, 512)
MNIST = (28_602, 64, 9)


def machine(name: str) -> Technology:
    return preset(name) if name in PRESETS else Technology.read(Path(name))


def largest(cost: StepCost, energy: bool) -> str:
    groups = cost.groups(energy)
    name = max(groups, key=lambda one: groups[one])
    return f"{name} {100 * groups[name] / sum(groups.values()):.0f} %"


def bottlenecks(technology: Technology) -> None:
    print(f"\n**{technology.name}**, dz = {OUTPUTS}; * not buildable as it is\n")
    print(
        "| layout | N | batch | time | mostly | energy | mostly | time, GPU over die: Cholesky | CG | energy: Cholesky | CG |"
    )
    print("|" + "---|" * 11)
    for layout, n, batch in itertools.product(("dual", "factored"), SIZES, BATCHES):
        scenario = Scenario(n, batch, OUTPUTS, layout, technology)
        die, (cholesky, _, products) = scenario.cost(), without_die(scenario)
        ratios = [host.cost.seconds / die.seconds for host in (cholesky, products)]
        ratios += [host.cost.joules / die.joules for host in (cholesky, products)]
        cells = [layout, f"{n:.0e}", str(batch), engineering(die.seconds, "s") + "*" * (not die.buildable)]
        cells += [largest(die, False), engineering(die.joules, "J") + (" (not all sourced)" if die.unsourced else "")]
        print("| " + " | ".join([*cells, largest(die, True), *(f"{one:.2g}" for one in ratios)]) + " |")


def no_die(technology: Technology) -> None:
    scenario = Scenario(*MNIST, "dual", technology)
    die = solution_figures(scenario)
    print(
        f"| {technology.name}: die | {engineering(die['solution_seconds'], 's')} | {engineering(die['solution_joules'], 'J')} |"
    )
    for one in without_die(scenario)[:2]:
        found = one.to_dict()
        print(
            f"| no die: {one} | {engineering(found['solution_seconds'], 's')} | {engineering(found['solution_joules'], 'J')} |"
        )
    for row in break_even(scenario):
        if row.solver is not None:
            places = [f"{knob} {'never' if value is None else f'{value:.3g}'}" for knob, value in row.places.items()]
            text = ", ".join(places) or "here"
            print(f"  {row.solver}, {'energy' if row.energy else 'time'}: {row.advantage:.3g}; pays from {text}")


def main() -> None:
    technologies = [machine(name) for name in (sys.argv[1:] or TECHNOLOGIES)]
    for technology in technologies:
        bottlenecks(technology)
    print("\nMNIST's dual system, k = 576, without the derivatives\n\n| solver | time | energy |\n|---|---|---|")
    for technology in technologies:
        no_die(technology)
    print(
        "\n| layout, technology | steps a curvature | "
        + " | ".join(f"{name} | " for name in NAMES)
        + "|\n|"
        + "---|" * 8
    )
    for technology, layout in itertools.product(technologies, ("dual", "factored")):
        for every in (1, 16) if layout == "factored" else (1,):  # dual cells are one batch's outputs
            found = [schedule_of(Scenario(*MNIST, layout, technology), name, every) for name in NAMES]
            cells = [f"{engineering(one.seconds, 's')} | {engineering(one.joules, 'J')}" for one in found]
            print(f"| {layout}, {technology.name} | {every} | " + " | ".join(cells) + " |")
    print(
        "\nwhat would have to change (integrated, MNIST's step): ratio of the GPU's energy and time, cheapest solver, to the die's"
    )
    base = Scenario(*MNIST, "factored", preset("integrated"))
    free = DigitalHost(idle_power=0.0)
    changes = {
        "as it is": base,
        "a host free while it waits": dataclasses.replace(base, host=free),
        "and a link of 1 Tb/s": dataclasses.replace(base.turned("rate", 1e12), host=free),
        "and a link of 50 Tb/s": dataclasses.replace(base.turned("rate", 50e12), host=free),
    }
    for name, one in changes.items():
        print(f"| {name} | {advantage(one):.3g} | {advantage(one, energy=True):.3g} |")


if __name__ == "__main__":
    main()
