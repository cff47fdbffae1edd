"""thermograd: from a curvature matrix to an analog circuit that computes natural-gradient steps.

The names below are what designers, calibrators and trainers begin with; `thermograd.circuits`, `compiler`, `devicemodel` and
`optim` have all public names. Each is imported when it is first used, so that work on netlists does not wait for torch.

    >>> import thermograd as tg
    >>> program = tg.compile_matrix([[2.0, 0.5], [0.5, 1.0]], technology="breadboard")
    >>> card = tg.calibrate("integrated")
    >>> optimizer = tg.TNGD(model.parameters(), lr=0.1, damping=0.1, duration=20.0, device=tg.SurrogateDevice(card, die=1))
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
