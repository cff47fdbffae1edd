"""The small-signal law of coupled oscillators with each of their parts: both rails, finite gain and bandwidth, a second pole, offsets.

An amplifier holds its input voltage at eps(s) times its output, eps(s) = a + d s + b s^2 (`array_dynamics`). With phi the positions, v the
velocities, for each rail r of sign s_r = +-1/2, crosspoints K_r, row load L_r, friction Gamma_r, input resistors g_r, capacitor C_r, link
h_r, and R_r in series with the position's capacitor B_r, the summing nodes e_r of velocities and f_r of positions obey

    C_r d(s_r v - e_r)/dt = L_r e_r - s_r (K_r phi + Gamma_r v - g_r V),            e_1 - e_0 + Vos  = eps v,
    B_r dq_r/dt = h_r (f_r + s_r v),   s_r phi - f_r = q_r + R_r B_r dq_r/dt,       f_1 - f_0 + Vos' = eps phi.

Eliminated, with Y_r = L_r + s C_r, the weights W_0 = Y_1 / (Y_0 + Y_1), W_1 = 1 - W_0, Z_r = s B_r / (1 + s R_r B_r) and X_r = h_r + Z_r,

    v = T(s) phi - Vos' / sum_r (h_r / 2 X_r),     T(s) = [eps + sum_r Z_r / 2 X_r] / sum_r (h_r / 2 X_r),
    { sum_r W_r K_r + [sum_r W_r (Gamma_r + s C_r) + eps 2 Y_0 Y_1 / (Y_0 + Y_1)] T(s) } phi = P(s) phi = sum_r W_r g_r V + ...

The states are phi and v, with a second pole d times their rates, and difference and sum of the two rails' capacitor voltages; without
bandwidth the capacitors' alone. Where both rails are alike the sums are apart from all else and left out. Capacitors count from where the
amplifiers' offsets hold them, so that a circuit at ease at given outputs has states that are linear in these.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.constants import Boltzmann

from ....circuits.technology.technology import Technology
from ...linear_law import LinearLaw, Outputs, SlowSource
from ...parts import AtRest
from .parts import OscillatorParts

SIGNS = (0.5, -0.5)
"""Share of an amplifier's output on either rail."""


@dataclass(frozen=True, eq=False)
class OscillatorDynamics:
    """The law of one set of parts, SI units; the first axis counts rails.

    Attributes:
        coupling: (2, n, n) K_r, S. crossed: (2, n, n) S, of them those that come from the other rail.
        load: (2, n) L_r, S. friction: (2, n) S. drive: (2, n) g_r over the nominal conductance.
        capacitance: (2, n) C_r, F. link: (2, n) S. series: (2, n) ohm. storage: (2, n) B_r, F.
        offset, position_offset: (n,) V.
        heat: (2, n) sum of conductance times temperature at a velocity's node, S K. temperature: (n,) K of links and series resistors.
        leak, lag, second: a, d (s) and b (s^2) of the amplifiers. voltage, current: their white noise, two-sided, V^2/Hz and A^2/Hz.
    """

    coupling: np.ndarray
    crossed: np.ndarray
    load: np.ndarray
    friction: np.ndarray
    drive: np.ndarray
    capacitance: np.ndarray
    link: np.ndarray
    series: np.ndarray
    storage: np.ndarray
    offset: np.ndarray
    position_offset: np.ndarray
    heat: np.ndarray
    temperature: np.ndarray
    leak: float
    lag: float
    second: float
    voltage: float
    current: float

    @classmethod
    def of(cls, parts: OscillatorParts, technology: Technology) -> OscillatorDynamics:
        """Of these parts with the technology's amplifiers."""
        opamp = technology.opamp
        slow, fast = 1.0 / (2 * math.pi * opamp.gbw), 1.0 / (2 * math.pi * opamp.second_pole)
        positive, negative = (
            np.asarray(sum(np.where(sign * signs > 0, values, 0.0) for _, values, signs in parts.by_slice()))
            for sign in (1, -1)
        )
        total = positive + negative
        warm = (total * parts.coupling_temperature).sum(axis=2)
        return cls(
            coupling=positive - negative,
            crossed=negative,
            load=parts.row_load,
            friction=parts.friction,
            drive=parts.drive / parts.drive_nominal,
            capacitance=parts.velocity_capacitance,
            link=parts.link,
            series=parts.series,
            storage=parts.capacitance,
            offset=parts.offset,
            position_offset=parts.position_offset,
            heat=np.asarray(warm + (parts.drive + parts.friction) * parts.drive_temperature),
            temperature=parts.drive_temperature,
            leak=1.0 / opamp.gain,
            lag=slow + fast / opamp.gain,
            second=slow * fast,
            # Two-sided: half of what data sheets state.
            voltage=opamp.noise_voltage**2 / 2,
            current=opamp.noise_current**2 / 2,
        )

    @property
    def size(self) -> int:
        """Number of cells n."""
        return len(self.offset)

    # In the frequency domain

    def error(self, s: complex) -> complex:
        """eps(s)."""
        return self.leak + self.lag * s + self.second * s * s

    def weights(self, s: complex) -> np.ndarray:
        """W_r, (2, n)."""
        joined = self.load + s * self.capacitance
        return np.asarray(joined[::-1] / joined.sum(axis=0))

    def seen(self, s: complex) -> np.ndarray:
        """2 Y_0 Y_1 / (Y_0 + Y_1), (n,) S: the current into a velocity for each volt at its amplifier's input."""
        joined = self.load + s * self.capacitance
        return np.asarray(2 * joined[0] * joined[1] / joined.sum(axis=0))

    def _position(self, s: complex) -> tuple[np.ndarray, np.ndarray]:
        """X_r (2, n) S, and sum_r h_r / 2 X_r (n,)."""
        joined = self.link + s * self.storage / (1 + s * self.series * self.storage)
        return joined, np.asarray((self.link / joined).sum(axis=0) / 2)

    def velocity(self, s: complex) -> np.ndarray:
        """T(s), (n,): velocities over positions, V/V."""
        _, passed = self._position(s)
        return np.asarray((self.error(s) + 1 - passed) / passed)

    def damping(self, s: complex) -> np.ndarray:
        """(n,) S: the current that a volt of each velocity takes."""
        own = (self.weights(s) * (self.friction + s * self.capacitance)).sum(axis=0)
        return np.asarray(own + self.error(s) * self.seen(s))

    def admittance(self, s: complex) -> np.ndarray:
        """P(s), (n, n) A/V."""
        return np.asarray(self.coupled(s) + np.diag(self.cell(s)))

    def coupled(self, s: complex) -> np.ndarray:
        """sum_r W_r K_r, (n, n) S."""
        return np.asarray((self.weights(s)[..., None] * self.coupling).sum(axis=0))

    def cell(self, s: complex) -> np.ndarray:
        """m(s) = P(s) without couplings, (n,) S: about s^2 C C / h."""
        return np.asarray(self.damping(s) * self.velocity(s))

    def noise(self, s: complex) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Two-sided densities of the currents in P(s) phi, (n,) A^2/Hz: Johnson noise; and for unit densities at all amplifiers' inputs
        that of their voltages and of their currents."""
        joined, passed = self._position(s)
        stored = np.abs(joined - self.link) ** 2
        # Volts at the positions' inputs for volts and amperes there, and the current that a volt is.
        taken, each = np.abs(self.damping(s) / passed) ** 2, 1.0 / np.abs(joined) ** 2
        into = 4 * np.abs(self.weights(s)) ** 2
        own = (self.link + stored * self.series) * each
        johnson = 2 * Boltzmann * ((into * self.heat).sum(axis=0) + taken * self.temperature * own.sum(axis=0))
        return (
            johnson,
            np.abs(self.seen(s)) ** 2 + taken,
            into.sum(axis=0) + taken * each.sum(axis=0),
        )

    @cached_property
    def at_rest(self) -> AtRest:
        """P(0), and what drives it: of offsets the velocities' at the row load, the positions' at the friction."""
        currents = self.seen(0.0) * self.offset + self.damping(0.0) * self.position_offset
        return AtRest(self.admittance(0.0), (self.weights(0.0) * self.drive).sum(axis=0), currents)

    # In the time domain

    @cached_property
    def alike(self) -> bool:
        """Whether both rails are of equal parts."""
        kinds = (self.coupling, self.load, self.friction, self.drive, self.capacitance)
        return all(np.array_equal(*kind) for kind in (*kinds, self.link, self.series, self.storage))

    def linear_law(self) -> LinearLaw:
        """See `LinearLaw`; positions are read, and positions and velocities kept."""
        return _States(self).law()

    def modes(self) -> np.ndarray:
        """Natural frequencies, 1/s: complex, in no order."""
        return self._modes

    @cached_property
    def _modes(self) -> np.ndarray:
        return np.linalg.eigvals(_States(self).drift)


class _States:
    """The states of a law, by blocks of n: rows of one block are `self.at(name)`."""

    def __init__(self, law: OscillatorDynamics) -> None:
        self.of, n = law, law.size
        names = ["phi", "v"] if law.lag else []
        names += ["phi'", "v'"] if law.second else []
        names += ["q-", "u-"] if law.alike else ["q-", "u-", "q+", "u+"]
        self.places = {name: slice(k * n, (k + 1) * n) for k, name in enumerate(names)}
        self.order = len(names) * n
        self.loss = self.of.series * self.of.link
        """R_r h_r."""
        self.share = 1.0 / (1.0 + self.loss)
        self.own = np.eye(self.order)
        self.voltage = [self._capacitor("u", sign) for sign in SIGNS]
        self.charge = [self._capacitor("q", sign) for sign in SIGNS]
        if law.lag:
            self.phi, self.v = self.own[self.places["phi"]], self.own[self.places["v"]]
        else:
            self.v = (self.voltage[0] - self.voltage[1]) / (1 + law.leak)
            known = self.share[0][:, None] * self.charge[0] - self.share[1][:, None] * self.charge[1]
            known = known + (self.share * self.loss).sum(axis=0)[:, None] / 2 * self.v
            self.phi = known / (law.leak + self.share.sum(axis=0) / 2)[:, None]

    def _capacitor(self, name: str, sign: float) -> np.ndarray:
        """Rows of one rail's capacitor voltage, (n, m)."""
        half = sign * self.own[self.places[f"{name}-"]]
        return half if self.of.alike else half + self.own[self.places[f"{name}+"]] / 2

    @cached_property
    def summing(self) -> list[np.ndarray]:
        """Rows of the summing nodes of velocities, of each rail, less what offsets are."""
        return [sign * self.v - volts for sign, volts in zip(SIGNS, self.voltage, strict=True)]

    @cached_property
    def positions(self) -> list[np.ndarray]:
        """Those of positions."""
        return [
            self.share[r][:, None] * (sign * (self.phi - self.loss[r][:, None] * self.v) - self.charge[r])
            for r, sign in enumerate(SIGNS)
        ]

    @cached_property
    def _velocity_currents(self) -> list[np.ndarray]:
        """Rows of the currents through the velocities' capacitors, without the drive's."""
        law = self.of
        return [
            law.load[r][:, None] * self.summing[r]
            - sign * (law.coupling[r] @ self.phi + law.friction[r][:, None] * self.v)
            for r, sign in enumerate(SIGNS)
        ]

    @cached_property
    def _position_currents(self) -> list[np.ndarray]:
        """Through the positions' capacitors."""
        return [self.of.link[r][:, None] * (self.positions[r] + sign * self.v) for r, sign in enumerate(SIGNS)]

    @cached_property
    def drift(self) -> np.ndarray:
        """F, (m, m) 1/s."""
        law, flow = self.of, np.zeros((self.order, self.order))
        self._charged(flow, "u", self._velocity_currents)
        self._charged(flow, "q", self._position_currents)
        if law.lag:
            self._amplifier(flow, "v", self.summing[1] - self.summing[0] - law.leak * self.v)
            self._amplifier(flow, "phi", self.positions[1] - self.positions[0] - law.leak * self.phi)
        return flow

    def _charged(self, into: np.ndarray, name: str, currents: list[np.ndarray]) -> None:
        """Fill in the rates of capacitors with these currents, (n, k) for either rail."""
        capacitance = self.of.capacitance if name == "u" else self.of.storage
        first, second = (current / farad[:, None] for current, farad in zip(currents, capacitance, strict=True))
        into[self.places[f"{name}-"]] += first - second
        if not self.of.alike:
            into[self.places[f"{name}+"]] += first + second

    def _amplifier(self, flow: np.ndarray, name: str, held: np.ndarray) -> None:
        """Fill in the rates of amplifiers' outputs; `held` is what is over of their input voltage, (n, m)."""
        law = self.of
        if not law.second:
            flow[self.places[name]] = held / law.lag
            return
        rate = self.own[self.places[f"{name}'"]]
        flow[self.places[name]] = rate / law.lag
        flow[self.places[f"{name}'"]] = (held - rate) * (law.lag / law.second)

    def law(self) -> LinearLaw:
        """All of it."""
        law, n = self.of, self.of.size
        own = np.eye(n)
        drive, constant = np.zeros((self.order, n)), np.zeros((self.order, 1))
        self._charged(drive, "u", [sign * np.diag(law.drive[r]) for r, sign in enumerate(SIGNS)])
        self._charged(constant, "u", [(sign * law.load[r] * law.offset)[:, None] for r, sign in enumerate(SIGNS)])
        self._charged(
            constant, "q", [(sign * law.link[r] * law.position_offset)[:, None] for r, sign in enumerate(SIGNS)]
        )
        johnson, amplifiers = np.zeros((self.order, self.order)), np.zeros((self.order, self.order))
        kelvin = 2 * Boltzmann * law.temperature
        slow = []
        for r in range(2):
            for name in ("u", "q"):
                node = self._node_current(name, r)
                warm = 2 * Boltzmann * law.heat[r] if name == "u" else kelvin * law.link[r]
                johnson += (node * warm) @ node.T
                amplifiers += (node * law.current) @ node.T
                slow.append(SlowSource("current", node))
            across = self._series_voltage(r)
            johnson += (across * (kelvin * law.series[r])) @ across.T
        for name in ("v", "phi"):
            inputs = self._input_voltage(name, own)
            amplifiers += (inputs * law.voltage) @ inputs.T
            slow.append(SlowSource("voltage", inputs))
        return LinearLaw(
            drift=self.drift,
            drive=drive,
            constant=constant[:, 0],
            johnson=johnson,
            amplifiers=amplifiers,
            read=self.phi,
            start=self._start(),
            kept=self._kept(),
            slow=tuple(slow),
            outputs=self._outputs(),
        )

    def _start(self) -> np.ndarray:
        """H: capacitors charged such that the outputs stay where they are set, for as long as amplifiers take to see them."""
        law, n = self.of, self.of.size
        start = np.zeros((self.order, 2 * n))
        phi, v = np.split(np.eye(2 * n), 2)
        if law.lag:
            start[self.places["phi"]], start[self.places["v"]] = phi, v
        charges = [
            sign * ((1 + (1 + self.loss[r]) * law.leak)[:, None] * phi - self.loss[r][:, None] * v)
            for r, sign in enumerate(SIGNS)
        ]
        for name, (first, second) in {"q": charges, "u": [sign * (1 + law.leak) * v for sign in SIGNS]}.items():
            start[self.places[f"{name}-"]] = first - second
            if not law.alike:
                start[self.places[f"{name}+"]] = first + second
        return start

    def _kept(self) -> np.ndarray:
        """What `_start` sets, from the capacitors alone: outputs show amplifiers' noise that no later run knows of, besides."""
        leak, lost = self.of.leak, self.loss.mean(axis=0)[:, None]
        velocity = (self.voltage[0] - self.voltage[1]) / (1 + leak)
        position = (self.charge[0] - self.charge[1] + lost * velocity) / (1 + (1 + lost) * leak)
        return np.concatenate([position, velocity])

    def _outputs(self) -> Outputs:
        """Of positions on either rail, then of velocities: what crosspoints, friction, links and capacitors take of them."""
        law, n = self.of, self.of.size
        volts, amperes, drive = [], [], [np.zeros((2 * n, n))]
        like = law.coupling + law.crossed
        for r, sign in enumerate(SIGNS):
            taken = like[r].sum(axis=0) + law.crossed[1 - r].sum(axis=0)
            fed = like[r].T @ self.summing[r] + law.crossed[1 - r].T @ self.summing[1 - r]
            volts.append(sign * self.phi)
            amperes.append(sign * taken[:, None] * self.phi - fed + self._position_currents[r])
        for r, sign in enumerate(SIGNS):
            friction = law.friction[r][:, None] * (sign * self.v - self.summing[r])
            linked = law.link[1 - r][:, None] * (sign * self.v - self.positions[1 - r])
            volts.append(sign * self.v)
            amperes.append(friction + linked + self._velocity_currents[r])
            drive.append(sign * np.diag(law.drive[r]))
        return Outputs(np.concatenate(volts), np.concatenate(amperes), np.concatenate(drive))

    # What an ampere into a node, or a volt in series, adds to the states' rates, (m, n). Without bandwidth, what would appear in the
    # outputs at once, and with them in no state, is left out.

    def _node_current(self, name: str, rail: int) -> np.ndarray:
        """Into the summing nodes of one rail: out of the capacitor and, through the series resistor, a voltage at the node."""
        n, into = self.of.size, np.zeros((self.order, self.of.size))
        share = self.share[rail] if name == "q" else np.ones(n)
        self._charged(into, name, [np.diag(-share) if r == rail else np.zeros((n, n)) for r in range(2)])
        if name == "q":
            self._input_voltage("phi", np.diag(-2 * SIGNS[rail] * share * self.of.series[rail]), into)
        return into

    def _series_voltage(self, rail: int) -> np.ndarray:
        """In series with the position's capacitor of one rail."""
        n, into = self.of.size, np.zeros((self.order, self.of.size))
        held = self.share[rail] * self.of.link[rail]
        self._charged(into, "q", [np.diag(held) if r == rail else np.zeros((n, n)) for r in range(2)])
        return self._input_voltage("phi", np.diag(-2 * SIGNS[rail] * self.share[rail]), into)

    def _input_voltage(self, name: str, volts: np.ndarray, into: np.ndarray | None = None) -> np.ndarray:
        """At the inputs of velocities' or positions' amplifiers."""
        law, into = self.of, np.zeros((self.order, self.of.size)) if into is None else into
        if law.second:
            into[self.places[f"{name}'"]] += volts * (law.lag / law.second)
        elif law.lag:
            into[self.places[name]] += volts / law.lag
        return into
