"""Cases of the compiler: netlists, reports, saved programs, layouts, roundings, tiles."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import torch
from scipy import sparse

from thermograd.circuits import Die, Macromodel
from thermograd.compiler import (
    AnalogProgram,
    compile_ensemble,
    compile_matrix,
    compile_system,
    coupling_graph,
    derive_equations,
    describe,
    dissipation,
    equilibrium,
    extracted_netlist,
    heat_map,
    layout_admittance,
    layout_matrix,
    load_program,
    mean_solution_error,
    place_on_tiles,
    self_heated,
    sensitivities,
)
from thermograd.devicemodel import LowRank

from .inputs import DIALECTS, FABRICS, UNEVEN, factors, system_of, technology_of
from .store import Case, Items

TECHNOLOGIES = {2: "ideal", 3: "breadboard", 6: "integrated", 16: "paper"}
"""The technology for each number of unknowns."""
DIES = 30
"""Of each report."""


def texts(prefix: str, netlist: Callable[..., str], **options: Any) -> Items:
    """A netlist in each dialect."""
    for dialect in DIALECTS:
        yield f"{prefix}.{dialect}.cir", partial(netlist, dialect=dialect, **options)


def described(program: AnalogProgram, b: Any = None) -> Items:
    """A program's figures, report, sensitivities, and its saved form read again."""
    yield "report.txt", lambda: str(describe(program, b, dies=DIES))
    yield "report.json", lambda: describe(program, b, dies=DIES).to_dict()
    yield "values.npz", partial(figures, program)
    every = (sensitivities(program), sensitivities(program, b)) if program.fabric.mean else (sensitivities(program),)
    yield "sensitivities.json", [one and dataclasses.astuple(one) for one in every]
    with tempfile.TemporaryDirectory() as folder:
        program.save(Path(folder) / "program")
        saved = json.loads((Path(folder) / "program.json").read_text(encoding="utf-8"))
        yield "saved.json", {key: value for key, value in saved.items() if key != "sha256"}
        yield "saved.npz", lambda: dict(np.load(Path(folder) / "program.npz"))
        again = load_program(Path(folder) / "program")
        yield "loaded.npz", partial(figures, again)
        yield "loaded.cir", lambda: again.to_spice(b)


def figures(program: AnalogProgram) -> dict[str, Any]:
    """A program's numbers."""
    scalars = [program.conductance_unit, program.volts_per_unit, program.tau, program.settling_time]
    scalars += [program.lambda_star, program.damping, program.prune_bound, program.pruned, program.is_stable()]
    return {
        "matrix": program.matrix,
        "emitted": program.emitted_matrix,
        "target": program.target,
        "scalars": scalars,
        "scaling": program.scaling,
        "readout": program.readout_scale,
        "parts": dataclasses.astuple(program.parts),
    }


def equations(program: AnalogProgram) -> str:
    """The equations of a program, as text and as LaTeX."""
    found = derive_equations(program)
    return f"{found}\n{found.latex()}"


def compiled(fabric: str, n: int, technology: str, seed: int) -> Items:
    """A program of one fabric: nominal, on a die, extracted."""
    a, b = system_of(fabric, n, seed)
    program = compile_matrix(a, fabric, technology_of(technology, fabric), damping=0.05)
    drive = b if program.fabric.mean else None
    yield from texts("nominal", program.to_spice, b=drive)
    yield from texts("cells", program.to_spice, b=drive, hierarchical=True)
    yield from described(program, drive)
    if n <= 3:
        yield "equations.txt", partial(equations, program)
    if fabric in ("lc", "spu"):
        return
    yield "started.cir", lambda: program.netlist(drive, x0=b).to_spice()
    die = Die(program.technology, 3)
    fabricated = program.on(die)
    yield from texts("die", fabricated.to_spice, b=drive)
    yield "die.npz", partial(figures, fabricated)
    if fabric != "crossbar_single":
        x = equilibrium(fabricated, b)
        heat = [x, dataclasses.astuple(dissipation(fabricated, x, b)), heat_map(fabricated, die, x, b)]
        yield "heat.npz", heat
        yield from heated("", self_heated(program, die, b))


def laid(fabric: str, n: int, technology: str, seed: int) -> Items:
    """An array with its layout, and with amplifiers of more than one pole."""
    a, b = system_of(fabric, n, seed)
    program = compile_matrix(a, fabric, technology_of(technology, fabric), damping=0.05)
    cell = Macromodel(program.technology.opamp)
    yield "macromodel.cir", lambda: program.netlist(b, amplifier=cell).to_spice()
    yield "report.txt", lambda: str(describe(program, b, layout=True, dies=DIES))
    yield "law.npz", lambda: [layout_matrix(program), layout_admittance(program, 1e5j)]
    yield from texts("extracted", extracted_netlist(program, b, x0=b).to_spice, analysis=program.analysis())


def heated(name: str, hot: Any) -> Items:
    """A self-heated program."""
    yield f"{name}hot.npz", [hot.temperatures, hot.background, hot.heat, hot.x, hot.residual, hot.iterations]
    yield f"{name}hot.txt", f"{hot.outcome.value}: {hot.reason}"


def choices(fabric: str, technology: str, options: dict[str, Any]) -> Items:
    """Compiler options: rounding, pruning, equilibration; `technology` with changes."""
    a, b = system_of(fabric, 6, seed=2)
    changes = {key: options[key] for key in options if "__" in key}
    board = technology_of(technology, fabric).replace(**changes)
    rest = {key: options[key] for key in options if "__" not in key}
    for name, drive in (("all", None), ("one", b)):
        program = compile_matrix(a, fabric, board, b=drive, **rest)
        yield f"{name}.cir", program.to_spice(b)
        yield f"{name}.txt", str(describe(program, b, dies=DIES))
        yield f"{name}.npz", figures(program)


def ensemble() -> Items:
    """Several stochastic roundings of one matrix."""
    a, b = system_of("crossbar", 4, seed=3)
    programs = compile_ensemble(a, 3, "crossbar", "integrated", b=b, seed=5)
    yield "error.npz", [mean_solution_error(programs)]
    for k, program in enumerate(programs):
        yield f"{k}.cir", program.to_spice(b)


def by_factors(which: int, fabric: str, rounding: str) -> Items:
    """A system given by its factors."""
    system = factors()[which]
    b = np.linspace(-1, 1, 12)
    program = compile_system(system, fabric, "integrated", b=b, rounding=rounding, seed=1)
    yield from texts("nominal", program.to_spice, b=b)
    yield from described(program, b)
    if fabric == "factored":
        small = compile_system(LowRank(torch.tensor([[1.0, -0.5]], dtype=torch.float64), None, 0.2), fabric, "paper")
        yield "equations.txt", equations(small)


def sparse_program() -> Items:
    """A grid's Laplacian as a sparse matrix."""
    matrix = sparse.csr_array(nx.laplacian_matrix(nx.grid_2d_graph(6, 5)).astype(float))
    program = compile_matrix(matrix, "auto", "breadboard", damping=0.1, prune=1e-3)
    yield from described(program, np.arange(30.0))
    yield "nominal.cir", program.to_spice(np.arange(30.0))


def runaway() -> Items:
    """Self-heating of parts with much of it, with both signs of the temperature coefficient."""
    a, b = system_of("dual_rail", 4, seed=4)
    for name, coefficient in (("positive", 0.02), ("negative", -0.02)):
        board = UNEVEN.replace(resistors__tc1=coefficient, resistors__unit=50.0, thermal__to_ambient=5e-5)
        program = compile_matrix(a, "dual_rail", board)
        yield from heated(f"{name}_", self_heated(program, Die(board, 2), 3 * b))


def placed() -> Items:
    """Graphs cut onto tiles."""
    graphs = {
        "grid": nx.grid_2d_graph(7, 6),
        "ring": nx.cycle_graph(20),
        "random": nx.gnm_random_graph(40, 90, seed=1),
        "islands": nx.disjoint_union_all([nx.complete_graph(5), nx.path_graph(9), nx.star_graph(6)]),
    }
    for name, graph in graphs.items():
        weights = np.random.default_rng(1).uniform(0.1, 1.0, (len(graph),) * 2)
        matrix = -nx.to_numpy_array(graph) * (weights + weights.T)
        matrix += np.diag(np.abs(matrix).sum(axis=1) + 1.0)
        for tile, fan_out in ((1, None), (5, 4), (8, None), (16, 6)):
            found = place_on_tiles(matrix, tile, fan_out)
            yield f"{name}_{tile}.json", [found.to_dict(), found.summary(), found.by_tile]
    program = compile_matrix(matrix, "rc", "integrated")
    found = place_on_tiles(program, 6)
    edges = sorted(map(str, coupling_graph(program, found).edges(data=True)))
    yield "program.json", [found.to_dict(), edges]


def cases() -> Iterator[Case]:
    """All cases of the compiler."""
    for fabric in FABRICS:
        layout = fabric in ("crossbar", "crossbar_single")
        for n, technology in TECHNOLOGIES.items():
            for seed in (1, 2):
                yield f"compiler/{fabric}_n{n}_seed{seed}", compiled, (fabric, n, technology, seed)
                if layout:
                    yield f"compiler/layout/{fabric}_n{n}_seed{seed}", laid, (fabric, n, technology, seed)
        if fabric not in ("lc", "spu"):
            yield f"compiler/{fabric}_uneven", compiled, (fabric, 5, "uneven", 3)
        if layout:
            yield f"compiler/layout/{fabric}_uneven", laid, (fabric, 5, "uneven", 3)
    coarse = {"resistors__bits": 4, "resistors__on_off": 100.0}
    for fabric in ("crossbar", "crossbar_single", "dual_rail"):
        for rounding in ("nearest", "solution", "stochastic"):
            chosen = {"rounding": rounding, "seed": 4}
            yield f"compiler/rounding/{fabric}_{rounding}_codes", choices, (fabric, "integrated", chosen | coarse)
            yield f"compiler/rounding/{fabric}_{rounding}_series", choices, (fabric, "breadboard", chosen)
        yield f"compiler/prune/{fabric}", choices, (fabric, "integrated", {"prune": 0.1})
    yield "compiler/equilibrate", choices, ("crossbar", "integrated", {"equilibrate": True})
    yield "compiler/auto", choices, ("auto", "breadboard", {"damping": 0.3})
    for which, system in enumerate(("low_rank", "kronecker", "dense")):
        for fabric in ("auto", "crossbar") if system == "dense" else ("auto", "crossbar", "factored"):
            rounding = "stochastic" if fabric == "factored" else "nearest"
            yield f"compiler/systems/{system}_{fabric}", by_factors, (which, fabric, rounding)
    for name, function in (("ensemble", ensemble), ("sparse", sparse_program), ("runaway", runaway), ("tiles", placed)):
        yield f"compiler/{name}", function, ()
