"""Time and energy of a step of TNGD, part by part, with the bottleneck (`devicemodel/cost/model.py`).

    python benchmarks/devicemodel/cost.py [--plot docs/cost.png]

First the paper's machine (arXiv:2405.13817) part by part in the three layouts; what the loaded circuits need to settle and what speaks
against them; what a waiting host takes; condition numbers of a training's systems; operations of digital optimizers on the same host;
then the time of the derivatives as measured on this machine, against the model; then where the bottleneck changes; then a cheaper die and
more rounds: what a solution to |b - A x| <= 1e-3 |b| takes on dies of fewer or more bits, with the rounds and runs that surrogates of five
dies really need for it on a system of a training.

`--survey ADCsurvey_rev20250609.xlsx` (of github.com/bmurmann/ADC-survey) prints the medians of the converters' parameters instead.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import platform
import statistics
import zipfile
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from thermograd.circuits.technology.presets import preset
from thermograd.devicemodel.card import DeviceCard
from thermograd.devicemodel.cost.digital_host import DigitalHost
from thermograd.devicemodel.cost.model import Scenario, step_cost
from thermograd.devicemodel.cost.planned import PlannedCircuit, planned_array
from thermograd.devicemodel.cost.refinement import ReadingPlan, scaling_work, written_out
from thermograd.devicemodel.cost.step import GROUPS, StepCost
from thermograd.devicemodel.cost.sweeps import Handover, handovers
from thermograd.devicemodel.cost.workload import LAYOUTS, derivative_flops, measured_seconds
from thermograd.devicemodel.device import Outcome
from thermograd.devicemodel.devices.surrogate import SurrogateDevice
from thermograd.devicemodel.host.refine import Refined
from thermograd.devicemodel.systems import Dense
from thermograd.optim.curvature.batch import evaluate
from thermograd.optim.curvature.curvature import Curvature
from thermograd.optim.tasks.digits import digits
from thermograd.optim.training.curvature_systems import curvature_systems
from thermograd.report.figures.cost import COLOURS, draw_sweep, legend
from thermograd.report.figures.style import BLACK, WIDE, styled

N, BATCH, OUTPUTS, CG_STEPS = 100_000, 32, 20, 200
"""The largest network of the paper's figure 2."""
PAPER = Scenario(N, BATCH, OUTPUTS, duration=50.0)
OFF = Scenario(N, BATCH, 1, duration=50.0, host=DigitalHost(idle_power=0.0))
"""The same with one output, and a host that takes no power while it waits."""
SAMPLES = 4e4
"""Median Nyquist rate of the survey's converters with 15 to 17 effective bits since 2015, S/s."""
PANELS: tuple[tuple[str, Scenario, str, float, float, bool], ...] = (
    ("Time: N = 10⁵, b = 32, dz = 20", PAPER, "rate", 1e9, 1e14, False),
    ("Time: 16 bit converters of 40 kS/s", PAPER.turned("samples", SAMPLES), "converters", 1, 1e5, False),
    ("Energy: empirical Fisher, b = 32, dz = 1", Scenario(N, BATCH, 1, duration=50.0), "bits", 4, 20, True),
)
"""Title, scenario, knob, its bounds, and whether energy is meant instead of time."""
MORE: tuple[tuple[str, Scenario, str, float, float, bool], ...] = (
    ("Energy: N = 1e5, b = 32, dz = 20", PAPER, "rate", 1e9, 1e14, True),
    ("Energy, host off while it waits: N = 1e5, b = 32, dz = 1", OFF, "bits", 4, 20, True),
    ("Energy, host off while it waits: N = 1e5, dz = 1", dataclasses.replace(OFF, batch=1), "batch", 1, 1e3, True),
    (
        "Energy, host off while it waits: N = 1e5, b = 32, dz = 20",
        dataclasses.replace(OFF, outputs=OUTPUTS),
        "duration",
        1,
        1e4,
        True,
    ),
    (
        "Time: integrated, dual",
        Scenario(N, BATCH, OUTPUTS, "dual", preset("integrated"), duration=50.0),
        "rate",
        1e6,
        1e12,
        False,
    ),
    (
        "Time: N = 1e5, b = 32, dz = 1, 40 kS/s each",
        Scenario(N, BATCH, 1, duration=50.0).turned("samples", SAMPLES),
        "converters",
        1,
        1e5,
        False,
    ),
)
"""As `PANELS`, in numbers alone."""
HIDDEN = (32, 128, 512)


BITS, DIES, TOLERANCE, MOST = tuple(range(3, 13)), (1, 2, 3, 4, 5), 1e-3, 20
"""Of codes and converters; seeds; |b - A x| / |b|; rounds."""
STEPS = (0, 20, 50, 100)
"""Whose systems' condition numbers are stated."""
STEP, SAMPLES_A_STEP, DURATION = 50, 16, 20.0
"""Of the training whose system is solved, and of a run, tau."""


class Weighed(NamedTuple):
    """A solution to the tolerance on dies of some bits: medians over those that get there, and what they cost."""

    bits: int
    converged: int
    rounds: int
    runs: int
    cost: StepCost


def weighed() -> list[Weighed]:
    """A cheaper die and more rounds."""
    [system] = curvature_systems(digits(), [STEP], SAMPLES_A_STEP)
    matrix, b = Dense(torch.from_numpy(system.matrix)), torch.from_numpy(system.b)
    found = []
    for bits in BITS:
        technology = preset("integrated").replace(resistors__bits=bits, dac__bits=bits, adc__bits=bits, link__word=16)
        card, array = DeviceCard.uncalibrated(technology), planned_array("dual", 1, 1, len(system.b), technology)
        solutions = [Refined(SurrogateDevice(card, die), MOST, TOLERANCE).solve(matrix, b, DURATION) for die in DIES]
        good = [one for one in solutions if one.outcome is Outcome.OK]
        if not good:
            print(f"  {bits:>2} bits: none of {len(DIES)} dies gets there in {MOST} rounds")
            continue
        rounds = statistics.median_high(one.refinement.rounds for one in good if one.refinement)
        runs = statistics.median_high(one.attempts for one in good)
        work = ReadingPlan(rounds).work(written_out(array.cells), scaling_work(array.cells))
        cost = step_cost(array, technology, DURATION * array.tau * runs, attempts=runs, work=work)
        found.append(Weighed(bits, len(good), rounds, runs, cost))
        groups = cost.groups(energy=True)
        print(
            f"  {bits:>2} bits: {len(good)} of {len(DIES)} dies, {rounds} rounds, {runs} runs, {cost.seconds:.3g} s, {cost.joules:.3g} J: "
            + ", ".join(f"{name} {groups[name]:.2g}" for name in groups if name != "derivatives")
        )
    return found


def draw_weighed(ax: Axes, found: list[Weighed]) -> None:
    """Energy by part over the bits, the number of rounds above."""
    bits = [one.bits for one in found]
    for name in GROUPS:
        line = [one.cost.groups(energy=True)[name] for one in found]
        if max(line) > 0:
            ax.plot(bits, line, color=COLOURS[name], linewidth=1.6)
    total = [one.cost.joules for one in found]
    ax.plot(bits, total, color=BLACK, linewidth=1.0, linestyle=(0, (4, 2)))
    for one in found:
        ax.annotate(
            f"{one.rounds}",
            (one.bits, one.cost.joules),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=8.5,
        )
    ax.set(yscale="log", xlabel="bits of codes and converters (above: rounds)", ylabel="energy of a solution (J)")
    ax.set_ylim(top=4 * max(total))


def circuits() -> None:
    """What the loaded circuits need to 1 %, and what speaks against them."""
    print("settling to 1 % by size and condition number, and what speaks against it")
    for technology, layouts in (("integrated", LAYOUTS), ("breadboard", ("dual",))):
        for layout in layouts:
            for n, condition in itertools.product((1_000, 10_000, 100_000), (10.0, 30.0, 100.0)):
                if layout == "dual" and n != N:
                    continue
                array = planned_array(layout, n, BATCH, OUTPUTS, preset(technology), condition)
                why = "; ".join(one.split(";")[0] for one in array.obstacles) or "-"
                print(f"  {technology}, {layout}, N = {n}, condition {condition:g}: {array.settling():.3g} s; {why}")
    print()


def idle_hosts() -> None:
    """Factored against dual, settled, with a host that waits for nothing and with one that takes power meanwhile."""
    print("energy of a step, settled, by the power of the host while it waits")
    for watts in (0.0, 20.0, DigitalHost().idle_power, 110.0):
        host = DigitalHost(idle_power=watts)
        found = [Scenario(N, BATCH, OUTPUTS, layout, host=host).cost() for layout in ("factored", "dual")]
        solutions = [one.joules - one.part("derivatives").joules for one in found]
        print(
            f"  {watts:g} W: factored {found[0].joules:.3g} J, dual {found[1].joules:.3g} J; without the derivatives "
            f"{solutions[0]:.3g} J and {solutions[1]:.3g} J"
        )
    print()


def conditions() -> None:
    """Systems of a training beside what the plan takes them for, in units of their largest entry."""
    print("condition numbers of the digits' dual systems, 16 samples, unit diagonal; smallest eigenvalue, as planned")
    for system, step in zip(curvature_systems(digits(), STEPS, SAMPLES_A_STEP), STEPS, strict=True):
        scale = 1 / np.sqrt(np.diag(system.matrix))
        values = np.linalg.eigvalsh(system.matrix * np.outer(scale, scale))
        condition, k = values[-1] / values[0], len(values)
        planned = planned_array("dual", 1, 1, k, preset("ideal"), condition)
        assert isinstance(planned.circuit, PlannedCircuit)
        low = planned.circuit.low * preset("ideal").resistors.unit
        print(f"  step {step}: k = {k}, condition {condition:.3g}; {values[0]:.3g}, {low:.3g}")
    print()


def digital_optimizers(host: DigitalHost) -> list[tuple[str, float]]:
    """Seconds of one step of the digital optimizers, by operations; the leading terms of the paper's table of complexities."""
    k, gradient = BATCH * OUTPUTS, 6.0 * BATCH * N
    jacobian = derivative_flops("factored", N, BATCH, OUTPUTS)
    flops = {
        "SGD or Adam": gradient,
        "NGD, Cholesky of N x N": derivative_flops("dense", N, BATCH, OUTPUTS) + N**3 / 3,
        f"NGD-CG, {CG_STEPS} steps": gradient * (1 + 2 * CG_STEPS),
        "NGD-Woodbury": jacobian + 2.0 * k * k * N + k**3 / 3,
    }
    return [(name, count / host.rate) for name, count in flops.items()]


def measured(hidden: int, layout: str) -> tuple[int, int, float]:
    """N, k and the measured seconds of forward pass, gradient, and Jacobian ("factored") or Gram matrix and map-back ("dual")."""
    task = digits(hidden=hidden)
    torch.manual_seed(0)
    model = task.model()
    parameters = list(model.parameters())
    inputs, targets = task.batch(0, BATCH, 0)

    def closure() -> tuple[torch.Tensor, torch.Tensor]:
        outputs = model(inputs)
        return task.loss(outputs, targets), outputs

    def work() -> int:
        ggn = Curvature(evaluate(closure), parameters)
        ggn.gradient()
        if layout == "dual":
            ggn.gram()
            ggn.rmatvec(ggn.sources)
        else:
            ggn.jacobian()
        return ggn.cells

    return sum(p.numel() for p in parameters), work(), measured_seconds(work)


def survey(path: Path) -> None:
    """Quartiles of Walden's figure of merit and of the Nyquist rate among the converters since 2015, by effective bits."""
    space = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
    with zipfile.ZipFile(path) as book:
        shared = ["".join(item.itertext()) for item in ElementTree.fromstring(book.read("xl/sharedStrings.xml"))]
        sheets = [ElementTree.fromstring(book.read(f"xl/worksheets/sheet{number}.xml")) for number in (2, 3)]
    designs = []
    for sheet in sheets:  # ISSCC and VLSI; the first row has the names
        rows = []
        for row in sheet.iter(f"{space}row"):
            cells = {}
            for cell in row:
                value = cell.findtext(f"{space}v")
                if value:
                    text = shared[int(value)] if cell.get("t") == "s" else value
                    cells[(cell.get("r") or "").rstrip("0123456789")] = text
            rows.append(cells)
        letters = {name: letter for letter, name in rows[0].items()}
        for cells in rows[1:]:
            try:
                wanted = ("YEAR", "SNDR_plot [dB]", "FOMW_hf [fJ/conv-step]", "fsnyq [Hz]")
                designs.append([float(cells[letters[name]]) for name in wanted])
            except (KeyError, ValueError):  # not stated
                continue
    for low, high in ((7, 9), (9, 11), (11, 13), (13, 15), (15, 17)):
        found = [row for row in designs if row[0] >= 2015 and low <= (row[1] - 1.76) / 6.02 < high]
        figure, rate = (statistics.quantiles([row[column] for row in found], method="inclusive") for column in (2, 3))
        print(
            f"  {low:>2} to {high:<2} effective bits, {len(found)} designs: {figure[1]:.3g} fJ ({figure[0]:.2g} to {figure[2]:.3g}), "
            f"{rate[1]:.2g} S/s ({rate[0]:.2g} to {rate[2]:.2g})"
        )


def described(changes: list[Handover]) -> str:
    return "; ".join(f"{c.before} -> {c.after} at {c.value:.4g}" for c in changes) or "no change"


@styled
def picture(found: list[Weighed]) -> Figure:
    figure = Figure(figsize=(1.05 * WIDE, 7.6), layout="constrained")
    *swept, last = figure.subplots(2, 2).ravel()
    for ax, (title, scenario, knob, low, high, energy) in zip(swept, PANELS, strict=True):
        draw_sweep(ax, scenario, knob, low, high, energy)
        ax.set_title(title)
    draw_weighed(last, found)
    last.set_title(f"Energy: a system of digits to {TOLERANCE:g}, refined")
    legend(figure)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plot", type=Path, help="picture to write: .png, .svg or .pdf", metavar="FILE")
    parser.add_argument(
        "--survey", type=Path, help="print the medians of the ADC survey, and nothing else", metavar="FILE"
    )
    arguments = parser.parse_args()
    if arguments.survey is not None:
        survey(arguments.survey)
        return
    path = arguments.plot
    print(
        f"the paper's machine, N = {N}, b = {BATCH}, dz = {OUTPUTS}, 50 tau; host {PAPER.host.rate:.3g} FLOP/s, 400 W\n"
    )
    for technology in ("paper", "integrated"):
        for layout in LAYOUTS:
            scenario = Scenario(N, BATCH, OUTPUTS, layout, preset(technology), duration=50.0)
            array = scenario.array()
            print(
                f"{technology}, {layout}: {array.cells} cells, {array.codes} codes, {array.heat:.3g} W in resistors, "
                f"{array.drive_loss:.3g} W lost in driving them"
            )
            print(f"{scenario.cost()}\n")
    circuits()
    idle_hosts()
    conditions()
    device = PAPER.cost()
    print("one step on the same host, operations / rate")
    for name, seconds in digital_optimizers(PAPER.host):
        print(f"  {name:24}{seconds:>10.3g} s")
    print(f"  {'TNGD, derivatives':24}{device.part('derivatives').seconds:>10.3g} s")
    print(f"  {'TNGD, all':24}{device.seconds:>10.3g} s\n")
    print("the paper's order of growth: time of the array against N (codes are k (k + 2 N), k = b dz)")
    for n in (10_000, 30_000, 100_000):
        cost = Scenario(n, BATCH, OUTPUTS).cost()
        print(f"  N = {n:<8}programming {cost.part('programming').seconds:.3g} s, all {cost.seconds:.3g} s")
    torch.set_num_threads(1)  # so that a busy neighbour costs least
    print(
        f"\nderivatives measured here: digits 64-h-10, b = {BATCH}, one thread of {platform.processor() or platform.machine()}"
    )
    print(f"  {'layout':10}{'N':>8}{'k':>6}{'measured':>12}{'operations':>12}{'FLOP/s':>10}{'codes over link':>17}")
    for layout in ("factored", "dual"):
        for hidden in HIDDEN:
            n, k, seconds = measured(hidden, layout)
            flops = derivative_flops(layout, n, BATCH, k // BATCH)
            codes = Scenario(n, BATCH, k // BATCH, layout).cost().part("programming").seconds
            rate = f"{flops / seconds:.2g}"
            print(f"  {layout:10}{n:>8}{k:>6}{1e3 * seconds:>9.3g} ms{flops:>12.3g}{rate:>10}{1e3 * codes:>14.3g} ms")
    print("\nwhere the bottleneck changes")
    for title, scenario, knob, low, high, energy in PANELS:
        print(f"  {title}, {knob} {low:g} to {high:g}: {described(handovers(scenario, knob, low, high, energy))}")
    for title, scenario, knob, low, high, energy in MORE:
        print(f"  {title}, {knob} {low:g} to {high:g}: {described(handovers(scenario, knob, low, high, energy))}")
    print(
        f"\na solution to |b - A x| <= {TOLERANCE:g} |b|, system of step {STEP} of digits, 1 % mismatch, {DURATION:g} tau a run"
    )
    found = weighed()
    if path is not None:
        picture(found).savefig(path, dpi=150)
        print(f"\nwrote {path}")


if __name__ == "__main__":
    main()
