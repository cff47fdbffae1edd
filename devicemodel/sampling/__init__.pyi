from .covariance_device import CovarianceDevice as CovarianceDevice
from .covariance_device import InverseEstimate as InverseEstimate
from .sampling_cost import SamplingCost as SamplingCost
from .sampling_cost import sampling_cost as sampling_cost
from .sampling_law import SamplingLaw as SamplingLaw
from .spice_covariance import SpiceCovarianceDevice as SpiceCovarianceDevice
