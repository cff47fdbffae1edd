"""Which tests need a foundry's models, and what is said where they are not installed."""

from __future__ import annotations

import pytest

from thermograd.circuits.technology.pdk import process


def needs_process(*names: str) -> pytest.MarkDecorator:
    """Skip a test where the models of one of these processes are not installed."""
    missing = [name for name in names if not process(name).is_installed]
    return pytest.mark.skipif(
        bool(missing),
        reason=f"models of {', '.join(missing)} are not installed: pip install 'thermograd[pdk]', or make setup",
    )
