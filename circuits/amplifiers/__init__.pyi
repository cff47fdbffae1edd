from .characterise import Characterisation as Characterisation
from .characterise import characterise as characterise
from .common_mode import CommonModeLoop as CommonModeLoop
from .conditions import Condition as Condition
from .conditions import over_conditions as over_conditions
from .models import AmplifierCell as AmplifierCell
from .models import Macromodel as Macromodel
from .models import OnePole as OnePole
from .noise_source import add_noise_source as add_noise_source
from .process_amplifier import process_amplifier as process_amplifier
from .sensitivities import AmplifierSensitivities as AmplifierSensitivities
from .sensitivities import MismatchBench as MismatchBench
from .sensitivities import amplifier_sensitivities as amplifier_sensitivities
from .user_netlist import Amplifier as Amplifier

__all__ = [
    "Amplifier",
    "AmplifierCell",
    "AmplifierSensitivities",
    "Characterisation",
    "CommonModeLoop",
    "Condition",
    "Macromodel",
    "MismatchBench",
    "OnePole",
    "add_noise_source",
    "amplifier_sensitivities",
    "characterise",
    "over_conditions",
    "process_amplifier",
]
