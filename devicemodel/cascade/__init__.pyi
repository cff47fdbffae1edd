from .cells import StandardDeviations as StandardDeviations
from .contour import Motion as Motion
from .device import CascadeDevice as CascadeDevice
from .kronecker_array import KroneckerArray as KroneckerArray
from .kronecker_drift import KroneckerDrift as KroneckerDrift
from .kronecker_dynamics import KroneckerDynamics as KroneckerDynamics
from .low_rank_array import LowRankArray as LowRankArray
from .low_rank_dynamics import LowRankDynamics as LowRankDynamics

__all__ = [
    "CascadeDevice",
    "KroneckerArray",
    "KroneckerDrift",
    "KroneckerDynamics",
    "LowRankArray",
    "LowRankDynamics",
    "Motion",
    "StandardDeviations",
]
