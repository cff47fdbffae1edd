"""Verification passes what was compiled, and rejects whatever was changed behind its back."""

import dataclasses

import pytest

from thermograd.circuits.netlist.elements import Capacitor, Resistor
from thermograd.circuits.netlist.netlist import Netlist
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.compile import compile_matrix
from thermograd.compiler.passes.verify import VerificationError, verify
from thermograd.compiler.program import AnalogProgram

from ...systems import built_for, passive

FABRICS = ["dual_rail", "crossbar", "oscillator"]
TECHNOLOGIES = ["ideal", "breadboard", "integrated"]


def program_of(fabric, technology="ideal"):
    return compile_matrix(passive(5, 0.3, 3), fabric, built_for(fabric, technology), check=False)


def tampered(program, **parts):
    return dataclasses.replace(program, parts=dataclasses.replace(program.parts, **parts))


def scaled(array, index, factor):
    array = array.copy()
    array[index] *= factor
    return array


class Altered(AnalogProgram):
    """A program whose netlist has one part changed after it was written."""

    def circuit(self, currents, state):
        netlist = super().circuit(currents, state)
        changed = Netlist(netlist.title, netlist.temperature)
        changed.add(*(self.change(part) for part in netlist))
        return changed


def altered(program, change):
    values = {field.name: getattr(program, field.name) for field in dataclasses.fields(program)}
    fake = Altered(**values)
    object.__setattr__(fake, "change", change)
    return fake


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("technology", TECHNOLOGIES)
def test_what_was_compiled_passes(fabric, technology):
    assert verify(program_of(fabric, technology)) < 1e-9


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize("technology", TECHNOLOGIES)
def test_a_swapped_polarity_in_the_parts_is_rejected(fabric, technology):
    program = program_of(fabric, technology)
    polarity = program.parts.polarity.copy()
    polarity[0, 1] *= -1
    polarity[1, 0] *= -1
    with pytest.raises(VerificationError, match=r"K\[0, 1\]"):
        verify(tampered(program, polarity=polarity))


@pytest.mark.parametrize("fabric", FABRICS)
def test_a_changed_resistor_in_the_parts_is_rejected(fabric):
    program = program_of(fabric)
    with pytest.raises(VerificationError):
        verify(tampered(program, coupling=scaled(program.parts.coupling, (0, 1, 2), 1.001)))
    # Both components of the pair alike: the netlist and its law agree, but on another matrix.
    with pytest.raises(VerificationError):
        verify(tampered(program, coupling=scaled(program.parts.coupling, (slice(None), 1, 2), 1.001)))


@pytest.mark.parametrize("technology", ["breadboard", "integrated"])
def test_rounding_hides_no_gross_change(technology):
    program = program_of("crossbar", technology)
    with pytest.raises(VerificationError):
        verify(tampered(program, coupling=scaled(program.parts.coupling, (slice(None), 0, 0), 1.03)))


@pytest.mark.parametrize("fabric", FABRICS)
def test_a_changed_capacitor_in_the_parts_is_rejected(fabric):
    program = program_of(fabric)
    with pytest.raises(VerificationError, match=r"C\[3\]"):
        verify(tampered(program, capacitance=scaled(program.parts.capacitance, (slice(None), 3), 1.001)))


@pytest.mark.parametrize("field", ["velocity_capacitance", "link"])
def test_what_makes_the_time_of_an_oscillator_is_looked_at(field):
    program = program_of("oscillator", "integrated")
    with pytest.raises(VerificationError, match=r"inertia\[3\]"):
        verify(tampered(program, **{field: scaled(getattr(program.parts, field), (slice(None), 3), 1.001)}))


def test_a_changed_input_resistor_is_rejected():
    program = program_of("crossbar")
    with pytest.raises(VerificationError, match="drive"):
        verify(tampered(program, drive=scaled(program.parts.drive, (slice(None), 3), 1.001)))


def test_a_program_that_forgot_its_scale_is_rejected():
    program = program_of("dual_rail")
    with pytest.raises(VerificationError):
        verify(dataclasses.replace(program, conductance_unit=2 * program.conductance_unit))
    with pytest.raises(VerificationError):
        verify(dataclasses.replace(program, target=program.target * 1.001))


@pytest.mark.parametrize("fabric", FABRICS)
@pytest.mark.parametrize(("name", "field"), [("R1_2p", "resistance"), ("C3m", "capacitance")])
def test_a_changed_part_in_the_netlist_is_rejected(fabric, name, field):
    def change(part):
        return dataclasses.replace(part, **{field: getattr(part, field) * 1.001}) if part.name == name else part

    with pytest.raises(VerificationError, match="differs from its law"):
        verify(altered(program_of(fabric), change))
    assert verify(altered(program_of(fabric), lambda part: part)) < 1e-9  # the change is what is seen


@pytest.mark.parametrize("name", ["RD1p", "RL2m", "RZ3p", "CV4m", "RB5p"])
def test_every_part_of_an_oscillator_is_looked_at(name):
    def change(part):
        field = "capacitance" if isinstance(part, Capacitor) else "resistance"
        return dataclasses.replace(part, **{field: getattr(part, field) * 1.001}) if part.name == name else part

    with pytest.raises(VerificationError, match="differs from its law"):
        verify(altered(program_of("oscillator", "integrated"), change))


@pytest.mark.parametrize("fabric", FABRICS)
def test_swapped_wires_in_the_netlist_are_rejected(fabric):
    swap = {"p2": "m2", "m2": "p2"}

    def change(part):
        wrong = isinstance(part, Resistor) and part.name.startswith("R1_2")
        return dataclasses.replace(part, a=swap.get(part.a, part.a), b=swap.get(part.b, part.b)) if wrong else part

    with pytest.raises(VerificationError, match="differs from its law"):
        verify(altered(program_of(fabric), change))


@pytest.mark.parametrize("missing", ["R1_2p", "C3m"])
def test_a_missing_part_is_rejected(missing):
    def change(part):
        if part.name != missing:
            return part
        kind = {"R": Resistor, "C": Capacitor}[missing[0]]
        return kind(missing, "p4", "m4", 1e12 if kind is Resistor else 1e-20)

    with pytest.raises(VerificationError):
        verify(altered(program_of("dual_rail"), change))


def test_finite_amplifiers_are_part_of_what_is_verified():
    technology = preset("ideal").replace(opamp__gain=1e3, opamp__gbw=1e7)
    program = program_of("crossbar", technology)
    assert verify(program) < 1e-9

    def change(part):
        return dataclasses.replace(part, transconductance=part.transconductance * 1.1) if part.name == "G2" else part

    with pytest.raises(VerificationError, match="differs from its law"):
        verify(altered(program, change))
