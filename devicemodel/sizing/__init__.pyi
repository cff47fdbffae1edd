from .bare import BareReading as BareReading
from .bare import bare_reading as bare_reading
from .largest import Answer as Answer
from .largest import ArraySizes as ArraySizes
from .largest import Size as Size
from .largest import largest_array as largest_array
from .refined import RefinedReading as RefinedReading
from .refined import refined_reading as refined_reading

__all__ = [
    "Answer",
    "ArraySizes",
    "BareReading",
    "RefinedReading",
    "Size",
    "bare_reading",
    "largest_array",
    "refined_reading",
]
