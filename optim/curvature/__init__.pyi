from .batch import Batch as Batch
from .batch import Closure as Closure
from .batch import evaluate as evaluate
from .curvature import CURVATURE_KINDS as CURVATURE_KINDS
from .curvature import Curvature as Curvature
from .curvature import CurvatureKind as CurvatureKind
from .factor import DetachedFactor as DetachedFactor
from .factor import Factor as Factor
from .factor import FlatFactor as FlatFactor
from .kronecker import KroneckerBlock as KroneckerBlock
from .kronecker import WholeBlock as WholeBlock
from .kronecker import kronecker_blocks as kronecker_blocks
from .losses.likelihood import Likelihood as Likelihood
from .losses.likelihood_detection import detect_likelihood as detect_likelihood
from .stacked_factor import StackedFactor as StackedFactor

__all__ = [
    "CURVATURE_KINDS",
    "Batch",
    "Closure",
    "Curvature",
    "CurvatureKind",
    "DetachedFactor",
    "Factor",
    "FlatFactor",
    "KroneckerBlock",
    "Likelihood",
    "StackedFactor",
    "WholeBlock",
    "detect_likelihood",
    "evaluate",
    "kronecker_blocks",
]
