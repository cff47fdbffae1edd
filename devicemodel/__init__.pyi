from .batch.die_batch import DieBatch as DieBatch
from .batch.own_systems import OwnSystems as OwnSystems
from .calibration.cases import random_system as random_system
from .calibration.evidence import Calibration as Calibration
from .calibration.evidence import Comparison as Comparison
from .calibration.evidence import explained_variance as explained_variance
from .calibration.identifiability import Unidentifiable as Unidentifiable
from .calibration.measured.advice.next_measurements import Candidate as Candidate
from .calibration.measured.advice.next_measurements import next_measurements as next_measurements
from .calibration.measured.advice.suspicions import Suspicion as Suspicion
from .calibration.measured.advice.suspicions import suspicions as suspicions
from .calibration.measured.calibrate import calibrate_from_measurements as calibrate_from_measurements
from .calibration.measured.calibrate import check_measurements as check_measurements
from .calibration.measured.formats.read import read_bench_file as read_bench_file
from .calibration.measured.measurements import Measurements as Measurements
from .calibration.measured.measurements import read_measurements as read_measurements
from .calibration.measured.result import Check as Check
from .calibration.measured.result import CircuitCalibration as CircuitCalibration
from .calibration.measured.result import Prior as Prior
from .calibration.measured.result import Verdict as Verdict
from .calibration.simulated import calibrate as calibrate
from .calibration.simulated import calibrate_with_evidence as calibrate_with_evidence
from .card import DeviceCard as DeviceCard
from .card import shipped_card as shipped_card
from .card_files import card_kind as card_kind
from .cascade.device import CascadeDevice as CascadeDevice
from .cost.compiled import compiled_array as compiled_array
from .cost.digital_host import DigitalHost as DigitalHost
from .cost.model import Scenario as Scenario
from .cost.model import StepTime as StepTime
from .cost.model import step_cost as step_cost
from .cost.model import step_time as step_time
from .cost.refinement import ReadingPlan as ReadingPlan
from .cost.solver_array import SolverArray as SolverArray
from .cost.step import StepCost as StepCost
from .cost.sweeps import Handover as Handover
from .cost.sweeps import handovers as handovers
from .cost.sweeps import sweep as sweep
from .datasheet.conditions import DatasheetConditions as DatasheetConditions
from .datasheet.datasheet import make_datasheet as make_datasheet
from .datasheet.specification import Specification as Specification
from .device import BatchSolution as BatchSolution
from .device import Device as Device
from .device import DeviceBatch as DeviceBatch
from .device import Outcome as Outcome
from .device import Refinement as Refinement
from .device import Solution as Solution
from .device import SolvesMany as SolvesMany
from .device import solve_many as solve_many
from .device_like import as_device as as_device
from .devices.cell_measurement import measure_cells as measure_cells
from .devices.ideal import IdealDevice as IdealDevice
from .devices.spice import SpiceDevice as SpiceDevice
from .devices.surrogate import SurrogateDevice as SurrogateDevice
from .devices.tile import AnalogTile as AnalogTile
from .error_budget.budget import ErrorBudget as ErrorBudget
from .error_budget.budget import Problem as Problem
from .error_budget.budget import error_budget as error_budget
from .error_budget.hardware import Hardware as Hardware
from .estimate import Estimate as Estimate
from .held_out import HeldOut as HeldOut
from .host.board import Board as Board
from .host.board import Voltages as Voltages
from .host.hosted_device import HostedDevice as HostedDevice
from .host.kronecker_columns import KroneckerColumns as KroneckerColumns
from .host.kronecker_columns import factored_damping as factored_damping
from .host.probe import Probe as Probe
from .host.readout import ReadOut as ReadOut
from .host.refine import Refined as Refined
from .laboratory.board_driver import BoardDescription as BoardDescription
from .laboratory.board_driver import BoardDriver as BoardDriver
from .laboratory.board_driver import BoardError as BoardError
from .laboratory.card import HeldOutError as HeldOutError
from .laboratory.card import LaboratoryCard as LaboratoryCard
from .laboratory.card import MeasuredSolution as MeasuredSolution
from .laboratory.card import read_card as read_card
from .laboratory.fixed_board import BoardInput as BoardInput
from .laboratory.fixed_board import FixedBoard as FixedBoard
from .laboratory.measured_device import MeasuredDevice as MeasuredDevice
from .laboratory.measured_die import MeasuredDie as MeasuredDie
from .laboratory.programmed_board import ProgrammedBoard as ProgrammedBoard
from .limits.contraction_law import Contraction as Contraction
from .limits.contraction_law import contraction as contraction
from .limits.contraction_law import rounds_to as rounds_to
from .limits.dies import DieContraction as DieContraction
from .limits.dies import contraction_of_dies as contraction_of_dies
from .limits.imperfections import Imperfections as Imperfections
from .limits.outlook import Outlook as Outlook
from .limits.outlook import refinement_outlook as refinement_outlook
from .limits.walls import SmallestDamping as SmallestDamping
from .limits.walls import smallest_damping as smallest_damping
from .ou.doubling import Transition as Transition
from .ou.doubling import transition as transition
from .ou.gaussian import Gaussian as Gaussian
from .ou.process import OU as OU
from .ou.process import PiecewiseConstant as PiecewiseConstant
from .sampling.covariance_device import CovarianceDevice as CovarianceDevice
from .sampling.covariance_device import InverseEstimate as InverseEstimate
from .sampling.sampling_law import SamplingLaw as SamplingLaw
from .sampling.spice_covariance import SpiceCovarianceDevice as SpiceCovarianceDevice
from .systems import Dense as Dense
from .systems import Implicit as Implicit
from .systems import Kronecker as Kronecker
from .systems import LowRank as LowRank
from .systems import RowProducts as RowProducts
from .validity import Validity as Validity

__all__ = [
    "OU",
    "AnalogTile",
    "BatchSolution",
    "Board",
    "BoardDescription",
    "BoardDriver",
    "BoardError",
    "BoardInput",
    "Calibration",
    "Candidate",
    "CascadeDevice",
    "Check",
    "CircuitCalibration",
    "Comparison",
    "Contraction",
    "CovarianceDevice",
    "DatasheetConditions",
    "Dense",
    "Device",
    "DeviceBatch",
    "DeviceCard",
    "DieBatch",
    "DieContraction",
    "DigitalHost",
    "ErrorBudget",
    "Estimate",
    "FixedBoard",
    "Gaussian",
    "Handover",
    "Hardware",
    "HeldOut",
    "HeldOutError",
    "HostedDevice",
    "IdealDevice",
    "Imperfections",
    "Implicit",
    "InverseEstimate",
    "Kronecker",
    "KroneckerColumns",
    "LaboratoryCard",
    "LowRank",
    "MeasuredDevice",
    "MeasuredDie",
    "MeasuredSolution",
    "Measurements",
    "Outcome",
    "Outlook",
    "OwnSystems",
    "PiecewiseConstant",
    "Prior",
    "Probe",
    "Problem",
    "ProgrammedBoard",
    "ReadOut",
    "ReadingPlan",
    "Refined",
    "Refinement",
    "RowProducts",
    "SamplingLaw",
    "Scenario",
    "SmallestDamping",
    "Solution",
    "SolverArray",
    "SolvesMany",
    "Specification",
    "SpiceCovarianceDevice",
    "SpiceDevice",
    "StepCost",
    "StepTime",
    "SurrogateDevice",
    "Suspicion",
    "Transition",
    "Unidentifiable",
    "Validity",
    "Verdict",
    "Voltages",
    "as_device",
    "calibrate",
    "calibrate_from_measurements",
    "calibrate_with_evidence",
    "card_kind",
    "check_measurements",
    "compiled_array",
    "contraction",
    "contraction_of_dies",
    "error_budget",
    "explained_variance",
    "factored_damping",
    "handovers",
    "make_datasheet",
    "measure_cells",
    "next_measurements",
    "random_system",
    "read_bench_file",
    "read_card",
    "read_measurements",
    "refinement_outlook",
    "rounds_to",
    "shipped_card",
    "smallest_damping",
    "solve_many",
    "step_cost",
    "step_time",
    "suspicions",
    "sweep",
    "transition",
]
