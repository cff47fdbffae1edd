"""Cases of circuits: linear engines, ngspice, SPICE text, dies and technologies."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from thermograd.circuits import (
    AC,
    Amplifier,
    Die,
    Job,
    Macromodel,
    Netlist,
    Noise,
    OnePole,
    OperatingPoint,
    Transient,
    characterise,
    describe_netlist,
    johnson_currents,
    noise_covariance,
    noise_spectrum,
    parse_spice,
    run,
    run_farm,
    state_space,
)
from thermograd.circuits.amplifiers.noise_source import add_noise_source
from thermograd.circuits.technology.die import STREAMS
from thermograd.circuits.technology.e_series import preferred_conductance
from thermograd.circuits.technology.presets import PRESETS, SITUATIONS
from thermograd.circuits.technology.sampling import add_dac, add_sample_and_hold
from thermograd.circuits.technology.thermal import temperature_map, temperature_transient, time_constants
from thermograd.compiler import compile_matrix, extracted_netlist

from .inputs import DIALECTS, FABRICS, ROOT, UNEVEN, system_of
from .store import Case, Items


def engines(fabric: str, n: int, extracted: bool) -> Items:
    """Linear engines and ngspice on one circuit, and its text read again."""
    a, b = system_of(fabric, n, seed=5)
    program = compile_matrix(a, fabric, UNEVEN if fabric not in ("lc", "spu") else "ideal")
    program = program.on(Die(UNEVEN, 4)) if fabric not in ("lc", "spu") else program
    drive = b if program.fabric.mean else None
    netlist = extracted_netlist(program, drive) if extracted else program.netlist(drive)
    space = state_space(netlist, {str(k): pair for k, pair in enumerate(program.readouts)})
    rate = float(np.abs(space.eigenvalues.real).min())
    times = np.array([0.0, 0.1, 1.0, 5.0]) / rate
    parts = [space.F, space.B, space.Bn, space.H, space.Du, space.Dn, space.noise_density, space.nominal, space.initial]
    yield "space.npz", [*parts, space.eigenvalues, space.covariance(), space.transition(times)]
    yield "space.json", [space.sources, space.noise_nodes, space.outputs, netlist.nodes]
    described = describe_netlist(netlist)
    yield "equations.npz", [described.conductance, described.storage, described.input, described.at(1e4j)]
    frequencies = np.geomspace(rate / 100, 1e3 * rate, 7)
    spectrum = noise_spectrum(netlist, list(program.readouts[:2]), frequencies)
    band = (frequencies[0], frequencies[-1])
    yield "noise.npz", [spectrum.density, spectrum.amplitude, noise_covariance(netlist, program.readouts[:2], band)]
    currents = johnson_currents(netlist, 0.01 / float(np.abs(space.eigenvalues).max()))
    yield "currents.npz", [currents.factor, currents.bias, currents.sample(5, seed=1)]
    yield "read.cir", parse_spice(netlist.to_spice()).to_spice()
    if fabric not in ("lc", "spu"):
        yield "point.npz", run(netlist, OperatingPoint()).voltages
    step, stop = currents.step, 400 * currents.step
    for name, analysis, seed in (
        ("quiet", Transient(stop, step, nodes=program.nodes), None),
        ("noisy", Transient(stop, step, nodes=program.nodes, noise=True), 7),
    ):
        waves = run(netlist, analysis, seed=seed)
        yield f"{name}.npz", {"time": waves.time} | waves.voltages


def analyses() -> Items:
    """Noise and small-signal sweeps of ngspice."""
    netlist = parse_spice(
        "filter\nV1 in 0 dc 1 ac 1\nR1 in a 1k\nC1 a 0 1n\nR2 a b 2k\nC2 b 0 2n ic=0.1\nL1 b c 1m\nR3 c 0 5k\n.end"
    )
    noise = run(netlist, Noise("b", "V1", 1e3, 1e6))
    yield "noise.npz", [noise.frequency, noise.density, noise.total]
    sweep = run(netlist, AC(1e3, 1e6, nodes=("a", "b")))
    yield "sweep.npz", [sweep.frequency, sweep.voltages]
    with tempfile.TemporaryDirectory() as folder:
        jobs = [Job(f"j{k}", netlist, OperatingPoint(), None) for k in range(2)]
        results: dict[str, Any] = dict(run_farm(jobs, folder, workers=1))
        yield "farm.npz", {name: results[name].voltages for name in sorted(results)}
    every: tuple[Any, ...] = (OperatingPoint(), Transient(1e-5, 1e-8), Noise("b", "V1", 1e3, 1e6), AC(1, 10))
    for dialect in DIALECTS:
        for k, analysis in enumerate(every):
            yield f"{k}.{dialect}.cir", netlist.to_spice(dialect, analysis)


def reading() -> Items:
    """Netlists of every kind of card, read and written again."""
    text = (ROOT / "examples/amplifiers/two_stage.cir").read_text(encoding="utf-8")
    cards = text.rsplit(".end", 1)[0] + (
        ".param w={2*pi_like} pi_like=3.14\nX1 p n o vdd vss two_stage\nX2 o n q vdd vss two_stage\nVdd vdd 0 0.9\n"
        "Vss vss 0 -0.9\nV1 p 0 pwl(0 0 1u 0.1)\nR1 o n {w*1k}\nR2 n 0 'max(w, 2)*1k'\nL1 q r 1m\nL2 r 0 2m ic=1u\n"
        "K1 L1 L2 0.5\nE1 e 0 p n 10\nG1 e 0 p n 1m\nF1 e 0 Vdd 2\nH1 h 0 V1 5\nR3 e h 1k\nD1 e 0 dio\nQ1 e h 0 bip\n"
        "S1 e h p 0 sw1\n.model dio d (is=1f)\n.model bip npn (bf=100)\n.model sw1 sw (ron=1 roff=1e9 vt=0.5)\n"
        ".temp 50\n.end"
    )
    netlist = parse_spice(cards)
    yield "everything.cir", netlist.to_spice()
    yield "everything.json", [netlist.nodes, len(netlist), netlist.is_linear, netlist.temperature]
    converter = UNEVEN.dac.model_copy(update={"resistance": 50.0, "capacitance": 1e-12, "leakage": 1e-9})
    cells = Netlist("cells")
    add_dac(cells, "d", converter, [0.0, 0.5, -0.2], 1e-6, "1")
    held = add_sample_and_hold(cells, "d", converter, [(1e-7, 9e-7), (1.1e-6, 1.9e-6)], "1")
    add_noise_source(cells, "n", 1e-9, 1e5, "1")
    for letter, cell in (("O", OnePole(UNEVEN.opamp)), ("M", Macromodel(UNEVEN.opamp))):
        cell.add(cells, ("d", held), (f"op{letter}", f"om{letter}"), letter)
    yield "cells.cir", cells.to_spice()
    yield "linearised.cir", cells.linearised().to_spice()


def amplifier() -> Items:
    """A designer's amplifier on the bench, and in an array."""
    cell = Amplifier.read_spice(
        ROOT / "examples/amplifiers/two_stage.cir",
        "two_stage",
        inputs=("inp", "inn"),
        outputs=("out",),
        supplies={"vdd": 0.9, "vss": -0.9},
    )
    a, b = system_of("crossbar_single", 2, seed=6)
    netlist = compile_matrix(a, "crossbar_single", "integrated").netlist(b, amplifier=cell)
    yield "array.cir", netlist.to_spice()
    yield "array.npz", run(netlist, OperatingPoint()).voltages
    found = characterise(cell, load_resistance=46e3)
    yield "opamp.json", found.opamp.model_dump(mode="json")
    rest = (found.offset, found.unity_gain, found.phase_margin, *found.swing, found.temperature)
    yield "bench.npz", [rest, found.frequency, found.response, found.noise_frequency, found.noise_voltage]


def dies() -> Items:
    """All streams of two dies, temperatures, presets."""
    place, index = np.array([0.1, 0.5, 0.9]), np.array([0, 2, 1])
    for seed in (None, 0, 7):
        die = Die(UNEVEN, seed)
        yield f"lines_{seed}.npz", {name: die.deviates(name, (2, 4)) for name in STREAMS}
        arrays = [name for name in STREAMS if name != "ambient"]
        yield f"streams_{seed}.npz", {name: Die(UNEVEN, seed).deviates(name, (2, 3, 4)) for name in arrays}
        places = {
            name: [die.deviates_at(name, 1, index, index[::-1]), die.deviates_of(name, index, index + 5)]
            for name in STREAMS
        }
        yield f"places_{seed}.npz", places
        shifts = [die.resistor_shift(place, place[::-1]), die.capacitor_shift(place, place), die.temperatures]
        factor = die.temperature_factor(die.temperatures)
        yield f"maps_{seed}.npz", [*shifts, die.ambient, factor, die.temperature_of(place, place)]
    for name, thermal in SITUATIONS.items():
        power = np.random.default_rng(3).uniform(0, 1e-3, (thermal.cells,) * 2)
        later = temperature_transient(thermal, [0.0, 0.1, 10.0], 310.0, power=power)
        steady = [temperature_map(thermal), temperature_map(thermal, 280.0, power)]
        yield f"{name.replace(' ', '_')}.npz", [*steady, later, time_constants(thermal)]
    for name, technology in (PRESETS | {"uneven": UNEVEN}).items():
        yield f"{name}.toml", technology.to_toml()
        yield f"{name}.json", technology.model_dump(mode="json")
    yield "series.npz", [preferred_conductance(np.geomspace(1e-6, 1e-2, 50), f"E{6 << k}") for k in range(6)]


def cases() -> Iterator[Case]:
    """All cases of circuits, the longest first."""
    yield "circuits/amplifier", amplifier, ()
    for fabric in FABRICS:
        yield f"circuits/{fabric}", engines, (fabric, 3, False)
    for fabric in ("crossbar", "crossbar_single"):
        yield f"circuits/{fabric}_extracted", engines, (fabric, 2, True)
    for name, function in (("analyses", analyses), ("reading", reading), ("dies", dies)):
        yield f"circuits/{name}", function, ()
