from .die_batch import DieBatch as DieBatch

__all__ = [
    "DieBatch",
]
