from .codesign.knobs.design_point import DesignPoint as DesignPoint
from .codesign.knobs.knob import Knob as Knob
from .codesign.knobs.registry import KNOBS as KNOBS
from .codesign.outcomes.solve_level import SolveLevel as SolveLevel
from .codesign.outcomes.training_level import TrainingLevel as TrainingLevel
from .codesign.plans.plan import StudyPlan as StudyPlan
from .codesign.plans.plan import read_plan as read_plan
from .codesign.plans.run import run_plan as run_plan
from .codesign.plans.table import read_table as read_table
from .codesign.studies import study as study
from .codesign.study_result import Study as Study
from .codesign.study_result import StudyRow as StudyRow
from .codesign.study_result import StudyRun as StudyRun
from .codesign.study_result import StudyScore as StudyScore
from .codesign.yields.die_yield import die_yield as die_yield
from .codesign.yields.level_score import LevelScore as LevelScore
from .codesign.yields.margins import margins as margins
from .codesign.yields.sensitivity import sensitivities as sensitivities
from .codesign.yields.target import Limit as Limit
from .curvature.batch import evaluate as evaluate
from .curvature.curvature import Curvature as Curvature
from .curvature.residuals.derivatives import gradient as gradient
from .curvature.residuals.derivatives import laplacian as laplacian
from .curvature.residuals.derivatives import second_derivative as second_derivative
from .curvature.residuals.derivatives import value_and_gradient as value_and_gradient
from .curvature.residuals.derivatives import value_gradient_laplacian as value_gradient_laplacian
from .curvature.residuals.residual_loss import ResidualLoss as ResidualLoss
from .optimizers.base import NaturalGradient as NaturalGradient
from .optimizers.config import NaturalGradientConfig as NaturalGradientConfig
from .optimizers.damping import LevenbergMarquardt as LevenbergMarquardt
from .optimizers.kfac import KFAC as KFAC
from .optimizers.ngd import NGD as NGD
from .optimizers.ngd import NGDCG as NGDCG
from .optimizers.ngd import NGDWoodbury as NGDWoodbury
from .optimizers.registry import OPTIMIZERS as OPTIMIZERS
from .optimizers.registry import make_optimizer as make_optimizer
from .optimizers.step import StepRecord as StepRecord
from .optimizers.tngd import TNGD as TNGD
from .tasks.classification import Classification as Classification
from .tasks.digits import digits as digits
from .tasks.mnist import mnist as mnist
from .tasks.poisson import poisson as poisson
from .tasks.registry import TASKS as TASKS
from .tasks.registry import make_task as make_task
from .tasks.squad import squad as squad
from .tasks.task import Plan as Plan
from .tasks.task import Score as Score
from .tasks.task import Task as Task
from .training.curvature_systems import CurvatureSystem as CurvatureSystem
from .training.curvature_systems import RecordingDevice as RecordingDevice
from .training.curvature_systems import curvature_systems as curvature_systems
from .training.device_choice import DeviceChoice as DeviceChoice
from .training.die_trainings import train_dies as train_dies
from .training.error_budget import training_error_budget as training_error_budget
from .training.experiment import Experiment as Experiment
from .training.experiment import Run as Run
from .training.experiment import run_experiment as run_experiment
from .training.experiment_result import ExperimentResult as ExperimentResult
from .training.experiment_result import RunResult as RunResult
from .training.landscape import Landscape as Landscape
from .training.landscape import landscape as landscape
from .training.train import History as History
from .training.train import settings_for as settings_for
from .training.train import train as train
from .training.trajectory import Trajectory as Trajectory
from .training.trajectory import follow as follow

__all__ = [
    "KFAC",
    "KNOBS",
    "NGD",
    "NGDCG",
    "OPTIMIZERS",
    "TASKS",
    "TNGD",
    "Classification",
    "Curvature",
    "CurvatureSystem",
    "DesignPoint",
    "DeviceChoice",
    "Experiment",
    "ExperimentResult",
    "History",
    "Knob",
    "Landscape",
    "LevelScore",
    "LevenbergMarquardt",
    "Limit",
    "NGDWoodbury",
    "NaturalGradient",
    "NaturalGradientConfig",
    "Plan",
    "RecordingDevice",
    "ResidualLoss",
    "Run",
    "RunResult",
    "Score",
    "SolveLevel",
    "StepRecord",
    "Study",
    "StudyPlan",
    "StudyRow",
    "StudyRun",
    "StudyScore",
    "Task",
    "TrainingLevel",
    "Trajectory",
    "curvature_systems",
    "die_yield",
    "digits",
    "evaluate",
    "follow",
    "gradient",
    "landscape",
    "laplacian",
    "make_optimizer",
    "make_task",
    "margins",
    "mnist",
    "poisson",
    "read_plan",
    "read_table",
    "run_experiment",
    "run_plan",
    "second_derivative",
    "sensitivities",
    "settings_for",
    "squad",
    "train",
    "train_dies",
    "training_error_budget",
    "value_and_gradient",
    "value_gradient_laplacian",
]
