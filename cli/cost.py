"""The command that estimates time and energy of a step: `cost`."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..circuits.errors import InputError
from ..circuits.files import output_path
from .options import LEARNING, PICTURES, Json, Plot, TechnologyName, examples, numbers, suffixed, whole
from .outputs import emit, note, show

if TYPE_CHECKING:
    from ..circuits.technology.technology import Technology
    from ..devicemodel.cost.digital_host import DigitalHost
    from ..devicemodel.cost.model import Scenario, StepCost
    from ..devicemodel.cost.refinement import ReadingPlan
    from ..devicemodel.cost.workload import SolverArray

BASE = "paper"
ROWS = 7
"""Rows in the table of a sweep."""

app = typer.Typer()


@app.command(
    rich_help_panel=LEARNING,
    epilog=examples(
        "thermograd cost --parameters 100k --batch 32 --outputs 20",
        "thermograd cost --parameters 100k --batch 32 --outputs 20 --sweep rate=1G:1000T --plot rate.png",
        "thermograd cost --parameters 100k --batch 32 --outputs 20 --layout dual --technology integrated --json",
        "thermograd cost --parameters 29k --batch 64 --outputs 9 --layout dual --technology integrated --rounds 0,1,2,4",
        "thermograd compile A.npy --fabric crossbar --technology integrated --out board && thermograd cost --program board.json",
    ),
)
def cost(
    parameters: Annotated[str | None, typer.Option("--parameters", help="Number of parameters N.", metavar="N")] = None,
    batch: Annotated[str | None, typer.Option("--batch", help="Samples in a batch.", metavar="B")] = None,
    outputs: Annotated[str | None, typer.Option("--outputs", help="Number of outputs.", metavar="DZ")] = None,
    layout: Annotated[
        str,
        typer.Option(
            "--layout",
            help="factored (arrays J, H, J^T: the paper's), dense (N x N), or dual (B DZ cells, what `train` uses).",
            metavar="NAME",
        ),
    ] = "factored",
    program: Annotated[
        Path | None,
        typer.Option("--program", help="Program written by `compile`, instead of a network.", metavar="FILE"),
    ] = None,
    technology: TechnologyName = None,
    duration: Annotated[float, typer.Option("--duration", help="Of a run, in tau.", metavar="TAU")] = 50.0,
    attempts: Annotated[int, typer.Option("--attempts", help="Analog runs for each reading.", min=1)] = 1,
    rounds: Annotated[
        str | None,
        typer.Option(
            "--rounds",
            help="Corrections of a refined reading, which is taken at +b and -b: several, such as 0,1,2,4, are compared with a bare one.",
            metavar="LIST",
        ),
    ] = None,
    host_rate: Annotated[
        str | None,
        typer.Option(
            "--host-rate", help="Operations per second of the host. Default: 30 % of an A100's 19.5 T.", metavar="FLOPS"
        ),
    ] = None,
    host_power: Annotated[
        float | None,
        typer.Option("--host-power", help="Power of the host while it computes. Default: 400 W.", metavar="WATT"),
    ] = None,
    host_bandwidth: Annotated[
        str | None,
        typer.Option(
            "--host-bandwidth",
            help="Bytes per second to the host's memory. Default: an A100's 1.555 T.",
            metavar="BYTES",
        ),
    ] = None,
    digital: Annotated[
        str | None,
        typer.Option("--digital", help="Measured time of the derivatives, instead of --host-rate.", metavar="SECONDS"),
    ] = None,
    sweep: Annotated[
        str | None,
        typer.Option(
            "--sweep",
            help="Vary one of parameters, batch, outputs, duration, bits, rate (link, bit/s), converters (of a kind, shared), samples "
            "(of one converter, 1/s) or resistance (ohm), and report where the bottleneck changes.",
            metavar="KNOB=LOW:HIGH",
        ),
    ] = None,
    plot: Plot = None,
    json: Json = False,
) -> None:
    """Time and energy of one step, part by part: derivatives, programming, transfers, converters, settling, residuals.

    With --rounds the solution is refined, and the table is that of the most rounds; `thermograd train` takes at most 8, until
    |b - A x| <= 1e-2 |b|.

    --parameters, --batch, --outputs, --host-rate, --host-bandwidth, --digital and the bounds of --sweep may carry SPICE suffixes: 100k,
    1meg, 50G, 2m for 2e-3. A capital M is ambiguous and rejected. docs/cost.md describes the model and its sources.
    """
    if plot is not None and sweep is None:
        raise InputError("--plot draws a sweep: add --sweep KNOB=LOW:HIGH, such as --sweep rate=1G:1000T")
    if digital is not None and host_rate is not None:
        raise InputError("--digital takes the place of --host-rate: leave one of them out")
    from ..devicemodel.cost.digital_host import DigitalHost
    from ..devicemodel.cost.model import Scenario
    from .hardware import read_technology

    seconds, default = None if digital is None else suffixed("--digital", digital), DigitalHost()
    host = DigitalHost(
        default.rate if host_rate is None else suffixed("--host-rate", host_rate),
        default.power if host_power is None else host_power,
        default.bandwidth if host_bandwidth is None else suffixed("--host-bandwidth", host_bandwidth),
    )
    plans = _plans(rounds)
    if program is not None:
        given = {
            "--parameters": parameters,
            "--batch": batch,
            "--outputs": outputs,
            "--technology": technology,
            "--host-rate": None if rounds else host_rate,
            "--sweep": sweep,
        }
        for option, value in given.items():
            if value is not None:
                raise InputError(f"{option} does not apply to --program, which is a finished circuit; leave it out")
        _cost_of_program(program, duration, attempts, seconds or 0.0, host, plans, json)
        return
    if parameters is None or batch is None or outputs is None:
        raise InputError("give --parameters, --batch and --outputs, or --program FILE")
    picture = output_path(plot, PICTURES, [Path(technology or "")])
    scenario = Scenario(
        parameters=whole("--parameters", parameters),
        batch=whole("--batch", batch),
        outputs=whole("--outputs", outputs),
        layout=layout,
        technology=read_technology(technology or BASE),
        duration=duration,
        host=host,
        digital_seconds=seconds,
        attempts=attempts,
        reading=plans[-1],
    )
    costs = [dataclasses.replace(scenario, reading=plan).cost() for plan in plans]
    found, array = costs[-1], scenario.array()
    title = f"{layout}: N = {scenario.parameters}, b = {scenario.batch}, dz = {scenario.outputs}, {duration:g} tau, {scenario.reading}, "
    title += f"technology {scenario.technology.name}"
    data = _data(plans, costs, array)
    swept = None if sweep is None else _swept(scenario, sweep)
    if swept is not None and picture is not None:
        from ..report.figures.cost import sweep_plot
        from ..report.figures.style import save

        knob, low, high = swept["knob"], swept["values"][0], swept["values"][-1]
        save(sweep_plot(scenario, knob, low, high, title.replace(" tau", " τ")), picture)
    if json:
        emit(data | {"layout": layout, "technology": scenario.technology.name, "sweep": swept, "plot": picture})
        return
    _show(found, array, title)
    _show_readings(plans, costs)
    if swept is not None:
        _show_sweep(swept)
    if picture is not None:
        note(f"wrote {picture}")
    _remark(scenario.technology)


def _plans(rounds: str | None) -> list[ReadingPlan]:
    """A bare reading, and after it those that `--rounds` names."""
    from ..devicemodel.cost.refinement import ReadingPlan

    found = [] if rounds is None else numbers("--rounds", rounds)
    for one in found:
        if one < 0 or one != int(one):
            raise InputError(f"--rounds: {one:g} is no number of rounds; give whole numbers >= 0")
    return [ReadingPlan(), *(ReadingPlan(one) for one in sorted({int(one) for one in found}))]


def _cost_of_program(
    path: Path, duration: float, attempts: int, seconds: float, host: DigitalHost, plans: list[ReadingPlan], json: bool
) -> None:
    from ..compiler.program_io import load_program
    from ..devicemodel.cost.model import step_cost
    from ..devicemodel.cost.refinement import scaling_work, written_out
    from ..devicemodel.cost.workload import compiled_array

    _require_program(path)
    program = load_program(path)
    array = compiled_array(program)
    costs = []
    for plan in plans:
        runs, work = plan.runs * attempts, plan.work(written_out(array.cells), scaling_work(array.cells))
        costs.append(step_cost(array, program.technology, duration * array.tau * runs, seconds, host, runs, work))
    if json:
        emit(_data(plans, costs, array) | {"layout": program.fabric_name, "technology": program.technology.name})
        return
    _show(
        costs[-1],
        array,
        f"{program.fabric_name}: {program.size} unknowns, {duration:g} tau, {plans[-1]}, technology {program.technology.name}",
    )
    _show_readings(plans, costs)
    _remark(program.technology)


def _require_program(path: Path) -> None:
    """Raise InputError if the file is JSON but no program; unreadable files are left to the loader."""
    import json

    from ..circuits.files import read_text

    try:
        found = json.loads(read_text(path.with_suffix(".json")))
    except (OSError, ValueError, RecursionError):
        return
    if not (isinstance(found, dict) and "thermograd_program" in found):
        card = isinstance(found, dict) and {"technology", "fabric", "digest"} <= set(found)
        raise InputError(
            f"--program {str(path)!r} is {'a device card' if card else 'JSON of another kind'}, not a program: give a .json that "
            "`thermograd compile --out PREFIX` wrote, with its .npz beside it"
        )


def _swept(scenario: Scenario, text: str) -> dict[str, Any]:
    """Table and changes of the bottleneck, as plain data."""
    from ..devicemodel.cost.model import handovers, knob_values, sweep

    knob, equals, bounds = (word.strip() for word in text.partition("="))
    low, colon, high = (word.strip() for word in bounds.partition(":"))
    if not (equals and colon and low and high):
        raise InputError(f"--sweep {text!r} is not KNOB=LOW:HIGH, such as --sweep rate=1G:1000T")
    ends = suffixed(f"--sweep {knob}", low), suffixed(f"--sweep {knob}", high)
    values = knob_values(knob, *ends, ROWS)
    for word, end in zip((low, high), ends, strict=True):
        try:
            scenario.turned(knob, end)
        except InputError as error:
            raise InputError(f"--sweep {knob}, bound {word}: {error}") from None
    return {
        "knob": knob,
        "values": values,
        "costs": [found.to_dict() for found in sweep(scenario, knob, values)],
        "time_handovers": [dataclasses.asdict(change) for change in handovers(scenario, knob, *ends)],
        "energy_handovers": [dataclasses.asdict(change) for change in handovers(scenario, knob, *ends, energy=True)],
    }


def _show(found: StepCost, array: SolverArray, title: str) -> None:
    from ..devicemodel.cost.model import share
    from ..report.formatting import engineering

    rows = [
        (
            part.name,
            engineering(part.seconds, "s"),
            share(part.seconds, found.seconds),
            engineering(part.joules, "J"),
            share(part.joules, found.joules),
        )
        for part in found.parts
    ]
    rows.append(("total", engineering(found.seconds, "s"), "", engineering(found.joules, "J"), ""))
    show(title, ("part", "time", "share", "energy", "share"), rows)
    facts = [
        ("bottleneck in time", found.bottleneck),
        ("bottleneck in energy", found.energy_bottleneck),
        ("cells", f"{array.cells}"),
        ("codes", f"{array.codes}"),
        ("amplifiers", f"{array.amplifiers}"),
        ("tau", engineering(array.tau, "s")),
        ("heat of the resistors", engineering(array.heat, "W")),
        ("runs", f"{found.counts.runs}"),
        ("conversions, DAC and ADC each", f"{found.counts.conversions}"),
    ]
    show("", ("", ""), facts)


def _show_readings(plans: list[ReadingPlan], costs: list[StepCost]) -> None:
    """Compare readings, if there is more than one."""
    from ..report.formatting import engineering

    if len(plans) == 1:
        return
    columns = (
        "reading",
        "runs",
        "conversions",
        "products",
        "multiply-adds",
        "memory",
        "solution",
        "",
        "whole step",
        "",
    )
    rows = []
    for plan, one in zip(plans, costs, strict=True):
        counts, work = one.counts, one.counts.work
        of_array = _beside_derivatives(one)
        rows.append(
            (
                str(plan),
                counts.runs,
                counts.conversions,
                work.products,
                f"{work.multiply_adds:.3g}",
                engineering(work.bytes, "B"),
                engineering(of_array[0], "s"),
                engineering(of_array[1], "J"),
                engineering(one.seconds, "s"),
                engineering(one.joules, "J"),
            )
        )
    show("Refining: conversions of all DACs, and as many of all ADCs; solution: all but the derivatives", columns, rows)


def _beside_derivatives(one: StepCost) -> tuple[float, float]:
    """Seconds and joules of all parts but the derivatives."""
    parts = [part for part in one.parts if part.name != "derivatives"]
    return math.fsum(part.seconds for part in parts), math.fsum(part.joules for part in parts)


def _show_sweep(swept: dict[str, Any]) -> None:
    from ..report.formatting import engineering

    knob = swept["knob"]
    rows = [
        (
            f"{value:.4g}",
            engineering(one["seconds"], "s"),
            one["bottleneck"],
            engineering(one["joules"], "J"),
            one["energy_bottleneck"],
        )
        for value, one in zip(swept["values"], swept["costs"], strict=True)
    ]
    show("", (knob, "time", "bottleneck", "energy", "bottleneck"), rows)
    for what in ("time", "energy"):
        for change in swept[f"{what}_handovers"]:
            note(f"{what}: from {change['before']} to {change['after']} at {knob} = {change['value']:.4g}")
        if not swept[f"{what}_handovers"]:
            note(f"{what}: the bottleneck does not change")


def _remark(technology: Technology) -> None:
    """Note the figures that count as free because the technology does not state them."""
    figures = {
        "dac.figure_of_merit": technology.dac.figure_of_merit,
        "adc.figure_of_merit": technology.adc.figure_of_merit,
        "link.energy": technology.link.energy,
        "resistors.write_energy": technology.resistors.write_energy,
        "opamp.power": technology.opamp.power,
    }
    unstated = [name for name, figure in figures.items() if figure == 0]
    unstated += [f"{name}.rate" for name in ("dac", "adc") if math.isinf(getattr(technology, name).rate)]
    if unstated:
        note(f"technology {technology.name} does not state {', '.join(unstated)}, which count as free")


def _data(plans: list[ReadingPlan], costs: list[StepCost], array: SolverArray) -> dict[str, Any]:
    readings = [
        {"rounds": plan.rounds, "seconds": one.seconds, "joules": one.joules, "counts": one.counts.to_dict()}
        for plan, one in zip(plans, costs, strict=True)
    ]
    return costs[-1].to_dict() | {"array": dataclasses.asdict(array), "readings": readings}
