"""Every board's top has the pins that its design wants, and nothing is left unconnected."""

import re

import pytest
from amaranth.hdl import Value
from msgspec.structs import replace

from sat_hdl.config import ConfigError, preset
from sat_hdl.fpga.board_system import BoardSystem
from sat_hdl.fpga.board_top import DESIGN_MODULE, CoreTop, SystemTop
from sat_hdl.fpga.boards import BOARDS, board
from sat_hdl.fpga.designs import design_for
from sat_hdl.memory.sdram.chip import SdramChip


def small(name: str):
    """The board's configuration with an array that is quick to elaborate."""
    config = preset(board(name).preset)
    return replace(config, rows=min(config.rows, 2), cols=min(config.cols, 2))


#: A pin in a platform's file, by the file's suffix: groups `port` and `site`.
PINS = {
    "lpf": r'LOCATE COMP "(?P<port>\S+?)" SITE "(?P<site>\w+)"',
    "pcf": r"set_io (?P<port>\S+) (?P<site>\w+)",
    "cst": r'IO_LOC "(?P<port>\S+?)" (?P<site>\w+);',
}


def located(name: str, plan: dict[str, str]) -> list[tuple[str, str]]:
    """(port, site) of each pin."""
    file = board(name).target.pins
    return [(found["port"], found["site"]) for found in re.finditer(PINS[file.partition(".")[2]], plan[file])]


def files(name: str) -> tuple[object, dict[str, str]]:
    """The design of a board, and what its platform hands to the tools."""
    chosen = board(name)
    design = design_for(chosen, small(name), kind=chosen.component)
    top = (SystemTop(board=chosen, system=design, clock_mhz=chosen.clock_mhz)
           if chosen.component == "system"
           else CoreTop(board=chosen, core=design, clock_mhz=chosen.clock_mhz))  # fmt: skip
    plan = chosen.platform().build(top, do_build=False, emit_src=False)
    return design, {name: str(text) for name, text in plan.files.items()}


def connections(text: str) -> dict[str, int]:
    """Ports of the design's instance in RTLIL → their widths."""
    cell = re.search(rf"cell \\{DESIGN_MODULE} .*?\n(.*?)\n\s*end\n", text, re.S)
    assert cell is not None
    found = {}
    module = text[text.rindex("\nmodule ", 0, cell.start()) : cell.start()]
    widths = {
        name: int(width or 1) for width, name in re.findall(r"wire (?:width (\d+) )?.*?(\S+)\n", module)
    }
    for port, value in re.findall(r"connect \\(\S+) (.*)", cell[1]):
        name, _, part = value.partition(" ")
        if part:
            high, _, low = part.strip("[]").partition(":")
            found[port] = int(high) - int(low or high) + 1
        else:
            found[port] = widths[name] if name.startswith(("\\", "$")) else int(name.split("'")[0])
    return found


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_the_instance_has_the_ports_of_the_design(name):
    design, plan = files(name)
    wanted = {"clk": 1, "rst": 1}
    for path, _, value in design.signature.flatten(design):
        wanted["__".join(map(str, path))] = len(Value.cast(value))
    assert connections(plan["top.il"]) == wanted


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_pins(name):
    _, plan = files(name)
    sites = [site for _, site in located(name, plan)]
    assert len(set(sites)) == len(sites)
    pins = {pin for pin, _ in located(name, plan)}
    assert any("uart" in pin and "rx" in pin for pin in pins) and any(
        "uart" in pin and "tx" in pin for pin in pins
    )
    chip = board(name).memory
    if isinstance(chip, SdramChip):
        data = [pin for pin in pins if re.search(r"sdram.*__dq__io", pin)]
        address = [pin for pin in pins if re.search(r"sdram.*__a__io", pin)]
        assert len(data) == 16 and len(address) == chip.row_bits


def test_the_chip_s_clock_is_a_quarter_late():
    _, plan = files("ulx3s-85f")
    text = plan["top.il"]
    of = {}
    for name in [f"CLKO{which}_{what}" for which in "PS" for what in ("DIV", "CPHASE", "FPHASE")]:
        found = re.search(rf"parameter (?:signed )?\\{name} (\d+)\n", text)
        assert found is not None
        of[name] = int(found[1])
    assert of["CLKOS_DIV"] == of["CLKOP_DIV"]
    late = of["CLKOS_CPHASE"] + of["CLKOS_FPHASE"] / 8 - of["CLKOP_CPHASE"] - of["CLKOP_FPHASE"] / 8
    assert late / of["CLKOP_DIV"] == pytest.approx(1 / 4, abs=1 / 8 / of["CLKOP_DIV"])
    assert of["CLKOS_CPHASE"] < 128


@pytest.mark.parametrize("name", [name for name, b in BOARDS.items() if b.component == "system"])
def test_clocks_are_what_the_design_was_told(name):
    chosen = board(name)
    design = design_for(chosen, small(name), kind="system")
    assert isinstance(design, BoardSystem)
    made = chosen.target.clock(chosen.input_mhz, chosen.clock_mhz).mhz
    assert design.identity.clock_hz == round(made * 1e6)


def test_a_system_where_none_fits_is_refused():
    with pytest.raises(ConfigError, match="doesn't fit ulx3s-25f: build `--component core`"):
        design_for(board("ulx3s-25f"), small("ulx3s-25f"), kind="system")


def test_an_unknown_component_is_refused():
    with pytest.raises(ConfigError, match="must be one of system, core, not 'all'"):
        design_for(board("ulx3s-85f"), small("ulx3s-85f"), kind="all")
