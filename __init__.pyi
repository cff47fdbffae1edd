from . import circuits as circuits
from . import compiler as compiler
from . import devicemodel as devicemodel
from . import optim as optim
from .circuits.amplifiers.characterise import characterise as characterise
from .circuits.amplifiers.models import Macromodel as Macromodel
from .circuits.amplifiers.user_netlist import Amplifier as Amplifier
from .circuits.errors import InputError as InputError
from .circuits.errors import SimulatorMissing as SimulatorMissing
from .circuits.errors import ThermogradError as ThermogradError
from .circuits.errors import UnrealisableError as UnrealisableError
from .circuits.netlist.analyses import AC as AC
from .circuits.netlist.analyses import Noise as Noise
from .circuits.netlist.analyses import OperatingPoint as OperatingPoint
from .circuits.netlist.analyses import Transient as Transient
from .circuits.netlist.elements import CCCS as CCCS
from .circuits.netlist.elements import CCVS as CCVS
from .circuits.netlist.elements import VCCS as VCCS
from .circuits.netlist.elements import VCVS as VCVS
from .circuits.netlist.elements import Capacitor as Capacitor
from .circuits.netlist.elements import CurrentSource as CurrentSource
from .circuits.netlist.elements import Inductor as Inductor
from .circuits.netlist.elements import Resistor as Resistor
from .circuits.netlist.elements import VoltageSource as VoltageSource
from .circuits.netlist.netlist import Netlist as Netlist
from .circuits.ngspice.run import run as run
from .circuits.spice.read import read_spice as read_spice
from .circuits.technology.die import Die as Die
from .circuits.technology.presets import preset as preset
from .circuits.technology.technology import Technology as Technology
from .circuits.version import __version__ as __version__
from .compiler.compile import compile_matrix as compile_matrix
from .compiler.compile import compile_system as compile_system
from .compiler.ensemble import compile_ensemble as compile_ensemble
from .compiler.program import AnalogProgram as AnalogProgram
from .compiler.program_io import load_program as load_program
from .devicemodel.batch.die_batch import DieBatch as DieBatch
from .devicemodel.calibration.measured.calibrate import calibrate_from_measurements as calibrate_from_measurements
from .devicemodel.calibration.measured.result import Prior as Prior
from .devicemodel.calibration.simulated import calibrate as calibrate
from .devicemodel.card import DeviceCard as DeviceCard
from .devicemodel.card import shipped_card as shipped_card
from .devicemodel.cascade.device import CascadeDevice as CascadeDevice
from .devicemodel.device import Outcome as Outcome
from .devicemodel.device import Solution as Solution
from .devicemodel.devices.ideal import IdealDevice as IdealDevice
from .devicemodel.devices.spice import SpiceDevice as SpiceDevice
from .devicemodel.devices.surrogate import SurrogateDevice as SurrogateDevice
from .devicemodel.devices.tile import AnalogTile as AnalogTile
from .devicemodel.host.readout import ReadOut as ReadOut
from .devicemodel.host.refine import Refined as Refined
from .devicemodel.systems import Dense as Dense
from .devicemodel.systems import Kronecker as Kronecker
from .devicemodel.systems import LowRank as LowRank
from .optim.codesign.studies import study as study
from .optim.curvature.residuals.derivatives import gradient as gradient
from .optim.curvature.residuals.derivatives import laplacian as laplacian
from .optim.curvature.residuals.derivatives import second_derivative as second_derivative
from .optim.curvature.residuals.derivatives import value_and_gradient as value_and_gradient
from .optim.curvature.residuals.derivatives import value_gradient_laplacian as value_gradient_laplacian
from .optim.curvature.residuals.residual_loss import ResidualLoss as ResidualLoss
from .optim.optimizers.damping import LevenbergMarquardt as LevenbergMarquardt
from .optim.optimizers.kfac import KFAC as KFAC
from .optim.optimizers.ngd import NGD as NGD
from .optim.optimizers.ngd import NGDCG as NGDCG
from .optim.optimizers.ngd import NGDWoodbury as NGDWoodbury
from .optim.optimizers.tngd import TNGD as TNGD
from .optim.tasks.registry import make_task as make_task
from .optim.training.train import train as train

__all__ = [
    "AC",
    "CCCS",
    "CCVS",
    "KFAC",
    "NGD",
    "NGDCG",
    "TNGD",
    "VCCS",
    "VCVS",
    "Amplifier",
    "AnalogProgram",
    "AnalogTile",
    "Capacitor",
    "CascadeDevice",
    "CurrentSource",
    "Dense",
    "DeviceCard",
    "Die",
    "DieBatch",
    "IdealDevice",
    "Inductor",
    "InputError",
    "Kronecker",
    "LevenbergMarquardt",
    "LowRank",
    "Macromodel",
    "NGDWoodbury",
    "Netlist",
    "Noise",
    "OperatingPoint",
    "Outcome",
    "Prior",
    "ReadOut",
    "Refined",
    "ResidualLoss",
    "Resistor",
    "SimulatorMissing",
    "Solution",
    "SpiceDevice",
    "SurrogateDevice",
    "Technology",
    "ThermogradError",
    "Transient",
    "UnrealisableError",
    "VoltageSource",
    "__version__",
    "calibrate",
    "calibrate_from_measurements",
    "characterise",
    "circuits",
    "compile_ensemble",
    "compile_matrix",
    "compile_system",
    "compiler",
    "devicemodel",
    "gradient",
    "laplacian",
    "load_program",
    "make_task",
    "optim",
    "preset",
    "read_spice",
    "run",
    "second_derivative",
    "shipped_card",
    "study",
    "train",
    "value_and_gradient",
    "value_gradient_laplacian",
]
