"""The command that estimates time and energy of a step: `cost`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..circuits.errors import InputError
from ..circuits.files import output_path
from .cost_display import remark, show_cost, show_no_die, show_schedules, show_sweep
from .options import LEARNING, PICTURES, Json, Plot, TechnologyName, examples, numbers, suffixed, whole
from .outputs import emit, note

if TYPE_CHECKING:
    from ..devicemodel.cost.digital_host import DigitalHost
    from ..devicemodel.cost.model import Scenario
    from ..devicemodel.cost.refinement import ReadingPlan
    from ..devicemodel.cost.schedule import Schedule
    from ..devicemodel.cost.solver_array import SolverArray
    from ..devicemodel.cost.step import StepCost

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
        "thermograd cost --parameters 29k --batch 4 --outputs 10 --layout dual --technology integrated --fabric oscillator --condition 100",
        "thermograd cost --parameters 100k --batch 32 --outputs 20 --technology integrated --schedules 1,16 --prices",
        "thermograd cost --parameters 100k --batch 32 --outputs 20 --technology integrated --accuracy 0.001 --condition 30",
        "thermograd compile A.npy --fabric crossbar --technology integrated --out board && thermograd cost --program board.json --b b.npy",
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
    fabric: Annotated[
        str | None,
        typer.Option(
            "--fabric",
            help="Of layouts dense and dual: crossbar, or oscillator, which settles with the square root of the condition number. "
            "Default: crossbar.",
            metavar="NAME",
        ),
    ] = None,
    program: Annotated[
        Path | None,
        typer.Option("--program", help="Program written by `compile`, instead of a network.", metavar="FILE"),
    ] = None,
    technology: TechnologyName = None,
    b: Annotated[
        Path | None,
        typer.Option(
            "--b",
            help="Right-hand side of --program, .npy, .csv or .txt, whose run is worked out; without it bounds for all.",
            metavar="FILE",
        ),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option(
            "--duration", help="Of a run, in tau. Default: what the circuit needs to --accuracy.", metavar="TAU"
        ),
    ] = None,
    accuracy: Annotated[
        float, typer.Option("--accuracy", help="Relative, to which the circuit settles.", metavar="SHARE")
    ] = 0.01,
    condition: Annotated[
        float | None,
        typer.Option(
            "--condition",
            help="Condition number of the matrix of a network, damping included. Default: 10.",
            metavar="NUMBER",
        ),
    ] = None,
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
    host_idle_power: Annotated[
        float | None,
        typer.Option("--host-idle-power", help="Power of the host while it waits. Default: 53 W.", metavar="WATT"),
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
            help="Vary one of parameters, batch, outputs, duration, condition, bits, rate (link, bit/s), converters (of a kind, shared), "
            "samples (of one converter, 1/s), resistance (ohm) or bandwidth (of the amplifiers, Hz), and say where the bottleneck changes.",
            metavar="KNOB=LOW:HIGH",
        ),
    ] = None,
    schedules: Annotated[
        str | None,
        typer.Option(
            "--schedules",
            help="Compare schedules: host, link and array at work at the same time, on a curvature that is old or kept for so many steps, "
            "such as 1,4,16.",
            metavar="LIST",
        ),
    ] = None,
    prices: Annotated[
        bool,
        typer.Option("--prices", help="List each price behind the energies and times, with its kind and its source."),
    ] = False,
    plot: Plot = None,
    json: Json = False,
) -> None:
    """Time and energy of one step, part by part: derivatives, programming, transfers, converters, settling, residuals, idle host, standby.

    A run takes as long as the loaded amplifiers need to settle, unless --duration states a protocol. An array that they cannot drive, or
    that is unstable with them, is "not buildable, because ...".

    The row "no die" is the same step on the host alone, to the same error, with where a die would pay.

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
    from ..devicemodel.cost.no_die import break_even, without_die
    from ..devicemodel.cost.planned import CONDITION, CROSSBAR
    from .hardware import read_technology

    seconds, default = None if digital is None else suffixed("--digital", digital), DigitalHost()
    host = DigitalHost(
        default.rate if host_rate is None else suffixed("--host-rate", host_rate),
        default.power if host_power is None else host_power,
        default.bandwidth if host_bandwidth is None else suffixed("--host-bandwidth", host_bandwidth),
        default.idle_power if host_idle_power is None else host_idle_power,
    )
    plans = _plans(rounds)
    if program is not None:
        given = {
            "--parameters": parameters,
            "--batch": batch,
            "--outputs": outputs,
            "--fabric": fabric,
            "--technology": technology,
            "--condition": condition,
            "--host-rate": None if rounds else host_rate,
            "--schedules": schedules,
            "--sweep": sweep,
        }
        for option, value in given.items():
            if value is not None:
                raise InputError(f"{option} does not apply to --program, which is a finished circuit; leave it out")
        _cost_of_program(program, b, (duration, accuracy), attempts, seconds or 0.0, host, plans, json, prices)
        return
    if b is not None:
        raise InputError("--b is a right-hand side of --program FILE: give both, or leave --b out")
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
        accuracy=accuracy,
        condition=CONDITION if condition is None else condition,
        host=host,
        digital_seconds=seconds,
        attempts=attempts,
        reading=plans[-1],
        fabric=fabric or CROSSBAR,
    )
    costs = [dataclasses.replace(scenario, reading=plan).cost() for plan in plans]
    found, array = costs[-1], scenario.array()
    made = layout if fabric is None else f"{layout}, {fabric}"
    title = f"{made}: N = {scenario.parameters}, b = {scenario.batch}, dz = {scenario.outputs}, {_length(found, duration)}, "
    title += f"{scenario.reading}, technology {scenario.technology.name}"
    data = _data(plans, costs, array)
    hosts, paying, timed = without_die(scenario), break_even(scenario), _schedules(scenario, schedules)
    data |= {
        "no_die": [one.to_dict() for one in hosts],
        "break_even": [one.to_dict() for one in paying],
        "schedules": [one.to_dict() for one in timed],
    }
    swept = None if sweep is None else _swept(scenario, sweep)
    if swept is not None and picture is not None:
        from ..report.figures.cost import sweep_plot
        from ..report.figures.style import save

        knob, low, high = swept["knob"], swept["values"][0], swept["values"][-1]
        save(sweep_plot(scenario, knob, low, high, title.replace(" tau", " τ")), picture)
    if json:
        emit(
            data
            | {
                "layout": layout,
                "fabric": scenario.fabric,
                "technology": scenario.technology.name,
                "sweep": swept,
                "plot": picture,
            }
        )
        return
    show_cost(found, plans, costs, title, prices)
    show_no_die(found, hosts, paying)
    if timed:
        show_schedules(timed)
        if layout == "dual" and any(one.every > 1 for one in timed):
            note(
                "dual cells stand for the outputs of one batch: a curvature that serves for several steps needs all points in each"
            )
    if swept is not None:
        show_sweep(swept)
    if picture is not None:
        note(f"wrote {picture}")
    remark(found, scenario.technology)


def _plans(rounds: str | None) -> list[ReadingPlan]:
    """A bare reading, and after it those that `--rounds` names."""
    from ..devicemodel.cost.refinement import ReadingPlan

    found = [] if rounds is None else numbers("--rounds", rounds)
    for one in found:
        if one < 0 or one != int(one):
            raise InputError(f"--rounds: {one:g} is no number of rounds; give whole numbers >= 0")
    return [ReadingPlan(), *(ReadingPlan(one) for one in sorted({int(one) for one in found}))]


def _cost_of_program(
    path: Path,
    drive: Path | None,
    run: tuple[float | None, float],
    attempts: int,
    seconds: float,
    host: DigitalHost,
    plans: list[ReadingPlan],
    json: bool,
    prices: bool,
) -> None:
    from ..compiler.program_io import load_program
    from ..devicemodel.cost.compiled import compiled_array
    from ..devicemodel.cost.model import run_seconds, step_cost
    from ..devicemodel.cost.refinement import scaling_work, written_out
    from .inputs import read_vector

    _require_program(path)
    program, (duration, accuracy) = load_program(path), run
    array = compiled_array(program, None if drive is None else read_vector(drive), duration, accuracy)
    each, costs = run_seconds(array, duration, accuracy), []
    for plan in plans:
        runs, work = plan.runs * attempts, plan.work(written_out(array.cells), scaling_work(array.cells))
        costs.append(step_cost(array, program.technology, each * runs, seconds, host, runs, work, accuracy))
    if json:
        made = {"layout": program.fabric_name, "fabric": program.fabric_name, "technology": program.technology.name}
        emit(_data(plans, costs, array) | made)
        return
    title = f"{program.fabric_name}: {program.size} unknowns, {_length(costs[-1], duration)}, {plans[-1]}"
    show_cost(costs[-1], plans, costs, f"{title}, technology {program.technology.name}", prices)
    remark(costs[-1], program.technology)


def _length(found: StepCost, duration: float | None) -> str:
    """Length of a run, in words."""
    return f"settled to {100 * found.accuracy:g} %" if duration is None else f"{duration:g} tau"


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
    from ..devicemodel.cost.sweeps import handovers, knob_values, sweep

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


def _schedules(scenario: Scenario, text: str | None) -> tuple[Schedule, ...]:
    """The schedules with each number of steps that a curvature serves for."""
    from ..devicemodel.cost.schedule import schedules

    found = [] if text is None else numbers("--schedules", text)
    for one in found:
        if one < 1 or one != int(one):
            raise InputError(f"--schedules: {one:g} is no number of steps; give whole numbers >= 1")
    return schedules(scenario, tuple(sorted({int(one) for one in found}))) if found else ()


def _data(plans: list[ReadingPlan], costs: list[StepCost], array: SolverArray) -> dict[str, Any]:
    readings = [
        {"rounds": plan.rounds, "seconds": one.seconds, "joules": one.joules, "counts": one.counts.to_dict()}
        for plan, one in zip(plans, costs, strict=True)
    ]
    return costs[-1].to_dict() | {"array": array.to_dict(), "readings": readings}
