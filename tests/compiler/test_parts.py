"""Parts on a die: what die-to-die variation, gradient and mismatch do to the component values, to the solution and to the time it takes."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import Parallel, delayed
from scipy import sparse

from thermograd.circuits.linear.statespace import state_space
from thermograd.circuits.netlist.elements import Capacitor, Resistor
from thermograd.circuits.technology.die import Die
from thermograd.circuits.technology.parts import Thermal
from thermograd.circuits.technology.presets import preset
from thermograd.compiler.analysis.deviations import deviations
from thermograd.compiler.analysis.die_yield import die_yield
from thermograd.compiler.analysis.sensitivity import sensitivities
from thermograd.compiler.compile import lay_out

from ..systems import passive, spd

IDEAL = preset("ideal")
FABRICS = ("rc", "dual_rail", "crossbar", "crossbar_single", "oscillator")
ALL = IDEAL.replace(
    resistors__tolerance=0.02,
    resistors__die_to_die=0.15,
    resistors__gradient=0.05,
    capacitors__tolerance=0.01,
    capacitors__die_to_die=0.1,
    capacitors__gradient=0.03,
)
# Drawn before there were shared shifts and gradients: first and last values of die 7, preset integrated, matrix `OLD`, rc given as sparse.
OLD = np.array([[2.0, -0.5, -0.3], [-0.5, 1.5, -0.2], [-0.3, -0.2, 1.0]])
BEFORE = {
    ("crossbar_single", "drive"): [9.881498065952325e-05, 9.908774393753614e-05],
    ("crossbar_single", "capacitance"): [9.96066861731523e-12, 9.932108353434025e-12],
    ("crossbar_single", "inverter"): [9.953007791448093e-05, 0.0001005455263430255],
    ("crossbar_single", "offset"): [0.0007090491125633351, -0.0005092000022233592],
    ("crossbar_single", "inverter_offset"): [-0.0008151923175869244, -0.00013768349160682108],
    ("crossbar_single", "coupling"): [0.00010084164891547744, 4.9878385438989115e-05],
    ("rc", "coupling"): [4.513988831940003e-05, 1.9902600259561298e-05],
    ("rc", "ground"): [0.00010044953113132875, 5.347348219995561e-05],
    ("rc", "storage"): [8.466029971785727e-12, 9.932108353434025e-12],
}


def matrix_for(fabric, n=5, seed=3):
    """Realisable in the fabric; couplings of one sign in `rc`."""
    signed = passive(n, 0.4, seed)
    if fabric == "rc":
        return 2 * np.diag(np.diag(signed)) - np.abs(signed)
    return signed if fabric == "dual_rail" else spd(n, 20.0, seed)


def solved(program, b):
    """A^-1 b as this circuit has it at rest, problem units."""
    matrix = program.matrix
    return np.linalg.solve(matrix.toarray() if sparse.issparse(matrix) else matrix, b)


def drive_of(n):
    return np.random.default_rng(n).standard_normal(n)


@pytest.mark.parametrize(("fabric", "field"), BEFORE)
def test_without_shared_variation_a_seed_means_the_die_that_it_always_meant(fabric, field):
    # At the temperatures that it had then.
    technology = preset("integrated").replace(thermal=Thermal(ambient_rms=2.0, to_hot=1e-4), opamp__power=0.0)
    assert technology.resistors.die_to_die == technology.capacitors.gradient == 0.0
    given = sparse.csr_array(OLD) if fabric == "rc" else np.abs(OLD) * np.where(OLD == -0.3, 1, np.sign(OLD))
    parts = lay_out(given, fabric, technology).on(Die(technology, 7)).parts
    np.testing.assert_allclose(getattr(parts, field).ravel()[[0, -1]], BEFORE[fabric, field], rtol=1e-12)


# Pelgrom's area law


def scatter_of(technology, seed):
    """Standard deviation of ln R over the 7200 crosspoints of one die."""
    nominal = lay_out(np.ones((60, 60)) + 60 * np.eye(60), "crossbar", technology)
    parts = nominal.on(Die(technology, seed)).parts
    return float(np.log(parts.coupling / nominal.parts.coupling).std())


def assert_doubled(large, small):
    """The scatter of `small` is twice that of `large`, within four standard errors of a ratio of deviations of 7200 draws each."""
    assert scatter_of(small, 1) / scatter_of(large, 2) == pytest.approx(2.0, rel=4 * np.sqrt(2 / (2 * 7200)))


def test_a_quarter_of_the_area_doubles_the_mismatch():
    large, small = (IDEAL.replace(resistors__pelgrom_coefficient=1e-8, resistors__area=area) for area in (4e-12, 1e-12))
    assert_doubled(large, small)
    # Negative control: a mismatch that does not know of the area.
    with pytest.raises(AssertionError):
        assert_doubled(IDEAL.replace(resistors__tolerance=0.01), IDEAL.replace(resistors__tolerance=0.01))


def pair_squares(technology, apart, dies=400):
    """ln(R_1 / R_2)^2 of crosspoints and those `apart` columns on, the mean over 8 rows of each die: (dies,)."""
    nominal = lay_out(np.ones((16, 16)) + 16 * np.eye(16), "crossbar", technology)
    found = []
    for seed in range(dies):
        logs = np.log(nominal.on(Die(technology, seed)).parts.coupling[0] / nominal.parts.coupling[0])
        found.append(logs[:8, 0] - logs[:8, apart])
    return np.square(found).mean(axis=1)


@pytest.mark.parametrize("apart", [1, 8, 15])
def test_a_pair_of_resistors_scatters_by_pelgroms_law(apart):
    # 2 % um on 4 um^2, and 3 % from edge to edge; a row of 16 is one side of the die.
    technology = IDEAL.replace(
        resistors__pelgrom_coefficient=2e-8, resistors__area=4e-12, resistors__gradient=0.03, thermal__cells=1
    )
    squares = pair_squares(technology, apart)
    standard_error = squares.std() / np.sqrt(len(squares))
    near, far = (2e-8) ** 2 / 4e-12, (0.03 * apart / 16) ** 2
    assert abs(squares.mean() - near - far) < 4 * standard_error
    # Negative controls: the coefficient taken for a single part's, and, for pairs far apart, no distance in the law.
    wrong = 2 * near + far if apart == 1 else near
    assert abs(squares.mean() - wrong) > 4 * standard_error


def test_offsets_scatter_by_the_area_of_the_input_pair():
    # 5 mV um on 25 um^2: 1 mV, a pair's difference.
    technology = IDEAL.replace(opamp__offset_pelgrom_coefficient=5e-9, opamp__input_area=25e-12)
    parts = lay_out(np.eye(60), "crossbar", technology).on(Die(technology, 2)).parts
    offsets = np.concatenate([parts.offset, parts.inverter_offset])
    error = 4 / np.sqrt(2 * len(offsets))
    assert offsets.std() == pytest.approx(1e-3, rel=error)
    assert offsets.std() != pytest.approx(1e-3 / np.sqrt(2), rel=error)


# What they do to the solution


@pytest.mark.parametrize("fabric", ["crossbar", "crossbar_single"])
@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 6))
def test_die_to_die_variation_leaves_a_crossbars_solution_and_moves_its_time_constants(fabric, seed, n):
    technology = IDEAL.replace(resistors__die_to_die=0.15, capacitors__die_to_die=0.1, opamp__gain=3e4)
    nominal, die = lay_out(matrix_for(fabric, n), fabric, technology), Die(technology, seed)
    program, b = nominal.on(die), drive_of(n)
    x = solved(nominal, b)
    np.testing.assert_allclose(solved(program, b), x, rtol=0, atol=1e-10 * np.abs(x).max())
    middle = np.array(0.5)
    shift = float(die.resistor_shift(middle, middle))
    slower = np.exp(shift + float(die.capacitor_shift(middle, middle)))
    assert program.settling_time == pytest.approx(slower * nominal.settling_time, rel=1e-9)
    # Negative control: the same shift of the matrix resistors alone, with nominal input resistors.
    alone = dataclasses.replace(program, parts=dataclasses.replace(program.parts, drive=nominal.parts.drive))
    moved, size = np.linalg.norm(solved(alone, b) - x), np.linalg.norm(x)
    assert moved == pytest.approx(abs(np.expm1(shift)) * size, rel=0.05, abs=1e-10 * size)


def test_die_to_die_variation_slows_the_netlist_down_and_leaves_where_it_settles():
    # Offsets and finite gain err by the same amount on both dies.
    plain = IDEAL.replace(resistors__tolerance=0.01, opamp__gain=300.0, opamp__offset=1e-3)
    dies = [Die(plain.replace(resistors__die_to_die=0.15, capacitors__die_to_die=0.1), 4), Die(plain, 4)]
    spaces = []
    for die in dies:
        program = lay_out(matrix_for("crossbar"), "crossbar", die.technology).on(die)
        spaces.append(
            state_space(program.netlist(drive_of(5)), {f"x{k}": pair for k, pair in enumerate(program.readouts)})
        )
    middle, die = np.array(0.5), dies[0]
    shift = float(die.resistor_shift(middle, middle) + die.capacitor_shift(middle, middle))
    assert abs(shift) > 0.02
    slow, fast = (np.sort(-1 / space.eigenvalues.real) for space in spaces)
    np.testing.assert_allclose(slow / fast, np.exp(shift), rtol=1e-6)
    np.testing.assert_allclose(spaces[0].equilibrium(), spaces[1].equilibrium(), rtol=1e-9)


@pytest.mark.parametrize("fabric", ["rc", "dual_rail"])
def test_die_to_die_variation_scales_the_solution_where_currents_drive(fabric):
    technology = IDEAL.replace(resistors__die_to_die=0.15)
    nominal, die = lay_out(matrix_for(fabric), fabric, technology), Die(technology, 4)
    shift = float(die.resistor_shift(np.array(0.5), np.array(0.5)))
    assert abs(shift) > 0.02
    np.testing.assert_allclose(
        solved(nominal.on(die), drive_of(5)), np.exp(shift) * solved(nominal, drive_of(5)), rtol=1e-10
    )


def test_a_crossbar_takes_a_gradient_as_a_scale_of_each_unknown():
    # K' = diag(e^-r_i) K diag(e^-c_j), and e^-(r_i + c_edge) for its inputs: x_j by e^(c_j - c_edge), whatever the matrix is.
    technology = IDEAL.replace(resistors__gradient=0.2)
    nominal, die, n = lay_out(matrix_for("crossbar"), "crossbar", technology), Die(technology, 8), 5
    down, across = 0.2 * die.deviates("resistor_gradient", (1, 2))[0]
    assert min(abs(down), abs(across)) > 0.02
    column = (np.arange(n) + 0.5) / n
    x, found = solved(nominal, drive_of(n)), solved(nominal.on(die), drive_of(n))
    np.testing.assert_allclose(found, x * np.exp(across * (column - 1.0)), rtol=1e-10)
    # Negative control: the other direction's slope.
    assert np.abs(found / x - np.exp(down * (column - 1.0))).max() > 0.01


def first_order(program, slopes, b):
    """-A^-1 dA x for ln R + down (row - 1/2) + across (column - 1/2), branch by branch: (i, j), i < j, at row i and column j."""
    n, d, (down, across) = program.size, program.scaling, slopes
    a = program.matrix.toarray() if sparse.issparse(program.matrix) else program.matrix
    network, change = a * np.outer(d, d), np.zeros((n, n))

    def share(row, column):
        return -down * ((row + 0.5) / n - 0.5) - across * ((column + 0.5) / n - 0.5)

    for i in range(n):
        # A resistor to ground is what the couplings leave of the diagonal, and sits on the diagonal.
        change[i, i] += share(i, i) * (network[i, i] - np.abs(np.delete(network[i], i)).sum())
        for j in range(i + 1, n):
            branch = np.zeros(n)
            branch[i], branch[j] = 1.0, np.sign(network[i, j])
            change += share(i, j) * abs(network[i, j]) * np.outer(branch, branch)
    return -np.linalg.solve(a, change / np.outer(d, d) @ solved(program, b))


@pytest.mark.parametrize("fabric", ["rc", "dual_rail"])
def test_a_gradient_distorts_the_solution_by_the_first_order_amount(fabric):
    b, left, swapped = drive_of(5), [], []
    for gradient in (0.04, 0.02):
        technology = IDEAL.replace(resistors__gradient=gradient)
        nominal, die = lay_out(matrix_for(fabric), fabric, technology), Die(technology, 8)
        slopes = gradient * die.deviates("resistor_gradient", (1, 2))[0]
        moved = solved(nominal.on(die), b) - solved(nominal, b)
        left.append(np.linalg.norm(moved - first_order(nominal, slopes, b)))
        swapped.append(np.linalg.norm(moved - first_order(nominal, slopes[::-1], b)))
    assert left[0] / left[1] == pytest.approx(4.0, rel=0.1)
    # Negative control: with rows and columns exchanged the remainder is of first order.
    assert swapped[0] / swapped[1] == pytest.approx(2.0, rel=0.1)
    assert swapped[0] > 10 * left[0]


# One seed, one die


@pytest.mark.parametrize("fabric", FABRICS)
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 6))
def test_the_netlist_has_the_dies_parts(fabric, seed, n):
    technology = ALL.replace(opamp__gbw=1e9)
    program = lay_out(matrix_for(fabric, n), fabric, technology).on(Die(technology, seed))
    parts, netlist = program.parts, program.netlist()
    coupling = parts.coupling if fabric == "rc" else parts.coupling * np.abs(parts.polarity)
    if fabric == "dual_rail":
        coupling = np.triu(coupling, 1)
    used = (parts.polarity < 0).any(axis=0) if fabric == "crossbar_single" else np.zeros(n, dtype=bool)
    others = [parts.ground] if parts.drive_nominal == 0 else [parts.drive, parts.inverter[:, used]]
    if fabric == "oscillator":
        others += [parts.friction, parts.link, 1 / parts.series]
    conductances = np.concatenate([values.ravel() for values in (coupling, *others)])
    # But those of the amplifiers.
    found = [part.resistance for part in netlist.of(Resistor) if not part.name.startswith("RA")]
    np.testing.assert_allclose(np.sort(found), np.sort(1 / conductances[conductances > 0]), rtol=1e-14)
    storage = parts.storage if fabric == "rc" else parts.capacitance
    if fabric == "oscillator":
        storage = np.concatenate([storage, parts.velocity_capacitance])
    found = [part.capacitance for part in netlist.of(Capacitor) if not part.name.startswith("CA")]
    np.testing.assert_allclose(np.sort(found), np.sort(storage.ravel()), rtol=1e-14)


@pytest.mark.parametrize("fabric", FABRICS)
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 6))
def test_every_part_has_the_variation_gradient_and_mismatch_of_its_place(fabric, seed, n):
    technology = ALL.replace(opamp__gbw=1e9)
    nominal, die = lay_out(matrix_for(fabric, n), fabric, technology), Die(technology, seed)
    parts, place = nominal.on(die).parts, (np.arange(n) + 0.5) / n
    shared = 0.15 * die.deviates("resistor_die_to_die", (1, 1))[0, 0]
    down, across = 0.05 * die.deviates("resistor_gradient", (1, 2))[0]

    def expected(row, column, deviate):
        return shared + down * (row - 0.5) + across * (column - 0.5) + 0.02 * deviate

    def logs(field):
        with np.errstate(invalid="ignore"):
            return np.log(getattr(nominal.parts, field) / getattr(parts, field))

    rails = len(parts.ground)
    if fabric == "rc":
        deviate = die.deviates("coupling", (rails, n, n))[:, parts.first, parts.second]
        wanted = expected(place[parts.first], place[parts.second], deviate)
    else:
        deviate = die.deviates("coupling", (rails, n, n))
        wanted = expected(place[:, None], place[None, :], deviate)
        if fabric == "dual_rail":
            wanted = np.where(np.triu(np.ones((n, n))) > 0, wanted, wanted.transpose(0, 2, 1))
    present = nominal.parts.coupling > 0
    np.testing.assert_allclose(logs("coupling")[present], wanted[present], atol=1e-12)
    if parts.drive_nominal:
        for field, shape in (("drive", (rails, n)), ("inverter", (2, n))):
            np.testing.assert_allclose(logs(field), expected(place, 1.0, die.deviates(field, shape)), atol=1e-12)
    else:
        grounded = nominal.parts.ground > 0
        wanted = expected(place, place, die.deviates("ground", (rails, n)))
        np.testing.assert_allclose(logs("ground")[grounded], wanted[grounded], atol=1e-12)
    for field, sign in (("friction", 1), ("link", 1), ("series", -1)) if fabric == "oscillator" else ():
        np.testing.assert_allclose(sign * logs(field), expected(place, 1.0, die.deviates(field, (2, n))), atol=1e-12)
    down, across = 0.03 * die.deviates("capacitor_gradient", (1, 2))[0]
    shared = 0.1 * die.deviates("capacitor_die_to_die", (1, 1))[0, 0]
    column = np.ones(n) if parts.drive_nominal else place
    middle = shared + down * (place - 0.5) + across * (column - 0.5)
    fields = {"storage" if fabric == "rc" else "capacitance": "capacitor"}
    if fabric == "oscillator":
        fields["velocity_capacitance"] = "velocity_capacitor"
    for field, part in fields.items():
        np.testing.assert_allclose(-logs(field), middle + 0.01 * die.deviates(part, (rails, n)), atol=1e-12)


@pytest.mark.parametrize("fabric", ["lc", "spu"])
def test_inductors_capacitors_and_damping_vary_by_their_own_figures(fabric):
    technology = ALL.replace(inductors__tolerance=0.03, inductors__die_to_die=0.2, inductors__gradient=0.06)
    nominal, die = lay_out(matrix_for("dual_rail" if fabric == "lc" else "rc"), fabric, technology), Die(technology, 4)
    parts, place, rails = nominal.on(die).parts, (np.arange(5) + 0.5) / 5, nominal.parts.rails
    figures = {"inductor": (0.03, 0.2, 0.06), "capacitor": (0.01, 0.1, 0.03), "resistor": (0.02, 0.15, 0.05)}

    def expected(kind, part, row, column):
        """ln(value / nominal), of inductances, capacitances and resistances."""
        (own, shared, slope), draws = (
            figures[kind],
            die.deviates(part, (rails, 5, 5) if part == "coupling" else (rails, 5)),
        )
        down, across = slope * die.deviates(f"{kind}_gradient", (1, 2))[0]
        deviate = draws[:, parts.first, parts.second] if part == "coupling" else draws
        middle = shared * die.deviates(f"{kind}_die_to_die", (1, 1))[0, 0]
        return middle + down * (row - 0.5) + across * (column - 0.5) + own * deviate

    def logs(field):
        return np.log(getattr(parts, field) / getattr(nominal.parts, field))

    sign, stored = {"lc": (-1, "capacitor"), "spu": (1, "inductor")}[fabric]
    coupled = expected(parts.kind, "coupling", place[parts.first], place[parts.second])
    np.testing.assert_allclose(sign * logs("coupling"), coupled, atol=1e-12)
    np.testing.assert_allclose(sign * logs("ground"), expected(parts.kind, "ground", place, place), atol=1e-12)
    np.testing.assert_allclose(logs("storage"), expected(stored, stored, place, place), atol=1e-12)
    np.testing.assert_allclose(-logs("shunt"), expected("resistor", "damping", place, place), atol=1e-12)
    # A card's figure in place of the technology's.
    other = nominal.on(die, inductor_mismatch=0.0).parts
    part, field = ("inductor", "storage") if fabric == "spu" else ("ground", "ground")
    np.testing.assert_allclose(
        sign ** (fabric == "lc") * np.log(getattr(parts, field) / getattr(other, field)),
        0.03 * die.deviates(part, (rails, 5)),
    )
    deviant = {kind for kind, *_ in deviations(nominal).values()}
    assert deviant == {"inductor", "capacitor", "resistor"}


@pytest.mark.parametrize("fabric", ["lc", "spu"])
def test_tolerances_of_inductive_cells_move_the_inverse_as_first_order_says(fabric):
    """The report's error over dies against its sensitivities: in `lc` a cell's inductor to ground is what is read by, too."""
    technology = IDEAL.replace(inductors__tolerance=2e-3, capacitors__tolerance=2e-3)
    program = lay_out(matrix_for("dual_rail" if fabric == "lc" else "rc"), fabric, technology)
    # Some ten parts matter, of which squares over 100 dies scatter by sqrt(2 / 1000) at least.
    found, first_order = die_yield(program, dies=100).parts.rms, sensitivities(program).tolerance_error
    assert found == pytest.approx(first_order, rel=0.15)


@pytest.mark.parametrize("fabric", FABRICS)
def test_programmed_conductances_age_by_the_dies_own_deviates_and_nothing_else_does(fabric):
    n, die = 5, Die(ALL, 3)
    parts = lay_out(matrix_for(fabric, n), fabric, ALL).parts
    later, rails = parts.aged(die, lambda z: np.exp(-0.1 - 0.02 * z)), parts.rails
    z = die.deviates("coupling_conductance_drift", (rails, n, n))
    if fabric == "rc":
        z = z[:, parts.first, parts.second]
    elif fabric == "dual_rail":  # one resistor joins i and j
        z = np.where(np.triu(np.ones((n, n))) > 0, z, z.transpose(0, 2, 1))
    np.testing.assert_allclose(later.coupling, parts.coupling * np.exp(-0.1 - 0.02 * z), rtol=1e-12)
    z = die.deviates("ground_conductance_drift", (rails, n))
    np.testing.assert_allclose(later.ground, parts.ground * np.exp(-0.1 - 0.02 * z), rtol=1e-12)
    for field in ("storage",) if fabric == "rc" else ("drive", "capacitance", "inverter"):
        np.testing.assert_array_equal(getattr(later, field), getattr(parts, field))
    coils = lay_out(matrix_for("rc", n), "lc", ALL).parts
    assert coils.aged(die, np.exp) is coils


def test_any_number_of_workers_makes_the_same_netlists():
    nominal, dies = lay_out(matrix_for("crossbar"), "crossbar", ALL), [Die(ALL, seed) for seed in range(4)]
    texts = [
        [program.to_spice() for program in Parallel(n_jobs=workers)(delayed(nominal.on)(die) for die in dies)]
        for workers in (1, 2)
    ]
    assert texts[0] == texts[1]
    assert len(set(texts[0])) == len(dies)
