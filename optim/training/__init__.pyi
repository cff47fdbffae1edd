from .curvature_systems import CurvatureSystem as CurvatureSystem
from .curvature_systems import RecordingDevice as RecordingDevice
from .curvature_systems import curvature_systems as curvature_systems
from .error_budget import training_error_budget as training_error_budget
from .landscape import Landscape as Landscape
from .landscape import Plane as Plane
from .landscape import landscape as landscape
from .landscape import principal_plane as principal_plane
from .landscape import random_plane as random_plane
from .train import History as History
from .train import settings_for as settings_for
from .train import train as train
from .trajectory import Trajectory as Trajectory
from .trajectory import follow as follow

__all__ = [
    "CurvatureSystem",
    "History",
    "Landscape",
    "Plane",
    "RecordingDevice",
    "Trajectory",
    "curvature_systems",
    "follow",
    "landscape",
    "principal_plane",
    "random_plane",
    "settings_for",
    "train",
    "training_error_budget",
]
