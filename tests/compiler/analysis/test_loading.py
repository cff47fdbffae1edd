import numpy as np
import pytest

from thermograd import compile_matrix
from thermograd.circuits.amplifiers.models import Macromodel
from thermograd.circuits.netlist.analyses import OperatingPoint
from thermograd.circuits.ngspice.run import run
from thermograd.circuits.technology import preset
from thermograd.compiler.analysis import loaded_matrix
from thermograd.devicemodel.calibration.cases import random_system


@pytest.mark.parametrize(("rails", "ohm", "tolerance"), [(2, 0.0, 1e-5), (2, 2e3, 1e-5), (1, 2e3, 0.02)])
def test_the_solution_of_loaded_amplifiers_is_ngspices(rails: int, ohm: float, tolerance: float) -> None:
    """Differential exactly; of single-ended arrays the inverters' loss is that of the most loaded one."""
    technology = preset("integrated").replace(
        opamp__outputs=rails,
        opamp__output_resistance=ohm,
        opamp__output_current=float("inf"),
        opamp__supply=1.0,
        opamp__gain=500.0,
        opamp__noise_voltage=0.0,
    )
    system = random_system(6, 10.0, False, np.random.default_rng(3))
    program = compile_matrix(system, "crossbar" if rails == 2 else "crossbar_single", technology)
    b = np.random.default_rng(1).standard_normal(6) * 1e-2
    netlist = program.netlist(b, amplifier=Macromodel(technology.opamp))
    found = program.decode(run(netlist, OperatingPoint(nodes=program.nodes)).voltages)
    exact = np.linalg.solve(program.emitted_matrix, b)
    wanted = np.linalg.solve(loaded_matrix(program), b)
    assert np.abs(found - wanted).max() < tolerance * np.abs(wanted).max()
    if ohm:  # negative control: without the output resistance the gain that is lost is missing
        assert np.abs(found - exact).max() > 10 * np.abs(found - wanted).max()
