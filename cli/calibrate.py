"""The command that fits a device card to ngspice: `calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..circuits.files import output_path
from .options import (
    CIRCUITS,
    AmplifierChoice,
    FabricCommand,
    Include,
    Inputs,
    Json,
    Outputs,
    Reference,
    Seed,
    Subckt,
    Supply,
    TechnologyName,
    Workers,
    examples,
)
from .outputs import complain, emit, note, show

app = typer.Typer()


@app.command(
    cls=FabricCommand,
    rich_help_panel=CIRCUITS,
    epilog=examples(
        "thermograd calibrate --technology integrated --out card.json",
        "thermograd calibrate --technology my.toml --systems runs/ --seed 1",
        "thermograd calibrate --quick --require 0.9 --json",
        "thermograd calibrate --technology amplifier.toml --quick --amplifier examples/amplifiers/two_stage.cir --subckt two_stage "
        "--inputs inp,inn --outputs out --supply vdd=0.9 --supply vss=-0.9",
    ),
)
def calibrate(
    technology: TechnologyName = "integrated",
    fabric: Annotated[
        str,
        typer.Option(
            "--fabric",
            help="auto (the op-amp array that the technology's amplifiers make), or one of: {can_calibrate}.",
            metavar="NAME",
        ),
    ] = "auto",
    systems: Annotated[
        list[Path] | None,
        typer.Option(
            "--systems",
            help="Real systems: .npz files with b and A (or A and B, or J and H, with damping), or folders of them (repeatable).",
            metavar="FILE|DIR",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer and smaller systems, in seconds.")] = False,
    require: Annotated[
        float, typer.Option("--require", max=1.0, help="Required explained variance on held-out systems.")
    ] = 0.95,
    amplifier: AmplifierChoice = None,
    subckt: Subckt = None,
    inputs: Inputs = None,
    outputs: Outputs = None,
    supply: Supply = None,
    reference: Reference = None,
    include: Include = None,
    seed: Seed = 0,
    workers: Workers = 2,
    out: Annotated[Path, typer.Option("--out", help="Card to write.", metavar="FILE")] = Path("card.json"),
    json: Json = False,
) -> None:
    """Fit a surrogate to ngspice runs and test it on held-out systems and dies.

    With --amplifier the runs have a macromodel, or the transistors of a netlist, in place of each amplifier. Exit code 1 when the explained
    variance on held-out systems is below --require; the card is still written.
    """
    from ..compiler.fabrics.registry import fabric_names
    from .hardware import Ports, chosen_amplifier, make_card, outlook_of_card, read_technology
    from .inputs import read_systems

    real = read_systems(systems or [], by_factors=fabric in fabric_names("takes_factors"))
    board = read_technology(technology or "integrated")
    target = output_path(out, (".json",), [Path(technology or "")])
    assert target is not None
    cell = chosen_amplifier(amplifier, Ports(subckt, inputs, outputs, supply or [], reference, include), board)
    card = make_card(board, fabric, seed, real, quick, workers, cell)
    card.write(target)
    reached, outlook = card.held_out.explained_variance, outlook_of_card(card, seed)
    if json:
        found = {
            "passed": reached >= require,
            "required": require,
            "file": target,
            "card": card.model_dump(mode="json"),
        }
        emit(found if outlook is None else found | {"refinement": outlook.to_dict()})
    else:
        refined = [] if outlook is None else [("refined, a random system", str(outlook))]
        show(f"{board.name}, {card.fabric}", ("", "value"), [*card.summary(), *refined])
        note(f"wrote {target}")
    if not reached >= require:
        complain(
            f"the surrogate explains {reached:.4f} of SPICE's variance on held-out systems, {require:g} is required; "
            "add systems of the intended kind (--systems), leave out --quick, take converters of more bits where the error is little more "
            "than their steps, or lower --require"
        )
        raise typer.Exit(1)
