from .curvature_systems import CurvatureSystem as CurvatureSystem
from .curvature_systems import RecordingDevice as RecordingDevice
from .curvature_systems import curvature_systems as curvature_systems
from .device_choice import DeviceChoice as DeviceChoice
from .die_trainings import train_dies as train_dies
from .error_budget import training_error_budget as training_error_budget
from .experiment import Experiment as Experiment
from .experiment import Run as Run
from .experiment import run_experiment as run_experiment
from .experiment_result import ExperimentResult as ExperimentResult
from .experiment_result import RunResult as RunResult
from .hardware_time import measured_network as measured_network
from .hardware_time import modelled_cost as modelled_cost
from .hardware_time import solve_cost as solve_cost
from .landscape import Landscape as Landscape
from .landscape import Plane as Plane
from .landscape import landscape as landscape
from .landscape import principal_plane as principal_plane
from .landscape import random_plane as random_plane
from .metrics import write_metrics as write_metrics
from .train import History as History
from .train import settings_for as settings_for
from .train import train as train
from .trajectory import Trajectory as Trajectory
from .trajectory import follow as follow

__all__ = [
    "CurvatureSystem",
    "DeviceChoice",
    "Experiment",
    "ExperimentResult",
    "History",
    "Landscape",
    "Plane",
    "RecordingDevice",
    "Run",
    "RunResult",
    "Trajectory",
    "curvature_systems",
    "follow",
    "landscape",
    "measured_network",
    "modelled_cost",
    "principal_plane",
    "random_plane",
    "run_experiment",
    "settings_for",
    "solve_cost",
    "train",
    "train_dies",
    "training_error_budget",
]
