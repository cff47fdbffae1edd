"""Where libngspice is on this machine."""

from __future__ import annotations

import ctypes.util
import glob
import os
import sys
from functools import lru_cache

from ..errors import SimulatorMissing

INSTALL = "apt-get install libngspice0 ngspice"
VARIABLE = "THERMOGRAD_NGSPICE"
_PLACES = (
    "/usr/lib/*/libngspice.so*",
    "/usr/lib/libngspice.so*",
    "/usr/lib64/libngspice.so*",
    "/usr/local/lib/libngspice.so*",
    "/opt/homebrew/lib/libngspice*.dylib",
    "/usr/local/lib/libngspice*.dylib",
)


def find_library() -> str:
    """Path of libngspice: the variable THERMOGRAD_NGSPICE if set, else the usual places, else the linker's search.

    PySpice 1.5 looks for ``libngspice.so`` only, which Debian does not ship, hence this search.

    Raises:
        SimulatorMissing: nothing was found; the message holds the install command.
    """
    named = os.environ.get(VARIABLE)
    if named is not None:
        if not os.path.isfile(named):
            raise SimulatorMissing(
                f"libngspice is not at {named!r}, where {VARIABLE} points. Install it ({INSTALL}; on macOS "
                f"brew install libngspice; conda install -c conda-forge ngspice) or correct {VARIABLE}"
            )
        return named
    return _search()


@lru_cache(maxsize=1)
def _search() -> str:
    for place in (os.path.join(sys.prefix, "lib", "libngspice*"), *_PLACES):
        found = sorted(path for path in glob.glob(place) if os.path.isfile(path))
        if found:
            return found[0]
    linked = ctypes.util.find_library("ngspice")
    if linked is None:
        raise SimulatorMissing(
            f"libngspice was not found. Install it: {INSTALL} (Debian, Ubuntu); brew install libngspice (macOS); "
            f"conda install -c conda-forge ngspice. If it is in an unusual place, set {VARIABLE} to its path"
        )
    return linked
