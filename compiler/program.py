"""`AnalogProgram`: a curvature matrix as component values, and the way back from node voltages to the solution."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..circuits.die import Die
from ..circuits.errors import InputError
from ..circuits.netlist import Netlist
from ..circuits.technology import Technology, write_atomically
from .fabrics import Fabric, fabric_named
from .fabrics.base import rails
from .parts import Behaviour, Parts
from .passes.condition import is_positive_definite
from .passes.realise import comparison_matrix
from .passes.validate import validate_drive
from .report import Report, describe

FORMAT = 1
"""Version of the saved form."""


@dataclass(frozen=True, eq=False)
class AnalogProgram:
    """What `compile_matrix` returns. Immutable; the methods that change something return a new program.

    Unknown i is the voltage difference v_i = V(p_i) - V(m_i) of two nodes, x_i = d_i v_i / volts_per_unit, with d the
    scaling vector. Driven by b, the circuit's mean obeys dx/dt = -(M x - b) / tau with M = `matrix`.

    Attributes:
        technology: what it is built from.
        fabric_name: "dual_rail" or "crossbar".
        target: the intended matrix A + damping I, (n, n), problem units.
        damping: what was added to the diagonal, problem units.
        scaling: d, (n,).
        conductance_unit: S that one problem unit of D A D became.
        volts_per_unit: V that one unit of y = x / d becomes.
        parts: the component values.
        lambda_star: further damping that positive resistors alone would need, problem units.
        reason: why this fabric, in words.
    """

    technology: Technology
    fabric_name: str
    target: np.ndarray
    damping: float
    scaling: np.ndarray
    conductance_unit: float
    volts_per_unit: float
    parts: Parts
    lambda_star: float
    reason: str

    @property
    def fabric(self) -> Fabric:
        """The fabric's rules."""
        return fabric_named(self.fabric_name)

    @property
    def size(self) -> int:
        """Number of unknowns n."""
        return len(self.target)

    @property
    def tau(self) -> float:
        """Seconds in which a unit of x with unit curvature relaxes by 1/e: unit capacitance over conductance unit."""
        return self.technology.capacitors.unit / self.conductance_unit

    @property
    def nodes(self) -> tuple[str, ...]:
        """The 2 n nodes that carry the solution: p1, m1, p2, m2, ..."""
        return tuple(node for i in range(self.size) for node in rails(i))

    @cached_property
    def behaviour(self) -> Behaviour:
        """The first-order law of these parts, SI units."""
        return self.fabric.behaviour(self.parts)

    @cached_property
    def matrix(self) -> np.ndarray:
        """The matrix really realised, (n, n) in problem units: the circuit settles at matrix^-1 b, offsets aside.

        M = diag(drive d g)^-1 (K + L / A0) diag(d)^-1: rounding, mismatch, drift and the amplifiers' finite gain are
        in it. For n nominal, unrounded parts and ideal amplifiers it is `target`.
        """
        law = self.behaviour
        stiffness = law.stiffness + np.diag(law.load / self.technology.opamp.gain)
        return stiffness / np.outer(law.drive * self.scaling * self.conductance_unit, self.scaling)

    @cached_property
    def report(self) -> Report:
        """Fabric and why, errors, parts and times; prints as text, `.to_dict()` for JSON."""
        return describe(self)

    def currents(self, b: Any) -> np.ndarray:
        """Differential drive current of each cell for a right-hand side, (n,) in A."""
        return self.conductance_unit * self.volts_per_unit * self.scaling * validate_drive(b, self.size)

    def netlist(self, b: Any = None, x0: Any = None) -> Netlist:
        """The circuit, driven by b (default: no drive) and with its capacitors charged to the state x0 (default: 0)."""
        zero = np.zeros(self.size)
        state = validate_drive(zero if x0 is None else x0, self.size) / self.scaling * self.volts_per_unit
        return self.circuit(self.currents(zero if b is None else b), state)

    def circuit(self, currents: np.ndarray, state: np.ndarray) -> Netlist:
        """The circuit with given differential drive currents (A) and initial differential node voltages (V), (n,) each."""
        netlist = Netlist(
            f"thermograd {self.fabric_name}, {self.size} unknowns, technology {self.technology.name}",
            temperature=self.technology.thermal.ambient,
            comments=self._header(bool(np.any(currents))),
        )
        self.fabric.lower(netlist, self.parts, self.technology, currents, state)
        return netlist

    def to_spice(self, b: Any = None, dialect: str = "ngspice") -> str:
        """The netlist as text, with the drive for b in it and an operating-point analysis, ready for `ngspice -b`.

        Feed the node voltages of any simulator to `decode` to get the solution in problem units.
        """
        from ..circuits.ngspice import OperatingPoint

        return self.netlist(b).to_spice(dialect, analysis=OperatingPoint())

    def decode(self, voltages: Mapping[str, Any]) -> np.ndarray:
        """x from node voltages: (n,) from scalars, (n, T) from waveforms of T points.

        Args:
            voltages: node name (any case; `V(p1)` is understood too) -> volts. Nodes that carry no unknown are ignored.

        Raises:
            InputError: a node that carries an unknown is missing.
        """
        known = {str(name).lower().removeprefix("v(").removesuffix(")"): value for name, value in voltages.items()}
        missing = [node for node in self.nodes if node not in known]
        if missing:
            raise InputError(
                f"decode needs the voltages of all {2 * self.size} solution nodes; missing: {', '.join(missing[:6])}"
                + (" ..." if len(missing) > 6 else "")
            )
        try:
            volts = np.array([np.asarray(known[node], dtype=float) for node in self.nodes])
        except (TypeError, ValueError) as error:
            raise InputError(
                f"decode needs a number, or waveforms of equal length, for each of {', '.join(self.nodes[:4])} ...: {error}"
            ) from None
        difference = volts[0::2] - volts[1::2]
        scale = self.scaling / self.volts_per_unit
        return difference * (scale if difference.ndim == 1 else scale[:, None])

    def at_scale(self, volts_per_unit: float) -> AnalogProgram:
        """The same circuit used at another signal level."""
        if not (np.isfinite(volts_per_unit) and volts_per_unit > 0):
            raise InputError(f"volts_per_unit must be finite and positive, got {volts_per_unit!r}")
        return dataclasses.replace(self, volts_per_unit=float(volts_per_unit))

    def is_stable(self) -> bool:
        """Whether the circuit's slow modes all decay: eigenvalues of C^-1 (K + L / A0) with positive real part.

        In a passive fabric the common mode of the rails counts too.
        """
        law = self.behaviour
        stiffness = law.stiffness + np.diag(law.load / self.technology.opamp.gain)
        if self.fabric.symmetric:
            # A passive circuit's common mode obeys the comparison matrix: it floats once no resistor leads to ground.
            return is_positive_definite(comparison_matrix(stiffness))
        if is_positive_definite(stiffness):
            return True
        return bool(np.linalg.eigvals(stiffness / law.capacitance[:, None]).real.min() > 0)

    def on(
        self,
        die: Die,
        mismatch: float | None = None,
        capacitor_mismatch: float | None = None,
        offset: float | None = None,
    ) -> AnalogProgram:
        """The same program on one die: every part with its own mismatch, drift and temperature.

        The standard deviations default to the technology's; a calibrated surrogate passes its card's.
        """
        parts = self.parts.on(die, self.fabric.symmetric, mismatch, capacitor_mismatch, offset)
        return dataclasses.replace(self, parts=parts)

    def save(self, path: str | Path) -> None:
        """Write `path`.json (description) and `path`.npz (arrays), each atomically; a suffix of `path` is dropped."""
        path = _stem(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        arrays = {"target": self.target, "scaling": self.scaling} | {
            f"parts_{field.name}": np.asarray(getattr(self.parts, field.name)) for field in dataclasses.fields(Parts)
        }
        np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
        temporary = path.with_name(f".{path.name}.npz.{os.getpid()}")
        temporary.write_bytes(buffer.getvalue())
        os.replace(temporary, path.with_suffix(".npz"))
        description = {
            "thermograd_program": FORMAT,
            "fabric": self.fabric_name,
            "damping": self.damping,
            "conductance_unit": self.conductance_unit,
            "volts_per_unit": self.volts_per_unit,
            "lambda_star": self.lambda_star,
            "reason": self.reason,
            "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
            "technology": json.loads(self.technology.model_dump_json()),
        }
        write_atomically(path.with_suffix(".json"), json.dumps(description, indent=2))

    @classmethod
    def load(cls, path: str | Path) -> AnalogProgram:
        """Read what `save` wrote.

        Raises:
            InputError: a file is missing, damaged, of a newer version, or not the one that belongs to the other.
        """
        path = _stem(path)
        try:
            data = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            blob = path.with_suffix(".npz").read_bytes()
        except OSError as error:
            raise InputError(f"program {str(path)!r}: {error.filename!r} cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"program {str(path)!r}: the description is not valid JSON: {error}") from None
        version = data.get("thermograd_program") if isinstance(data, dict) else None
        if version != FORMAT:
            raise InputError(f"program {str(path)!r} has format {version!r}; this version of thermograd reads {FORMAT}")
        if hashlib.sha256(blob).hexdigest() != data.get("sha256"):
            raise InputError(f"program {str(path)!r}: the .npz is damaged or belongs to another program; save it again")
        try:
            with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
                fields = {field.name: arrays[f"parts_{field.name}"] for field in dataclasses.fields(Parts)}
                fields["drive_nominal"] = float(fields["drive_nominal"])
                return cls(
                    technology=Technology(**data["technology"]),
                    fabric_name=fabric_named(data["fabric"]).name,
                    target=arrays["target"],
                    damping=float(data["damping"]),
                    scaling=arrays["scaling"],
                    conductance_unit=float(data["conductance_unit"]),
                    volts_per_unit=float(data["volts_per_unit"]),
                    parts=Parts(**fields),
                    lambda_star=float(data["lambda_star"]),
                    reason=str(data["reason"]),
                )
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"program {str(path)!r} is damaged: {error}; compile the matrix again") from None

    def _header(self, driven: bool) -> list[str]:
        lines = [
            "unknown x_k is carried by nodes p<k> and m<k>: x_k = d_k * (V(p<k>) - V(m<k>)) / volts_per_unit",
            f"volts_per_unit = {self.volts_per_unit!r} V, tau = {self.tau!r} s (one problem unit of curvature)",
            f"fabric {self.fabric_name}: {self.reason}",
            "driven by the right-hand side b" if driven else "no drive: all sources are zero",
        ]
        if not np.all(self.scaling == 1.0):
            lines += [f"d_{i + 1} = {float(d)!r}" for i, d in enumerate(self.scaling)]
        return lines


def _stem(path: str | Path) -> Path:
    path = Path(path)
    if not path.name:
        raise InputError(f"program path {str(path)!r} names no file; give one such as out/program")
    return path.with_suffix("")
