from .cases import Case as Case
from .cases import random_system as random_system
from .evidence import Calibration as Calibration
from .evidence import Comparison as Comparison
from .evidence import explained_variance as explained_variance
from .fitting import Conversion as Conversion
from .fitting import Observation as Observation
from .fitting import fit_converter as fit_converter
from .fitting import fit_law as fit_law
from .fitting import fit_noise as fit_noise
from .identifiability import Unidentifiable as Unidentifiable
from .identifiability import standard_errors as standard_errors
from .identifiability import unidentifiable as unidentifiable
from .simulated import calibrate as calibrate
from .simulated import calibrate_with_evidence as calibrate_with_evidence

__all__ = [
    "Calibration",
    "Case",
    "Comparison",
    "Conversion",
    "Observation",
    "Unidentifiable",
    "calibrate",
    "calibrate_with_evidence",
    "explained_variance",
    "fit_converter",
    "fit_law",
    "fit_noise",
    "random_system",
    "standard_errors",
    "unidentifiable",
]
