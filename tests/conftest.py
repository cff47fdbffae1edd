"""What every test run shares: one thread a process, reproducible hypothesis examples."""

from __future__ import annotations

import importlib
import os
from typing import Any

# Before numpy or torch is imported: threads of one test do not compete with another test's, and
# sums are taken in the same order on every machine. Worker processes of the tests inherit it.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest  # noqa: E402  (what follows loads numpy where it is installed)
from hypothesis import HealthCheck, settings  # noqa: E402

# A slow machine is not a failure; on CI the examples are the same every time.
_common: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("dev", print_blob=True, **_common)
# The same examples in every run of CI: more of them would find nothing later. Runs elsewhere draw anew.
settings.register_profile("ci", derandomize=True, max_examples=35, **_common)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(autouse=True, scope="session")
def _few_dies() -> None:
    """A report draws 12 dies in place of 1,000, a second's work; tests of yields say how many they draw."""
    # The package's attribute of that name is the function.
    module: Any = importlib.import_module("thermograd.compiler.analysis.die_yield")
    module.DIES = 12
