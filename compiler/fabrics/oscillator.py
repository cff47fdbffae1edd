"""`oscillator`: coupled oscillators of op-amp integrators, two a cell; they hold any sign and settle with the root of the condition number.

Velocity integrator i has input nodes ep_i, em_i and outputs vp_i, vm_i, position integrator i has inputs fp_i, fm_i and outputs p_i, m_i.
Crosspoints join positions to velocities, as in `crossbar`; one friction resistor a rail joins a velocity to its own input, and a unit
resistor of conductance h, the link, joins it to its position. With K = u D A D and position capacitors C d^2,

    C d^2 dphi/dt = h v,      C dv/dt = -K phi - Gamma v + I,

so that x = D phi obeys x'' + gamma x' + A x = b in units of tau = C / sqrt(u h), with Gamma = gamma sqrt(u h) for every cell. The friction
gamma = 2 sqrt(lambda), lambda a lower bound of the smallest eigenvalue, makes every mode decay as exp(-sqrt(lambda) t) or faster, up to a
factor 1 + sqrt(lambda) t. Codes reach from their smallest conductance to 1/unit, and so does friction: where sqrt(lambda) is more than
half of what a unit resistor makes, modes swing, and decay with h / 2 C.

With amplifiers of gain A0, gain-bandwidth w = 2 pi GBW (rad/s), eps(s) = 1/A0 + s/w and L the row loads (input and friction resistors in
them), R_z in series with each position capacitor, Z = s C d^2 / (1 + s R_z C d^2):

    { K + [Gamma + s C + eps (L + s C)] [Z + eps (h + Z)] / h } phi = I + L Vos + (Gamma + L / A0) Vos'.

Conditions: A positive definite. Parts: those of a `crossbar`, and in each cell, on each rail, friction, link, R_z and a capacitor more, and
a second amplifier. Time constant sqrt(C C / h g) / sqrt(lambda). First-order errors: finite gain adds (Gamma + L / A0) / A0 to the matrix
and (L + h / d^2) / A0 to the friction, which is programmed that much smaller, down to none; offsets L Vos of the velocities and Gamma Vos'
of the positions; the bandwidth makes a friction of -2 lambda / w in each mode, which R_z = 2 / (w C d^2) takes back, and row loads make
the inertia 1 + L / (w C) times as large, by which the slowest mode is slower. The stationary covariance is no multiple of A^-1: noise goes
with the loads and not with the friction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...circuits.amplifiers.models import IDEAL_GAIN, AmplifierCell, OnePole
from ...circuits.amplifiers.noise_source import power_over_white
from ...circuits.netlist.elements import Capacitor, Resistor, VoltageSource
from ...circuits.netlist.netlist import Netlist
from ...circuits.technology.e_series import preferred_conductance
from ...circuits.technology.technology import Technology
from ..linear_law import LinearLaw
from ..matrices import Matrix, dense, scaled, smallest_eigenvalue
from ..parts import AtRest, CellNoise
from .base import Fabric, Swing, group_name, pair_drives, rails
from .crossbar import Crossbar, crosspoints
from .oscillators.dynamics import OscillatorDynamics
from .oscillators.figures import second_order
from .oscillators.modes import decays, slowest_time
from .oscillators.parts import OscillatorParts
from .oscillators.swings import swings
from .second_order import SecondOrder

LARGEST = 1000
"""Most unknowns: whether a circuit is stable takes its modes."""
_ARRAY = Crossbar(2)


class Oscillator(Fabric):
    """Coupled oscillators of integrators, fully differential.

    Args:
        compensated: with a resistor in series with each position's capacitor.
    """

    parts_type = OscillatorParts
    symmetric, active = False, True
    outputs, states, overshoot = 2, 2, 2.0
    slow_inputs = ("current",) * 4 + ("voltage",) * 2
    has_dies = has_slices = has_layout = has_linear_law = has_device_model = can_calibrate = needs_floor = True
    schematic = "oscillators"

    def __init__(self, compensated: bool = True) -> None:
        self.compensated = compensated
        self.name = "oscillator" if compensated else "oscillator_uncompensated"
        self.title = "coupled oscillators of op-amp integrators, fully differential"

    def scaling(self, matrix: Matrix) -> tuple[np.ndarray | None, str]:
        """Ones, as in a crossbar, for any matrix of a size whose modes can be computed."""
        if (n := matrix.shape[0]) > LARGEST:
            return None, f"it has {n} unknowns, more than the {LARGEST} of which the modes are judged"
        return _ARRAY.scaling(matrix)

    def place(
        self, scaled_matrix: Matrix, scaling: np.ndarray, technology: Technology
    ) -> tuple[OscillatorParts, float]:
        """As `place_bounded`, with the smallest eigenvalue itself as its bound."""
        return self.place_bounded(scaled_matrix, scaling, technology, None)

    def place_bounded(
        self, scaled_matrix: Matrix, scaling: np.ndarray, technology: Technology, floor: float | None
    ) -> tuple[OscillatorParts, float]:
        """Parts for the matrix; its largest entry, an input resistor and a link are one unit resistor each."""
        array, unit = _ARRAY.place(scaled_matrix, scaling, technology)
        if floor is None:
            floor = smallest_eigenvalue(scaled(dense(scaled_matrix), 1 / scaling, 1 / scaling))
        link, series = array.drive_nominal, technology.resistors.series
        ohms = np.zeros(array.size)
        if self.compensated and math.isfinite(technology.opamp.gbw):
            ohms = 2.0 / (2 * math.pi * technology.opamp.gbw * array.capacitance[0])
            ohms = 1.0 / preferred_conductance(1.0 / ohms, series)
        parts = OscillatorParts.around(array, np.zeros(array.size), link, ohms, technology.capacitors.unit)
        wanted = 2.0 * math.sqrt(max(floor, 0.0) * unit * link)
        return parts.with_friction(wanted, 1.0 / technology.opamp.gain, technology.resistors), unit

    def remarks(self, parts: OscillatorParts, technology: Technology) -> list[str]:
        """Where friction could not be programmed as it is wanted."""
        friction, resistors, found = parts.friction[0], technology.resistors, []
        if without := int(np.count_nonzero(friction == 0)):
            found.append(
                f"amplifiers of gain {technology.opamp.gain:.3g} make more friction than the smallest eigenvalue asks for in {without} of "
                f"{parts.size} cells, which have no friction resistor and settle more slowly"
            )
        if resistors.bits is not None and (friction >= (1 - 1e-9) / resistors.unit).any():
            found.append("friction ends at one unit resistor, with which the slowest modes swing before they settle")
        return found

    def tau(self, unit: float, technology: Technology) -> float:
        """C / sqrt(u h): one radian of a unit curvature."""
        resistors = technology.resistors
        link = float(preferred_conductance(1.0 / resistors.unit, resistors.series))
        return technology.capacitors.unit / math.sqrt(unit * link)

    def settling(self, parts: OscillatorParts, smallest: float, unit: float, technology: Technology) -> float:
        """1 / Re of the mode that decays last (`oscillators.modes`)."""
        return slowest_time(OscillatorDynamics.of(parts, technology))

    def realised(self, parts: OscillatorParts, technology: Technology) -> np.ndarray:
        """The law at rest, with the contribution of a finite gain."""
        return self.at_rest(parts, technology).matrix

    def is_stable(self, parts: OscillatorParts, technology: Technology) -> bool:
        """By all modes of the circuit: bandwidth and row loads decide with the matrix."""
        return decays(OscillatorDynamics.of(parts, technology))

    def grows(self, parts: OscillatorParts, technology: Technology) -> bool:
        """See `is_stable`."""
        return not self.is_stable(parts, technology)

    def at_rest(self, parts: OscillatorParts, technology: Technology) -> AtRest:
        """See `Fabric.at_rest`."""
        return OscillatorDynamics.of(parts, technology).at_rest

    def noise(self, parts: OscillatorParts, technology: Technology) -> Callable[[float], CellNoise]:
        """Resistors, and the amplifiers' white and 1/f noise; the positions' is in series with velocities."""
        dynamics, opamp = OscillatorDynamics.of(parts, technology), technology.opamp

        def at(frequency: float) -> CellNoise:
            s = 2j * math.pi * frequency
            johnson, volts, amperes = dynamics.noise(s)
            amplifiers = volts * dynamics.voltage * power_over_white(frequency, opamp.noise_voltage_corner)
            amplifiers = amplifiers + amperes * dynamics.current * power_over_white(
                frequency, opamp.noise_current_corner
            )
            return CellNoise(dynamics.admittance(s), np.diag(johnson), np.diag(amplifiers))

        return at

    def linear_law(self, parts: OscillatorParts, technology: Technology) -> LinearLaw:
        """See `Fabric.linear_law`."""
        return OscillatorDynamics.of(parts, technology).linear_law()

    def admittance(self, parts: OscillatorParts, technology: Technology, s: complex) -> np.ndarray:
        """P(s) with the amplifiers of a netlist, whose gain is finite, and which have one pole."""
        opamp = technology.opamp.model_copy(
            update={"gain": min(technology.opamp.gain, IDEAL_GAIN), "second_pole": math.inf}
        )
        return OscillatorDynamics.of(parts, technology.model_copy(update={"opamp": opamp})).admittance(s)

    def swings(
        self,
        parts: OscillatorParts,
        technology: Technology,
        target: Matrix,
        scaling: np.ndarray,
        unit: float,
        b: np.ndarray | None,
    ) -> list[Swing]:
        """Positions x / d, then velocities d sqrt(u / h) x', by the least damped cell's friction."""
        link = float(parts.link.mean())
        friction = float(OscillatorDynamics.of(parts, technology).damping(0.0).real.min()) / math.sqrt(unit * link)
        positions, rates = swings(target, friction, b)
        velocities = scaling * math.sqrt(unit / link) * rates
        [(_, columns)] = parts.amplifier_loads()
        return [Swing(positions / scaling, columns), Swing(velocities, (parts.link + parts.friction).mean(axis=0))]

    def second_order(
        self,
        parts: OscillatorParts,
        technology: Technology,
        target: Matrix,
        unit: float,
        swings: list[Swing],
        settled: float,
    ) -> SecondOrder:
        """See `Fabric.second_order`."""
        return second_order(parts, technology, target, unit, swings, settled)

    def without_leak(self, parts: OscillatorParts, leak: float) -> OscillatorParts:
        """K_ii less (Gamma + L leak) leak."""
        return parts.with_less_stiffness(leak)

    def inertia(self, parts: OscillatorParts) -> np.ndarray:
        """C_v C d^2 / h."""
        return np.asarray((parts.velocity_capacitance * parts.capacitance / parts.link).mean(axis=0))

    def drive(self, parts: OscillatorParts) -> np.ndarray:
        """Input resistors against the host's idea of them, by the weights of the rails."""
        drive, load = parts.drive / parts.drive_nominal, parts.row_load
        return np.asarray((drive * load[::-1]).sum(axis=0) / load.sum(axis=0))

    def kept_nodes(self, parts: OscillatorParts) -> tuple[str, ...]:
        """The ends of all capacitors."""
        return tuple(dict.fromkeys(node for ends in _capacitors(parts) for pair in ends for node in pair))

    def kept_volts(self, parts: OscillatorParts, technology: Technology, voltages: Mapping[str, Any]) -> np.ndarray:
        """Positions and velocities at which the capacitors would have their charges if the outputs stood still.

        Outputs show amplifiers' noise that no later run knows of, besides.
        """
        leak = 1.0 / min(technology.opamp.gain, IDEAL_GAIN)
        # Differences of the rails.
        charge, own = (
            np.array(
                [
                    (np.asarray(voltages[a]) - voltages[b]) - (np.asarray(voltages[c]) - voltages[d])
                    for (a, b), (c, d) in zip(*ends, strict=True)
                ]
            )
            for ends in (_capacitors(parts)[:2], _capacitors(parts)[2:])
        )
        shape = (-1, *(1,) * (charge.ndim - 1))
        lost = (parts.series * parts.link).mean(axis=0).reshape(shape)
        offset, held = parts.position_offset.reshape(shape), parts.offset.reshape(shape)
        velocity = (own + held) / (1 + leak)
        return np.concatenate([(charge + (1 + lost) * offset + lost * velocity) / (1 + (1 + lost) * leak), velocity])

    def notes(self, parts: OscillatorParts) -> list[str]:
        """What a cell is made of besides crosspoints."""
        series = "; RZ<k> takes back what the amplifiers' bandwidth undoes of it" if parts.series.any() else ""
        return [
            "cell k: nodes vp<k> and vm<k> carry its velocity, integrated by CV<k>, and RL<k> links it to the position's integrator, C<k>",
            f"RD<k> is the friction{series}",
        ]

    def drives(self, parts: OscillatorParts) -> list[dict[str, float]]:
        """Voltage sources before the input resistors."""
        return pair_drives("VB", parts.size, 1.0 / parts.drive_nominal, 2)

    def lower(
        self,
        netlist: Netlist,
        parts: OscillatorParts,
        technology: Technology,
        currents: np.ndarray,
        state: np.ndarray,
        amplifier: AmplifierCell | None = None,
    ) -> None:
        """For each cell its crosspoints, drive and friction with the velocity's integrator, then link and the position's."""
        cell, rows = amplifier or OnePole(technology.opamp), crosspoints(parts)
        positions, velocities = np.split(np.pad(state, (0, 2 * parts.size - len(state))), 2)
        for i, resistors in enumerate(rows):
            netlist.add(*resistors, group=group_name(i))
            volts = float(currents[i]) / parts.drive_nominal
            self._velocity(netlist, parts, technology, i, volts, float(velocities[i]), cell)
            self._position(netlist, parts, technology, i, float(positions[i]), float(velocities[i]), cell)

    def _velocity(
        self,
        netlist: Netlist,
        parts: OscillatorParts,
        technology: Technology,
        i: int,
        volts: float,
        state: float,
        amplifier: AmplifierCell,
    ) -> None:
        k, group, kelvin = i + 1, group_name(i), float(parts.drive_temperature[i])
        gain, offset = min(technology.opamp.gain, IDEAL_GAIN), float(parts.offset[i])
        for rail, sign in ((0, 0.5), (1, -0.5)):
            letter, other = "pm"[rail], "mp"[rail]
            suffix, summing, output = f"{k}{letter}", f"e{letter}{k}", f"v{letter}{k}"
            # The drive crosses over, since the integrator inverts; the capacitor sees the output less the amplifier's own input voltage.
            netlist.add(
                VoltageSource(f"VB{suffix}", f"b{letter}{k}", "0", sign * volts, ac=sign),
                Resistor(f"RB{suffix}", f"b{other}{k}", summing, 1.0 / float(parts.drive[rail, i]), kelvin),
                group=group,
            )
            if (friction := float(parts.friction[rail, i])) > 0:
                netlist.add(Resistor(f"RD{suffix}", output, summing, 1.0 / friction, kelvin), group=group)
            start = sign * (state * (1.0 + 1.0 / gain) - offset)
            farad = float(parts.velocity_capacitance[rail, i])
            netlist.add(Capacitor(f"CV{suffix}", output, summing, farad, initial=start), group=group)
        draw = parts.amplifier_draw(i)
        amplifier.add(netlist, (f"em{k}", f"ep{k}"), (f"vp{k}", f"vm{k}"), f"v{k}", offset, state, group, **draw)

    def _position(
        self,
        netlist: Netlist,
        parts: OscillatorParts,
        technology: Technology,
        i: int,
        state: float,
        velocity: float,
        amplifier: AmplifierCell,
    ) -> None:
        k, group, kelvin = i + 1, group_name(i), float(parts.drive_temperature[i])
        gain, offset = min(technology.opamp.gain, IDEAL_GAIN), float(parts.position_offset[i])
        for rail, sign in ((0, 0.5), (1, -0.5)):
            letter, other = "pm"[rail], "mp"[rail]
            suffix, summing, output = f"{k}{letter}", f"f{letter}{k}", rails(i)[rail]
            link, ohm = float(parts.link[rail, i]), float(parts.series[rail, i])
            netlist.add(Resistor(f"RL{suffix}", f"v{other}{k}", summing, 1.0 / link, kelvin), group=group)
            last = f"z{letter}{k}" if ohm else summing
            if ohm:
                netlist.add(Resistor(f"RZ{suffix}", last, summing, ohm, kelvin), group=group)
            # Less what its own current takes in the resistor in series.
            held = state / gain - offset
            start = sign * (state + held + ohm * link * (held - velocity))
            farad = float(parts.capacitance[rail, i])
            netlist.add(Capacitor(f"C{suffix}", output, last, farad, initial=start), group=group)
        draw = parts.position_draw(i)
        amplifier.add(netlist, (f"fm{k}", f"fp{k}"), rails(i), str(k), offset, state, group, **draw)


def _capacitors(parts: OscillatorParts) -> tuple[list[tuple[str, str]], ...]:
    """Ends of the capacitors of positions on the first rail and the second, then of velocities."""
    cells = range(1, parts.size + 1)
    inner = [["z" if ohm else "f" for ohm in ohms] for ohms in parts.series.tolist()]
    positions = [
        [(f"{rail}{k}", f"{kind}{rail}{k}") for k, kind in zip(cells, inner[r], strict=True)]
        for r, rail in enumerate("pm")
    ]
    return (*positions, *([(f"v{rail}{k}", f"e{rail}{k}") for k in cells] for rail in "pm"))
