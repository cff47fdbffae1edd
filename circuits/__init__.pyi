from .amplifiers.characterise import Characterisation as Characterisation
from .amplifiers.characterise import characterise as characterise
from .amplifiers.common_mode import CommonModeLoop as CommonModeLoop
from .amplifiers.conditions import Condition as Condition
from .amplifiers.conditions import over_conditions as over_conditions
from .amplifiers.models import AmplifierCell as AmplifierCell
from .amplifiers.models import Macromodel as Macromodel
from .amplifiers.models import OnePole as OnePole
from .amplifiers.process_amplifier import process_amplifier as process_amplifier
from .amplifiers.sensitivities import AmplifierSensitivities as AmplifierSensitivities
from .amplifiers.sensitivities import MismatchBench as MismatchBench
from .amplifiers.sensitivities import amplifier_sensitivities as amplifier_sensitivities
from .amplifiers.user_netlist import Amplifier as Amplifier
from .errors import InputError as InputError
from .errors import NetlistError as NetlistError
from .errors import SchedulerMissing as SchedulerMissing
from .errors import SimulationError as SimulationError
from .errors import SimulationTimeout as SimulationTimeout
from .errors import SimulatorMissing as SimulatorMissing
from .errors import ThermogradError as ThermogradError
from .errors import UnrealisableError as UnrealisableError
from .errors import WorkerDied as WorkerDied
from .job_store import JobStore as JobStore
from .job_store import job_key as job_key
from .linear.descriptor import Descriptor as Descriptor
from .linear.descriptor import describe_netlist as describe_netlist
from .linear.johnson import NoiseCurrents as NoiseCurrents
from .linear.johnson import johnson_currents as johnson_currents
from .linear.noise_paths import NoisePath as NoisePath
from .linear.noise_paths import noise_path as noise_path
from .linear.noise_spectra import NoiseSpectrum as NoiseSpectrum
from .linear.noise_spectra import noise_covariance as noise_covariance
from .linear.noise_spectra import noise_spectrum as noise_spectrum
from .linear.statespace import StateSpace as StateSpace
from .linear.statespace import state_space as state_space
from .netlist.analyses import AC as AC
from .netlist.analyses import ACResult as ACResult
from .netlist.analyses import Noise as Noise
from .netlist.analyses import NoiseResult as NoiseResult
from .netlist.analyses import OperatingPoint as OperatingPoint
from .netlist.analyses import OperatingPointResult as OperatingPointResult
from .netlist.analyses import Transient as Transient
from .netlist.analyses import TransientResult as TransientResult
from .netlist.elements import CCCS as CCCS
from .netlist.elements import CCVS as CCVS
from .netlist.elements import VCCS as VCCS
from .netlist.elements import VCVS as VCVS
from .netlist.elements import Capacitor as Capacitor
from .netlist.elements import CurrentSource as CurrentSource
from .netlist.elements import Element as Element
from .netlist.elements import Inductor as Inductor
from .netlist.elements import Resistor as Resistor
from .netlist.elements import VoltageSource as VoltageSource
from .netlist.limiting import Clamp as Clamp
from .netlist.limiting import SaturatingVCCS as SaturatingVCCS
from .netlist.mutual_inductance import MutualInductance as MutualInductance
from .netlist.netlist import Netlist as Netlist
from .netlist.semiconductors import BipolarTransistor as BipolarTransistor
from .netlist.semiconductors import DeviceModel as DeviceModel
from .netlist.semiconductors import Diode as Diode
from .netlist.semiconductors import Mosfet as Mosfet
from .netlist.semiconductors import Switch as Switch
from .ngspice.farm import Job as Job
from .ngspice.farm import run_farm as run_farm
from .ngspice.run import run as run
from .ngspice.run_many import run_many as run_many
from .parallel import parallel_map as parallel_map
from .spice.read import parse_spice as parse_spice
from .spice.read import read_spice as read_spice
from .technology.converters import Converter as Converter
from .technology.converters import Link as Link
from .technology.die import Die as Die
from .technology.mismatch import draw_mismatch as draw_mismatch
from .technology.mismatch import transistors_of as transistors_of
from .technology.mismatch import with_mismatch as with_mismatch
from .technology.parts import Capacitors as Capacitors
from .technology.parts import Inductors as Inductors
from .technology.parts import OpAmp as OpAmp
from .technology.parts import Resistors as Resistors
from .technology.parts import Switches as Switches
from .technology.parts import Thermal as Thermal
from .technology.parts import Variation as Variation
from .technology.parts import Wires as Wires
from .technology.pdk.corners import at_corner as at_corner
from .technology.pdk.pelgrom import Pelgrom as Pelgrom
from .technology.pdk.process_record import Process as Process
from .technology.pdk.registry import process as process
from .technology.presets import as_technology as as_technology
from .technology.presets import preset as preset
from .technology.presets import thermal_preset as thermal_preset
from .technology.technology import Technology as Technology
from .technology.transistor_mismatch import TransistorMismatch as TransistorMismatch

__all__ = [
    "AC",
    "CCCS",
    "CCVS",
    "VCCS",
    "VCVS",
    "ACResult",
    "Amplifier",
    "AmplifierCell",
    "AmplifierSensitivities",
    "BipolarTransistor",
    "Capacitor",
    "Capacitors",
    "Characterisation",
    "Clamp",
    "CommonModeLoop",
    "Condition",
    "Converter",
    "CurrentSource",
    "Descriptor",
    "DeviceModel",
    "Die",
    "Diode",
    "Element",
    "Inductor",
    "Inductors",
    "InputError",
    "Job",
    "JobStore",
    "Link",
    "Macromodel",
    "MismatchBench",
    "Mosfet",
    "MutualInductance",
    "Netlist",
    "NetlistError",
    "Noise",
    "NoiseCurrents",
    "NoisePath",
    "NoiseResult",
    "NoiseSpectrum",
    "OnePole",
    "OpAmp",
    "OperatingPoint",
    "OperatingPointResult",
    "Pelgrom",
    "Process",
    "Resistor",
    "Resistors",
    "SaturatingVCCS",
    "SchedulerMissing",
    "SimulationError",
    "SimulationTimeout",
    "SimulatorMissing",
    "StateSpace",
    "Switch",
    "Switches",
    "Technology",
    "Thermal",
    "ThermogradError",
    "Transient",
    "TransientResult",
    "TransistorMismatch",
    "UnrealisableError",
    "Variation",
    "VoltageSource",
    "Wires",
    "WorkerDied",
    "amplifier_sensitivities",
    "as_technology",
    "at_corner",
    "characterise",
    "describe_netlist",
    "draw_mismatch",
    "job_key",
    "johnson_currents",
    "noise_covariance",
    "noise_path",
    "noise_spectrum",
    "over_conditions",
    "parallel_map",
    "parse_spice",
    "preset",
    "process",
    "process_amplifier",
    "read_spice",
    "run",
    "run_farm",
    "run_many",
    "state_space",
    "thermal_preset",
    "transistors_of",
    "with_mismatch",
]
