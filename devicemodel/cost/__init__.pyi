from .compiled import compiled_array as compiled_array
from .digital_host import DigitalHost as DigitalHost
from .digital_host import HostWork as HostWork
from .model import Scenario as Scenario
from .model import StepTime as StepTime
from .model import digital_cost as digital_cost
from .model import step_cost as step_cost
from .model import step_time as step_time
from .planned import planned_array as planned_array
from .prices import PriceUse as PriceUse
from .prices import prices_of as prices_of
from .prices import sources_of as sources_of
from .refinement import ReadingPlan as ReadingPlan
from .refinement import product_work as product_work
from .solver_array import SolverArray as SolverArray
from .step import CostItem as CostItem
from .step import Counts as Counts
from .step import StepCost as StepCost
from .sweeps import Handover as Handover
from .sweeps import handovers as handovers
from .sweeps import knob_values as knob_values
from .sweeps import sweep as sweep
from .workload import derivative_flops as derivative_flops

__all__ = [
    "CostItem",
    "Counts",
    "DigitalHost",
    "Handover",
    "HostWork",
    "PriceUse",
    "ReadingPlan",
    "Scenario",
    "SolverArray",
    "StepCost",
    "StepTime",
    "compiled_array",
    "derivative_flops",
    "digital_cost",
    "handovers",
    "knob_values",
    "planned_array",
    "prices_of",
    "product_work",
    "sources_of",
    "step_cost",
    "step_time",
    "sweep",
]
