"""The command that turns a matrix into a circuit: `compile`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..circuits.errors import InputError
from ..circuits.files import output_path, write_text
from .options import (
    CIRCUITS,
    PICTURES,
    AmplifierChoice,
    Damping,
    Drive,
    DriveRanges,
    FabricCommand,
    Include,
    Inputs,
    Json,
    Matrix,
    Outputs,
    Reference,
    Seed,
    Slices,
    Subckt,
    Supply,
    TechnologyName,
    examples,
)
from .outputs import complain, emit, note, progress, say, show

if TYPE_CHECKING:
    from ..compiler.layout.tiling import Placement
    from ..compiler.program import AnalogProgram

EXTRACTED = ".extracted.cir"
MONTE_CARLO = ".mc.cir"

app = typer.Typer()


@app.command(
    "compile",
    cls=FabricCommand,
    rich_help_panel=CIRCUITS,
    epilog=examples(
        "thermograd compile A.npy",
        "thermograd compile A.csv --technology breadboard --damping 0.01 --out board",
        "thermograd compile A.mtx --b b.npy --out board && ngspice -b board.cir",
        "thermograd compile A.npy --technology integrated --rounding solution --tile 16 --picture coupling.svg",
        "thermograd compile A.npy --fabric crossbar --technology integrated --extracted --out array",
        "thermograd compile A.npy --technology integrated --rounding stochastic --programs 8 --out mean",
        "thermograd compile A.npy --technology integrated --slices 2 --out fine",
        "thermograd compile A.npy --b b.npy --technology integrated --drive-ranges 8 --out board",
        "thermograd compile A.npy --b b.npy --technology breadboard --params --out board",
        "thermograd compile A.npy --b b.npy --technology breadboard --monte-carlo 200 --out board && ngspice -b board.mc.cir",
        "thermograd compile A.npy --b b.npy --technology breadboard --amplifier macromodel --out board",
        "thermograd compile A.npy --b b.npy --technology amplifier.toml --amplifier examples/amplifiers/two_stage.cir "
        "--subckt two_stage --inputs inp,inn --outputs out --supply vdd=0.9 --supply vss=-0.9 --out board",
        "thermograd compile A.npy --dialect ltspice --hierarchical --equations --out cell",
        "thermograd compile ggn.npz --fabric factored          # np.savez('ggn.npz', J=J, H=H, damping=0.1)",
    ),
)
def compile_command(
    matrix: Matrix,
    b: Drive = None,
    fabric: Annotated[
        str,
        typer.Option(
            "--fabric",
            help="auto (the first that can hold the matrix of: {automatic}), or one of: {all}.",
            metavar="NAME",
        ),
    ] = "auto",
    technology: TechnologyName = "ideal",
    damping: Damping = 0.0,
    equilibrate: Annotated[
        bool, typer.Option("--equilibrate", help="Scale the unknowns to a unit diagonal (op-amp fabrics).")
    ] = False,
    prune: Annotated[
        float, typer.Option("--prune", help="Allowed relative change of A^-1 b by omitting small couplings.")
    ] = 0.0,
    floor: Annotated[
        float | None,
        typer.Option(
            "--floor",
            help="Lower bound of the smallest eigenvalue, damping included, by which oscillators are damped; default: that eigenvalue.",
            metavar="LAMBDA",
        ),
    ] = None,
    rounding: Annotated[
        str, typer.Option("--rounding", help="nearest, solution (least error of A^-1 b) or stochastic.", metavar="NAME")
    ] = "nearest",
    slices: Slices = None,
    drive_ranges: DriveRanges = None,
    seed: Seed = 0,
    programs: Annotated[
        int,
        typer.Option(
            "--programs",
            help="Number of stochastically rounded programs, whose solutions are averaged.",
            min=1,
        ),
    ] = 1,
    tile: Annotated[
        int | None,
        typer.Option("--tile", help="Place the unknowns on tiles of this size; couplings between tiles are reported."),
    ] = None,
    fan_out: Annotated[
        int | None, typer.Option("--fan-out", help="Maximum number of couplings that leave a tile.")
    ] = None,
    dialect: Annotated[
        str, typer.Option("--dialect", help="Dialect of the netlist: ngspice, ltspice, xyce or gnucap.", metavar="NAME")
    ] = "ngspice",
    hierarchical: Annotated[
        bool, typer.Option("--hierarchical", help="A sub-circuit for each cell instead of a flat netlist.")
    ] = False,
    amplifier: AmplifierChoice = None,
    subckt: Subckt = None,
    inputs: Inputs = None,
    outputs: Outputs = None,
    supply: Supply = None,
    reference: Reference = None,
    include: Include = None,
    params: Annotated[
        bool,
        typer.Option(
            "--params",
            help="Values that parts share as .param: unit resistance and capacitance, input resistors, gain, bandwidth and offset of "
            "the amplifiers, the right-hand side.",
        ),
    ] = False,
    monte_carlo: Annotated[
        int | None,
        typer.Option(
            "--monte-carlo",
            help="Also write a deck that solves for b on N dies, each part with its own deviate of the technology's tolerances "
            "({has_dies}; not lc and spu, which are not read at rest).",
            metavar="N",
        ),
    ] = None,
    dies: Annotated[
        int | None,
        typer.Option(
            "--dies",
            help="Dies drawn for the share of stable ones and their errors; default: 1,000, fewer for more than 15 unknowns (oscillators: "
            "12); 0: none.",
            min=0,
            metavar="N",
        ),
    ] = None,
    extracted: Annotated[
        bool,
        typer.Option(
            "--extracted",
            help="Also write the netlist after layout, with wires, switches and parasitics "
            "({has_layout}), and report their effect on the solution.",
        ),
    ] = False,
    equations: Annotated[
        bool,
        typer.Option("--equations", help="Derive and verify the symbolic node equations (6 unknowns or fewer)."),
    ] = False,
    picture: Annotated[
        Path | None,
        typer.Option(
            "--picture", help="Schematic (4 unknowns or fewer) or coupling graph: .png, .svg or .pdf.", metavar="FILE"
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Write PREFIX.cir, .json and .npz (the program), .report.txt, .report.json, .report.html and .bom.csv; "
            "PREFIX.mc.cir with --monte-carlo; PREFIX.extracted.cir with --extracted; PREFIX-1.cir, PREFIX-2.cir, ... with --programs.",
            metavar="PREFIX",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Compile a symmetric positive definite matrix into a circuit, verify it and report its parts and errors.

    Exit code 1 when the placement exceeds --fan-out.
    """
    from ..circuits.amplifiers.models import cell_title
    from ..circuits.spice.writer import DIALECTS
    from ..compiler.analysis.describe import describe
    from ..compiler.analysis.die_yield import LEAST, dies_for
    from ..compiler.analysis.equations import derive_equations
    from ..compiler.decks.monte_carlo import monte_carlo_spice
    from ..compiler.decks.parametric import parametric_spice
    from ..compiler.layout.extraction import extracted_netlist
    from ..compiler.program import AnalogProgram
    from ..report.program_files import SUFFIXES, Described
    from .hardware import Ports, chosen_amplifier, outlook_of, read_technology, require_swing
    from .inputs import read_problem, read_vector

    problem = read_problem(matrix, damping)
    system, drive = problem.system, problem.b if b is None else read_vector(b)
    board = read_technology(technology or "ideal")
    changes = {"resistors__slices": slices, "resistors__drive_ranges": drive_ranges}
    board = board.replace(**{name: value for name, value in changes.items() if value is not None})
    given = [matrix, b, Path(technology or "")]
    suffixes = (*SUFFIXES, *((MONTE_CARLO,) if monte_carlo is not None else ()), *((EXTRACTED,) if extracted else ()))
    files, drawn = _files(out, programs, given, suffixes), output_path(picture, PICTURES, given)
    if fan_out is not None and tile is None:
        raise InputError("--fan-out is a limit for tiles; give their size with --tile, or leave --fan-out out")
    if out is None and (params or monte_carlo is not None):
        raise InputError("--params and --monte-carlo are for what --out PREFIX writes; add it, or leave them out")
    if monte_carlo is not None and monte_carlo < 2:
        raise InputError(f"--monte-carlo {monte_carlo}: a spread needs two dies or more; give 200 or so")
    if monte_carlo is not None and drive is None:
        raise InputError("--monte-carlo spreads the solution of one right-hand side; give it with --b FILE")
    if out is None and dialect in DIALECTS and (hierarchical or dialect != "ngspice"):
        raise InputError(
            "--dialect and --hierarchical are for the netlist that --out PREFIX writes; add it, or leave them out"
        )
    cell = chosen_amplifier(amplifier, Ports(subckt, inputs, outputs, supply or [], reference, include), board)
    if cell is not None and out is None:
        raise InputError("--amplifier is for the netlist that --out PREFIX writes; add it, or leave it out")
    options = {"damping": problem.damping, "equilibrate": equilibrate, "prune": prune, "floor": floor}
    compiled = _compile(system, fabric, board, drive, rounding, seed, programs, options)
    _require_bound(compiled[0], floor)
    if drive_ranges is not None and not compiled[0].parts.drive_nominal:
        raise InputError(
            f"--drive-ranges is {drive_ranges}, and fabric {compiled[0].fabric_name} has no input resistors; leave it out, or take another "
            "--fabric, such as crossbar"
        )
    if cell is not None and not compiled[0].fabric.active:
        raise InputError(
            f"--amplifier is {amplifier}, and fabric {compiled[0].fabric_name} has no amplifiers; leave it out, or take another --fabric, "
            "such as crossbar"
        )
    if cell is not None and drive is not None:
        for program in compiled:
            require_swing(program, drive, cell)
    _require_dies(compiled[0], dies)
    # Their matrix is the same.
    outlook = outlook_of(compiled[0])
    if dies is None and programs > 1:
        # Of one matrix, so that their reports share the work of one.
        usual = dies_for(compiled[0].size, compiled[0].fabric.states)
        dies = max(min(LEAST, usual), usual // programs)
    with progress() as report:
        described = [
            Described(
                p,
                describe(p, drive, extracted, dies, lambda done, total: report("dies", done, total)),
                _placed(p, tile, fan_out),
                derive_equations(p) if equations else None,
                outlook,
                None if cell is None else cell_title(cell),
            )
            for p in compiled
        ]
    write_netlist = parametric_spice if params else AnalogProgram.to_spice
    netlists = [write_netlist(p, drive, dialect, hierarchical, cell) for p in compiled]
    decks = [
        monte_carlo_spice(p, drive, monte_carlo or 0, dialect, hierarchical, cell, seed=seed, results=_solutions(names))
        for p, names in zip(compiled, files, strict=False)
        if monte_carlo is not None
    ]
    for names, netlist, each in zip(files, netlists, described, strict=False):
        each.write(names, netlist, dialect)
    for names, deck in zip(files, decks, strict=False):
        write_text(names[MONTE_CARLO], deck)
    for names, each in zip(files, described, strict=False):
        if extracted:
            text = extracted_netlist(each.program, drive, amplifier=cell).to_spice(
                dialect, each.program.analysis(), hierarchical
            )
            write_text(names[EXTRACTED], text)
    first = described[0]
    program, placement, derived = first.program, first.placement, first.equations
    if drawn is not None:
        from ..report.figures.program import write_picture

        write_picture(program, drawn, placement)
    written = [*(path for names in files for path in names.values()), *([drawn] if drawn is not None else [])]
    mean_error = _mean_error(compiled)
    if json:
        data = first.data() | {"files": written}
        if mean_error is not None:
            data |= {"mean_error": mean_error, "reports": [each.report.to_dict() for each in described]}
        emit(data)
    else:
        say(first.text)
        if mean_error is not None:
            say(
                f"this is program 1 of {programs}; the mean of their solutions has a relative error of {mean_error:.3g} (rms over b)"
            )
        if placement is not None:
            show("", ("placement", ""), placement.summary())
        if derived is not None:
            say(derived)
        if written:
            note("wrote " + ", ".join(map(str, written)))
        if extracted and first.report.layout is not None and first.report.layout.parts == 0:
            note(f"--extracted: the layout {first.report.layout}")
        if out is None:
            note("--out PREFIX writes the netlist, the program, the report and the bill of materials")
    for each in described:
        if each.warning is not None:
            note(each.warning)
    if placement is not None and not placement.within_fan_out:
        complain(f"the placement exceeds --fan-out {fan_out}: use larger tiles, or --prune small couplings")
        raise typer.Exit(1)


def _require_bound(program: AnalogProgram, floor: float | None) -> None:
    """InputError for a bound that is none, or of which nothing is made."""
    from ..compiler.matrices import smallest_eigenvalue

    if floor is None:
        return
    if not program.fabric.needs_floor:
        raise InputError(
            f"--floor is {floor:g}, and fabric {program.fabric_name} has no friction that goes by it; leave it out, or take --fabric "
            "oscillator"
        )
    if floor > (smallest := smallest_eigenvalue(program.target)) * (1 + 1e-9):
        raise InputError(
            f"--floor is {floor:g}, and the smallest eigenvalue is {smallest:.6g}: give a lower bound of it, or leave it out"
        )


def _require_dies(program: AnalogProgram, dies: int | None) -> None:
    """InputError for a number of dies of a program without any that differ."""
    from ..compiler.analysis.die_yield import varies

    if not dies:
        return
    if not program.fabric.has_dies:
        raise InputError(
            f"--dies is {dies}, and how parts vary is not modelled in fabric {program.fabric_name}; leave it out"
        )
    if not varies(program):
        raise InputError(
            f"--dies is {dies}, and technology {program.technology.name} states nothing that differs from die to die; leave it out, or "
            "take another --technology"
        )


def _compile(
    system: Any, fabric: str, technology: Any, b: Any, rounding: str, seed: int, programs: int, options: dict[str, Any]
) -> Sequence[AnalogProgram]:
    from ..compiler.compile import compile_matrix, compile_system
    from ..compiler.ensemble import compile_ensemble
    from ..compiler.linear_system import LinearSystem

    if programs > 1 and rounding != "stochastic":
        raise InputError(
            f"--programs {programs}: with {rounding} rounding all would be identical; add --rounding stochastic"
        )
    if not isinstance(system, LinearSystem):
        if programs > 1:
            return compile_ensemble(system, programs, fabric, technology, b=b, seed=seed, **options)
        return (compile_matrix(system, fabric, technology, b=b, rounding=rounding, seed=seed, **options),)
    if programs > 1:
        raise InputError("--programs does not apply to factors; leave it out, or multiply the factors")
    options = {name: value for name, value in options.items() if name != "damping"}  # part of the system already
    return (compile_system(system, fabric, technology, b=b, rounding=rounding, seed=seed, **options),)


def _mean_error(compiled: Sequence[AnalogProgram]) -> float | None:
    if len(compiled) == 1:
        return None
    from ..compiler.ensemble import mean_solution_error

    return mean_solution_error(compiled)


def _placed(program: AnalogProgram, tile: int | None, fan_out: int | None) -> Placement | None:
    if tile is None:
        return None
    from ..compiler.layout.tiling import place_on_tiles

    return place_on_tiles(program, tile, fan_out)


def _files(
    out: Path | None, programs: int, inputs: Sequence[Path | None], suffixes: Sequence[str]
) -> list[dict[str, Path]]:
    """suffix -> file for each program; empty without a prefix."""
    if out is None:
        return []
    if out.suffix or not out.name:
        raise InputError(
            f"--out {str(out)!r} must be a prefix without a dot; the suffixes .cir, .json, ... are added to it"
        )
    prefixes = [out.name] if programs == 1 else [f"{out.name}-{k + 1}" for k in range(programs)]
    files = [{suffix: out.with_name(prefix + suffix) for suffix in suffixes} for prefix in prefixes]
    for names in files:
        for path in names.values():
            output_path(path, inputs=inputs)
    return files


def _solutions(names: dict[str, Path]) -> str:
    """The file that a Monte-Carlo deck writes: that deck's name, of letters that every simulator takes."""
    stem = re.sub(r"[^A-Za-z0-9_-]", "_", names[MONTE_CARLO].name.removesuffix(MONTE_CARLO))
    return f"{stem.lstrip('_-')[:100] or 'dies'}.mc.txt"
