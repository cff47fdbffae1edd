from .dc_sensitivity import DCSensitivity as DCSensitivity
from .descriptor import Descriptor as Descriptor
from .descriptor import describe_netlist as describe_netlist
from .johnson import NoiseCurrents as NoiseCurrents
from .johnson import johnson_currents as johnson_currents
from .noise_paths import NoisePath as NoisePath
from .noise_paths import noise_path as noise_path
from .noise_spectra import NoiseSpectrum as NoiseSpectrum
from .noise_spectra import noise_covariance as noise_covariance
from .noise_spectra import noise_spectrum as noise_spectrum
from .statespace import StateSpace as StateSpace
from .statespace import state_space as state_space

__all__ = [
    "DCSensitivity",
    "Descriptor",
    "NoiseCurrents",
    "NoisePath",
    "NoiseSpectrum",
    "StateSpace",
    "describe_netlist",
    "johnson_currents",
    "noise_covariance",
    "noise_path",
    "noise_spectrum",
    "state_space",
]
