"""`AnalogProgram`: a curvature matrix as component values, and the way back from node voltages to the solution."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from scipy.constants import Boltzmann

from ..circuits.amplifiers.models import AmplifierCell, cell_title, require_cell
from ..circuits.bulk import collector_paused
from ..circuits.errors import InputError, UnrealisableError
from ..circuits.netlist.analyses import Analysis, OperatingPoint
from ..circuits.netlist.netlist import Netlist
from ..circuits.technology.die import Die
from ..circuits.technology.redraw import Redraw
from ..circuits.technology.technology import Technology
from .conductance_errors import written
from .fabrics.base import Fabric
from .fabrics.registry import fabric_named, fabric_names
from .matrices import Matrix, dense, is_sparse, scaled, smallest_eigenvalue
from .parts import Behaviour, Parts
from .program_report import Report
from .validate import validate_drive


@dataclass(frozen=True, eq=False)
class AnalogProgram:
    """What `compile_matrix` returns. Immutable; the methods that change something return a new program.

    Unknown i is the voltage v_i between the two nodes of `readouts[i]` (p_i and m_i, or p_i and ground), x_i = d_i r_i v_i /
    volts_per_unit, with d the scaling vector and r what a volt there stands for (1 but in fabrics that are read by probes). Driven by
    b, the mean of a first-order circuit obeys dx/dt = -(M x - b) / tau with M = `matrix`.

    Attributes:
        technology: what it is built from.
        fabric_name: the registered name of its fabric.
        target: the intended matrix A + damping I, (n, n), problem units; numpy, or sparse where the given one was.
        damping: what was added to the diagonal, problem units.
        scaling: d, (n,).
        conductance_unit: S (1/H in `lc`, F in `spu`) that one problem unit of D A D became.
        volts_per_unit: V that one unit of y = x / d becomes.
        parts: the component values.
        lambda_star: further damping that positive resistors alone would need, problem units; nan where it was not computed.
        reason: why this fabric, in words.
        pruned, prune_bound: couplings left out of `target`, and the largest relative change of A^-1 b that this makes.
        rounding: how the parts were rounded: "nearest", "solution" or "stochastic".
    """

    technology: Technology
    fabric_name: str
    target: Matrix
    damping: float
    scaling: np.ndarray
    conductance_unit: float
    volts_per_unit: float
    parts: Parts
    lambda_star: float
    reason: str
    rounding: str = "nearest"
    pruned: int = 0
    prune_bound: float = 0.0

    @property
    def fabric(self) -> Fabric:
        """The fabric of that name."""
        return fabric_named(self.fabric_name)

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        return int(self.target.shape[0])

    @property
    def tau(self) -> float:
        """Seconds in which a unit of x with unit curvature relaxes by 1/e: unit capacitance over conductance unit."""
        return self.fabric.tau(self.conductance_unit, self.technology)

    @cached_property
    def readouts(self) -> tuple[tuple[str, str], ...]:
        """The node pair (plus, minus) whose voltage is each unknown; "0" is ground."""
        return tuple(self.fabric.readout(self.parts)[0])

    @cached_property
    def readout_scale(self) -> np.ndarray:
        """d r, (n,): problem units that one volt reads at one volt per problem unit."""
        return self.scaling * self.fabric.readout(self.parts)[1]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that carry the solution: p1, m1, p2, m2, ..., or p1, p2, ... with one rail."""
        return tuple(node for pair in self.readouts for node in pair if node != "0")

    @cached_property
    def behaviour(self) -> Behaviour:
        """The first-order law of these parts, SI units."""
        return self.fabric.behaviour(self.parts)

    @cached_property
    def matrix(self) -> Matrix:
        """The matrix really realised, (n, n) in problem units: the circuit settles at matrix^-1 b, offsets aside.

        M = diag(drive d g)^-1 (K + L / A0) diag(d)^-1: rounding, mismatch, temperature and the amplifiers' finite gain are
        in it. For nominal, unrounded parts and ideal amplifiers it is `target`. Sparse where the target is.
        """
        realised = self.fabric.realised(self.parts, self.technology)
        realised = realised if is_sparse(self.target) else dense(realised)
        driven = self.fabric.drive(self.parts) * self.scaling * self.conductance_unit
        return scaled(realised, 1.0 / driven, 1.0 / self.scaling)

    @cached_property
    def emitted_matrix(self) -> Matrix:
        """`matrix` as the netlist has it: an ideal amplifier is one of gain `IDEAL_GAIN` there. (n, n), problem units."""
        if not self.fabric.mean:
            return self.matrix
        held = self.fabric.admittance(self.parts, self.technology, 0.0)
        held = held if is_sparse(self.target) else dense(held)
        driven = self.fabric.drive(self.parts) * self.scaling * self.conductance_unit
        return scaled(held, 1.0 / driven, 1.0 / self.readout_scale)

    @cached_property
    def report(self) -> Report:
        """See `analysis.describe.describe`: fabric and why, errors, parts and times; prints as text, `.to_dict()` for JSON."""
        report: Report = importlib.import_module(".analysis.describe", __package__).describe(self)
        return report

    def currents(self, b: Any) -> np.ndarray:
        """Differential drive current of each cell for a right-hand side, (n,) in A.

        Raises:
            InputError: b does not fit; a fabric that is not driven.
        """
        scale = self.conductance_unit * self.volts_per_unit
        return scale * self.scaling * self.right_hand_side(b) + 0.0  # no -0.0

    def right_hand_side(self, b: Any) -> np.ndarray:
        """b as a finite float64 vector, (n,).

        Raises:
            InputError: b does not fit; a fabric that is not driven.
        """
        self._require_mean("takes no right-hand side b")
        return validate_drive(b, self.size)

    def netlist(self, b: Any = None, x0: Any = None, amplifier: AmplifierCell | None = None) -> Netlist:
        """The circuit, driven by b (default: no drive) and with its capacitors charged to the state x0 (default: 0).

        Args:
            b: (n,) right-hand side. x0: (n,) initial state.
            amplifier: what stands for each amplifier: a `Macromodel` of `circuits.amplifiers`, or a designer's own `Amplifier`; None: the
                linear one-pole amplifier of the technology.
        """
        if b is not None:
            self._require_mean("takes no right-hand side b")
        if x0 is not None or amplifier is not None:
            start = np.zeros(self.size) if x0 is None else validate_drive(x0, self.size)
            state = start / self.readout_scale * self.volts_per_unit
            return self.circuit(np.zeros(self.size) if b is None else self.currents(b), state, amplifier)
        if b is None:
            return self._undriven.with_sources({}, comments=self._undriven.comments)
        currents = self.currents(b)
        drives = self.fabric.drives(self.parts)
        values = {
            name: per_ampere * float(current) + 0.0
            for drive, current in zip(drives, currents, strict=True)
            for name, per_ampere in drive.items()
        }
        return self._undriven.with_sources(values, comments=self._header(bool(np.any(currents))))

    @cached_property
    def _undriven(self) -> Netlist:
        """The circuit without drive or charge; kept, since the array's parts are the same for every drive."""
        return self.circuit(np.zeros(self.size), np.zeros(self.size))

    def circuit(self, currents: np.ndarray, state: np.ndarray, amplifier: AmplifierCell | None = None) -> Netlist:
        """The circuit with given differential drive currents (A) and initial differential node voltages (V), (n,) each.

        Raises:
            InputError: an amplifier for a fabric that has none, or something that is no amplifier.
        """
        if amplifier is not None and not self.fabric.active:
            raise InputError(f"fabric {self.fabric_name} has no amplifiers; leave amplifier= out, or use crossbar")
        if amplifier is not None:
            require_cell(amplifier)
        title = cell_title(amplifier)
        netlist = Netlist(
            f"thermograd {self.fabric_name}, {self.size} unknowns, technology {self.technology.name}",
            temperature=self.technology.thermal.ambient,
            comments=[*self._header(bool(np.any(currents))), *([f"amplifiers: {title}"] if title else [])],
        )
        with collector_paused():
            self.fabric.lower(netlist, self.parts, self.technology, currents, state, amplifier)
        return netlist

    def to_spice(
        self,
        b: Any = None,
        dialect: str = "ngspice",
        hierarchical: bool = False,
        amplifier: AmplifierCell | None = None,
    ) -> str:
        """The netlist as text, with the drive for b in it and an analysis, ready for a simulator.

        The analysis is an operating point, or, in fabrics that have none (oscillators), a transient of twelve settling times.
        Feed the node voltages of any simulator to `decode` to get the solution in problem units.

        Args:
            b: (n,) right-hand side; None: all sources are zero.
            dialect: "ngspice", "ltspice", "xyce" or "gnucap".
            hierarchical: a sub-circuit for each cell, instead of a flat list of parts.
            amplifier: as for `netlist`. Every dialect has the `Macromodel`; transistors are for ngspice only.
        """
        return self.netlist(b, amplifier=amplifier).to_spice(
            dialect, analysis=self.analysis(), hierarchical=hierarchical
        )

    def analysis(self) -> Analysis:
        """The analysis that shows the solution: at rest where there is one, else after a transient.

        Where it is in the noise, the spectrum of the first cell: the square of its total is an entry of A^-1 (`decode_covariance`).
        """
        return self.fabric.analysis(self.parts, self.technology, self.nodes, lambda: self.settling_time)

    @property
    def settling_time(self) -> float:
        """Slowest time constant, s (an upper bound for `spu`)."""
        smallest = smallest_eigenvalue(self.target)
        return self.fabric.settling(self.parts, smallest, self.conductance_unit, self.technology)

    def decode(self, voltages: Mapping[str, Any]) -> np.ndarray:
        """x from node voltages: (n,) from scalars, (n, T) from waveforms of T points.

        Args:
            voltages: node name (any case; `V(p1)` is understood too) -> volts. Nodes that carry no unknown are ignored.

        Raises:
            InputError: a node that carries an unknown is missing.
        """
        if not isinstance(voltages, Mapping):
            raise InputError(
                f"voltages is a {type(voltages).__name__}: give {{node: volts}}, such as the result's .voltages"
            )
        known = {str(name).lower().removeprefix("v(").removesuffix(")"): value for name, value in voltages.items()}
        self._require_mean("has no solution in its node voltages")
        difference = self.cell_volts(known)
        scale = self.readout_scale / self.volts_per_unit
        return difference * (scale if difference.ndim == 1 else scale[:, None])

    def cell_volts(self, voltages: Mapping[str, Any]) -> np.ndarray:
        """Voltage of each cell, (n,) or (n, T), from node voltages by lower-case name."""
        missing = [node for node in self.nodes if node not in voltages]
        if missing:
            raise InputError(
                f"decode needs the voltages of all {len(self.nodes)} solution nodes; missing: {', '.join(missing[:6])}"
                + (" ..." if len(missing) > 6 else "")
            )
        try:
            plus = np.array([np.asarray(voltages[pair[0]], dtype=float) for pair in self.readouts])
            minus = [
                np.asarray(voltages[pair[1]], dtype=float) if pair[1] != "0" else np.zeros(plus.shape[1:])
                for pair in self.readouts
            ]
            return plus - np.array(minus)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"decode needs a number, or waveforms of equal length, for each of {', '.join(self.nodes[:4])} ...: {error}"
            ) from None

    def _require_mean(self, what: str) -> None:
        if not self.fabric.mean:
            raise InputError(
                f"fabric {self.fabric_name} {what}: its mean is zero at rest, and A^-1 is in the covariance of its thermal noise; use "
                "decode_covariance, or another fabric"
            )

    def decode_covariance(self, covariance: Any, temperature: float | None = None) -> np.ndarray:
        """A^-1, (n, n), from the stationary covariance of the cells' voltages under Johnson noise.

        A^-1 = u (d r) Cov (d r)^T / (rails k T), since the state's covariance is k T (u D A D)^-1 a rail: the inverse is in the
        fluctuations.

        Args:
            covariance: (n, n) V^2, of the voltages of `readouts` in their order, without a drive.
            temperature: K of all resistors, or the effective one of an injected noise (S R / 2k for a current of two-sided density S
                into cells of resistance R); default the technology's ambient.

        Raises:
            InputError: wrong shape; a fabric whose covariance is not A^-1.
        """
        if not self.fabric.covariance:
            raise InputError(f"fabric {self.fabric_name} does not carry A^-1 in a covariance; lc and spu do")
        volts = np.asarray(covariance, dtype=float)
        if volts.shape != (self.size, self.size) or not np.isfinite(volts).all():
            raise InputError(
                f"covariance: shape {volts.shape}, finite values of shape ({self.size}, {self.size}) are needed"
            )
        kelvin = self.technology.thermal.ambient if temperature is None else float(temperature)
        # The difference of two rails carries the noise of both.
        energy = self.parts.rails * Boltzmann * kelvin
        return self.conductance_unit * volts * np.outer(self.readout_scale, self.readout_scale) / energy

    def at_scale(self, volts_per_unit: float) -> AnalogProgram:
        """The same circuit used at another signal level."""
        if not (np.isfinite(volts_per_unit) and volts_per_unit > 0):
            raise InputError(f"volts_per_unit must be finite and positive, got {volts_per_unit!r}")
        return dataclasses.replace(self, volts_per_unit=float(volts_per_unit))

    def is_stable(self) -> bool:
        """Whether all modes of the circuit decay; in a passive fabric the common mode of the rails counts too."""
        return self.fabric.is_stable(self.parts, self.technology)

    def grows(self) -> bool:
        """Whether a mode of the circuit grows, with the bandwidth of the amplifiers and each rail's own parts in it.

        That of the small-signal circuit with the technology's gain, gain-bandwidth product and second pole; `is_stable` is the judgement of
        the first-order law, which devices run by.
        """
        return self.fabric.grows(self.parts, self.technology)

    def on(
        self,
        die: Die,
        mismatch: float | None = None,
        capacitor_mismatch: float | None = None,
        offset: float | None = None,
        writing: Redraw | None = None,
        inductor_mismatch: float | None = None,
    ) -> AnalogProgram:
        """The same program on one die: every part with its own mismatch, drift and temperature, programmed ones with their errors.

        Args:
            die: whose parts.
            mismatch, capacitor_mismatch, offset, inductor_mismatch: standard deviations; default the technology's; a calibrated surrogate
                passes its card's.
            writing: the programming, whose write noise is in the conductances (`conductance_errors`); None: without.
        """
        if not self.fabric.has_dies:
            raise UnrealisableError(
                f"fabric {self.fabric_name} has no dies yet: how its parts vary is not modelled; "
                f"use {' or '.join(fabric_names('has_dies'))}"
            )
        # A die may have another place and temperature, but its parts must be the program's.
        same = die.technology.model_copy(update={"thermal": self.technology.thermal})
        if die.technology is not self.technology and same != self.technology:
            raise InputError(
                f"the die is made of other parts (technology {die.technology.name}) than the program (technology "
                f"{self.technology.name}); use Die(program.technology, seed)"
            )
        parts = self.parts.on_die(die, mismatch, capacitor_mismatch, offset, inductor_mismatch)
        return dataclasses.replace(self, parts=written(parts, die, writing))

    def with_drive(self, conductance: float, die: Die | None = None, mismatch: float | None = None) -> AnalogProgram:
        """The same program with other input resistors, all else as it is; itself where currents are the drive.

        Args:
            conductance: of each input resistor, S, nominally.
            die: whose resistors they are, for a program `on` it; None: nominal ones.
            mismatch: their relative standard deviation; default the technology's.
        """
        if not self.parts.drive_nominal:
            return self
        return dataclasses.replace(self, parts=self.parts.with_drive(conductance, die, mismatch))

    def save(self, path: str | Path) -> None:
        """See `program_io.save_program`."""
        importlib.import_module(".program_io", __package__).save_program(self, path)

    def _header(self, driven: bool) -> list[str]:
        plus, minus = (name.replace("1", "<k>") for name in self.readouts[0])
        volts = f"V({plus})" if minus == "0" else f"(V({plus}) - V({minus}))"
        nodes = f"node {plus}" if minus == "0" else f"nodes {plus} and {minus}"
        unit = "Wb" if self.fabric.unit == "1/H" else "V"
        scaled_readout = not np.all(self.readout_scale == 1.0)
        d_k, d_l = ("d_k * ", "d_l * ") if scaled_readout else ("", "")
        if self.fabric.mean:
            carried = f"unknown x_k is carried by {nodes}: x_k = {d_k}{volts} / volts_per_unit"
        else:
            carried = f"{nodes}: A^-1_kl = {d_k}{d_l}Cov({volts}) * unit / (k T) of thermal noise, unit = {self.conductance_unit!r}"
        lines = [
            carried,
            f"tau = {self.tau:.6g} s (one problem unit of curvature)",
            f"fabric {self.fabric_name}: {self.reason}",
            *self.fabric.notes(self.parts),
        ]
        if self.fabric.mean:
            lines.insert(1, f"volts_per_unit = {self.volts_per_unit!r} {unit}")
            lines.append("driven by the right-hand side b" if driven else "no drive: all sources are zero")
            if isinstance(self.fabric.analysis(self.parts, self.technology, self.nodes, lambda: 1.0), OperatingPoint):
                source = next(iter(self.fabric.drives(self.parts)[0]))
                output = plus.replace("<k>", "1") + ("" if minus == "0" else "," + minus.replace("<k>", "1"))
                lines.append(
                    "small signals: each cell's drive has an ac amplitude of one unit; add .ac dec 20 1 1g, or .noise "
                    f"v({output}) {source} dec 20 1 1g"
                )
        if scaled_readout:
            lines += [f"d_{i + 1} = {float(d)!r}" for i, d in enumerate(self.readout_scale)]
        return lines
