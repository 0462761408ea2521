"""The device in a LiteX SoC: its registers in a region of the SoC's bus, and a bus master for its memory.

    from sat_hdl.fpga.litex import add_sat
    add_sat(soc, config, folder="build/sat", memory="main_ram", registers=0x9000_0000)

Needs LiteX, which the extra ``litex`` installs.
"""

from pathlib import Path

from litex.gen import LiteXModule
from litex.soc.integration.soc import SoC, SoCRegion
from litex.soc.interconnect import wishbone
from litex.soc.interconnect.csr_eventmanager import EventManager, EventSourceLevel
from migen import ClockSignal, Instance, ResetSignal, Signal

from sat_hdl.config import Config
from sat_hdl.generate import generate

__all__ = ["Sat", "add_sat"]

_MANAGER_OUTPUTS = ("adr", "dat_w", "sel", "cyc", "stb", "we", "cti", "bte")
_MANAGER_INPUTS = ("dat_r", "ack", "err")


class Sat(LiteXModule):
    """:class:`~sat_hdl.system_wishbone.SatWishbone` as a module of LiteX.

    Arguments
    ---------
    config: of the device.
    platform: of LiteX; it is given the device's Verilog, which is written into ``folder``.

    Attributes
    ----------
    memory: Wishbone master, ``config.memory_bits`` wide. registers: Wishbone slave, 32 bits.
    ev: the interrupt, as an event by its level: ``ev.done``.
    register_bytes: of the registers' region.
    """

    def __init__(self, config: Config, *, platform, folder: str | Path):
        made = generate("system-wishbone", config)
        Path(folder).mkdir(parents=True, exist_ok=True)
        source = Path(folder) / made.verilog_file
        source.write_text(made.verilog)
        platform.add_source(str(source))
        widths = {port["name"]: port["width"] for port in made.manifest["ports"]}
        address_bits = widths["s_wb_adr"] + 2
        self.register_bytes = 1 << address_bits
        self.memory = wishbone.Interface(data_width=config.memory_bits, address_width=32, addressing="word")
        self.registers = wishbone.Interface(data_width=32, address_width=address_bits, addressing="word")
        self.ev = EventManager()
        self.ev.done = EventSourceLevel()
        self.ev.finalize()
        irq = Signal()
        # Migen's modules have these two without declaring them.
        self.comb += self.ev.done.trigger.eq(irq)  # pyright: ignore[reportOperatorIssue]
        ports = {"i_clk": ClockSignal("sys"), "i_rst": ResetSignal("sys"), "o_irq": irq}
        for name, bus, (outwards, inwards) in (
            ("m_wb", self.memory, ("o", "i")),
            ("s_wb", self.registers, ("i", "o")),
        ):
            ports |= {f"{outwards}_{name}_{signal}": getattr(bus, signal) for signal in _MANAGER_OUTPUTS}
            ports |= {f"{inwards}_{name}_{signal}": getattr(bus, signal) for signal in _MANAGER_INPUTS}
        self.specials += Instance(made.module, **ports)  # pyright: ignore[reportOperatorIssue]


def add_sat(
    soc: SoC,
    config: Config,
    *,
    folder: str | Path,
    memory: str = "main_ram",
    registers: int | None = None,
    name: str = "sat",
) -> Sat:
    """Adds a device to ``soc``, whose bus must be Wishbone.

    Its addresses count from the beginning of the region ``memory``, so a program runs wherever that lies. The SoC's
    bus adapts to ``config.memory_bits``; one as wide costs no time.

    Arguments
    ---------
    folder: for the device's Verilog.
    registers: address of its registers; LiteX chooses without it. Not cached by a CPU.
    name: of the module, the master and the region.
    """
    if memory not in soc.bus.regions:
        known = ", ".join(soc.bus.regions) or "none"
        raise ValueError(f"memory must be a region of the SoC's bus ({known}), not {memory!r}")
    region = soc.bus.regions[memory]
    sat = Sat(config, platform=soc.platform, folder=folder)
    soc.add_module(name=name, module=sat)
    soc.bus.add_master(name=name, master=sat.memory, region=SoCRegion(origin=region.origin, size=region.size))
    soc.bus.add_slave(
        name=name,
        slave=sat.registers,
        region=SoCRegion(origin=registers, size=sat.register_bytes, cached=False),
    )
    if soc.irq.enabled:
        soc.irq.add(name)
    return sat
