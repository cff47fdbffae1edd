from .conditions import DatasheetConditions as DatasheetConditions
from .corners import Corner as Corner
from .corners import corners_of as corners_of
from .datasheet import make_datasheet as make_datasheet
from .specification import Limit as Limit
from .specification import Specification as Specification
from .specification import Verdict as Verdict

__all__ = ["Corner", "DatasheetConditions", "Limit", "Specification", "Verdict", "corners_of", "make_datasheet"]
