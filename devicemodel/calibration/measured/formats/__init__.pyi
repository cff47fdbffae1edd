from .read import read_bench_file as read_bench_file

__all__ = ["read_bench_file"]
