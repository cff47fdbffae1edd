from .farm import Job as Job
from .farm import run_farm as run_farm
from .library import find_library as find_library
from .run import run as run
from .run_many import run_many as run_many

__all__ = [
    "Job",
    "find_library",
    "run",
    "run_farm",
    "run_many",
]
