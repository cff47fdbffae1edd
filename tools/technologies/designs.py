"""What the designer of a preset chose: the amplifier, the parts' sizes, the converters. All else is the foundry's, or is simulated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Design:
    """The choices for one process; SI units.

    Attributes:
        process: its name, and the preset's; of the amplifier's file and sub-circuit under examples/amplifiers, too.
        summary: the technology's source in a sentence.
        resistor, width: model and width of the unit resistor. unit_resistor: ohm.
        capacitor, unit_capacitor: model, F.
        load_resistance: from each output to ground where the amplifier is measured: a column of the array. load_capacitance: F.
        full_scale: of the converters, V.
        pitch, line: distance of crosspoints, and width of the array's lines.
        sheet, line_capacitance: of a line, ohm and F/m. wires: where these two are from.
    """

    process: str
    summary: str
    resistor: str
    width: float
    capacitor: str
    full_scale: float
    sheet: float
    line_capacitance: float
    wires: str
    unit_resistor: float = 1e5
    unit_capacitor: float = 1e-11
    load_resistance: float = 3e4
    load_capacitance: float = 5e-13
    pitch: float = 1e-4
    line: float = 2e-6


DESIGNS = {
    design.process: design
    for design in (
        Design(
            process="gf180mcu",
            summary="GlobalFoundries GF180MCU (180 nm, 3.3 V): amplifier, resistors, capacitors and switches by the foundry's open models; "
            "converters, link and package as of `integrated`; `thermograd technology gf180mcu --sources`",
            resistor="ppolyf_u_1k",
            width=1e-6,
            capacitor="cap_mim_2f0fF",
            full_scale=1.0,
            sheet=0.09,
            line_capacitance=2e-10,
            wires="sheet resistance 0.09 ohm, 0.127 to 0.135 fF/um of Metal2 to Metal4 at 0.28 um: OpenROAD's rules "
            "gf180mcu_1p5m_1tm_9k_sp_smim_OPTB_typ (github.com/siliconcompiler/lambdapdk); 0.2 fF/um taken for lines of 2 um",
        ),
        Design(
            process="sky130",
            summary="SkyWater SKY130 (130 nm, 1.8 V): amplifier, capacitors and switches by the foundry's open models; "
            "converters, link and package as of `integrated`; `thermograd technology sky130 --sources`",
            resistor="sky130_fd_pr__res_high_po",
            width=1e-6,
            capacitor="sky130_fd_pr__cap_mim_m3_1",
            full_scale=0.5,
            sheet=0.125,
            line_capacitance=1.1e-10,
            wires="met2 of sky130_fd_sc_hd.tlef (github.com/google/skywater-pdk-libs-sky130_fd_sc_hd): 0.125 ohm, 16.94 aF/um^2 and "
            "37.76 aF/um of each edge",
        ),
    )
}
