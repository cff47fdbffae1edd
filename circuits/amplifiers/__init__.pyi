from .characterise import Characterisation as Characterisation
from .characterise import characterise as characterise
from .models import AmplifierCell as AmplifierCell
from .models import Macromodel as Macromodel
from .models import OnePole as OnePole
from .noise_source import add_noise_source as add_noise_source
from .user_netlist import Amplifier as Amplifier

__all__ = [
    "Amplifier",
    "AmplifierCell",
    "Characterisation",
    "Macromodel",
    "OnePole",
    "add_noise_source",
    "characterise",
]
