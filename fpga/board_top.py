"""Tops of boards: clock, reset, pins; the design itself is a Verilog module of its own."""

from collections.abc import Iterator

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    Const,
    Elaboratable,
    Instance,
    Module,
    ResetSignal,
    Signal,
)
from amaranth.lib import io, stream, wiring
from amaranth.lib.cdc import FFSynchronizer, ResetSynchronizer
from amaranth.lib.wiring import Out

from sat_hdl.fpga.board_system import BoardSystem
from sat_hdl.fpga.boards import Board
from sat_hdl.fpga.host_link import HostLink
from sat_hdl.fpga.target import Pll
from sat_hdl.fpga.uart import UartReceiver, UartTransmitter, divisor_for

__all__ = ["DESIGN_MODULE", "CoreTop", "SystemTop", "link_for"]

#: The Verilog module that a board's top instantiates.
DESIGN_MODULE = "sat_design"


def _streams(core: wiring.Component) -> Iterator[tuple[str, bool, object]]:
    """(name, whether it leads to the core, payload's shape) of each stream among the core's members."""
    for name, member in core.signature.members.items():
        if member.is_signature and isinstance(member.signature, stream.Signature):
            yield name, member.flow is not Out, member.signature.members["payload"].shape


def link_for(core: wiring.Component) -> HostLink:
    """The host link that carries every stream of ``core``, in the order of its members."""
    streams = list(_streams(core))
    return HostLink(
        to_core={name: shape for name, towards, shape in streams if towards},
        from_core={name: shape for name, towards, shape in streams if not towards},
    )


class _Top(Elaboratable):
    """A clock of about ``clock_mhz`` from the board's, and a reset: by the board's button, if it has one, and until
    the clock is there.

    The Verilog of the design has shared modules, which Amaranth can't read; so it is instantiated by name.
    """

    def __init__(self, *, board: Board, clock_mhz: float):
        self._board = board
        self._settings = board.target.clock(board.input_mhz, clock_mhz)

    @property
    def clock_mhz(self) -> float:
        """The design's clock, as the PLL makes it."""
        return self._settings.mhz

    def _clock(self, m: Module, platform) -> tuple[Signal, Pll]:
        """→ the clock is there, in its domain; the PLL."""
        board = self._board
        m.submodules.pll = pll = self._settings.pll(platform.request(platform.default_clk, dir="-"))
        m.domains += ClockDomain("sync")
        m.d.comb += ClockSignal("sync").eq(pll.clock_out)
        reset = ~pll.locked
        if board.reset_button is not None:
            button = platform.request(*board.reset_button, dir="-")
            m.submodules.button_buffer = pressed = io.Buffer("i", button)
            reset = reset | pressed.i
        # The tools derive this clock's constraint from the board clock's and the PLL's dividers.
        m.submodules.reset = ResetSynchronizer(reset, domain="sync")
        locked = Signal()
        m.submodules.locked = FFSynchronizer(pll.locked, locked)
        return locked, pll

    @staticmethod
    def _serial(m: Module, platform) -> tuple[Signal, Signal]:
        """→ what comes in, what goes out."""
        resource = platform.lookup("uart", 0)
        port = platform.request("uart", 0, dir={part.name: "-" for part in resource.ios})
        rx, tx = Signal(init=1), Signal(init=1)
        m.submodules.rx_buffer = rx_buffer = io.Buffer("i", port.rx)
        m.submodules.tx_buffer = tx_buffer = io.FFBuffer("o", port.tx)
        m.d.comb += [rx.eq(rx_buffer.i), tx_buffer.o.eq(tx)]
        return rx, tx

    def _lights(self, m: Module, platform, *lights) -> None:
        """Shows as many of ``lights`` as the board has."""
        for number, (light, led) in enumerate(zip(lights, self._board.leds)):
            name, index, *parts = led
            port = platform.request(name, index, dir={part: "-" for part in "rgb"} if parts else "-")
            m.submodules[f"led_{number}"] = buffer = io.Buffer(
                "o", getattr(port, parts[0]) if parts else port
            )
            m.d.comb += buffer.o.eq(light)


class CoreTop(_Top):
    """``core`` behind a :class:`~sat_hdl.fpga.host_link.HostLink` on the board's serial port.

    Lights: 0 the PLL is locked, 1 bytes arrive, 2 bytes leave, 3 a byte was lost (until reset).

    Arguments
    ---------
    board: where it runs.
    core: what runs; only its signature is used here.
    clock_mhz: the array's clock; the nearest that the PLL can make within 1 % is taken.
    """

    def __init__(self, *, board: Board, core: wiring.Component, clock_mhz: float):
        super().__init__(board=board, clock_mhz=clock_mhz)
        self._core = core
        self.link = link_for(core)

    def elaborate(self, platform):
        m = Module()
        locked, _ = self._clock(m, platform)
        divisor = divisor_for(self.clock_mhz * 1e6, self._board.baud)
        m.submodules.receiver = receiver = UartReceiver(divisor=divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=divisor)
        m.submodules.link = link = self.link
        wiring.connect(m, receiver.bytes, link.rx)
        wiring.connect(m, link.tx, transmitter.bytes)
        rx, tx = self._serial(m, platform)
        m.d.comb += [receiver.rx.eq(rx), tx.eq(transmitter.tx)]
        lost = Signal()
        with m.If(receiver.overrun):
            m.d.sync += lost.eq(1)
        self._lights(m, platform, locked, ~rx, ~tx, lost)

        ports: dict[str, object] = {"i_clk": ClockSignal("sync"), "i_rst": ResetSignal("sync")}
        for name, towards, _ in _streams(self._core):
            port = getattr(self.link, name)
            forward, backward = ("i", "o") if towards else ("o", "i")
            payload = Signal(len(Cat(port.p)), name=f"{name}_payload")
            m.d.comb += payload.eq(Cat(port.p)) if towards else Cat(port.p).eq(payload)
            ports |= {
                f"{forward}_{name}__payload": payload,
                f"{forward}_{name}__valid": port.valid,
                f"{backward}_{name}__ready": port.ready,
            }
        m.submodules.design = Instance(DESIGN_MODULE, **ports)
        return m


class SystemTop(_Top):
    """A :class:`~sat_hdl.fpga.board_system.BoardSystem` on a board's pins.

    Lights: 0 as SatBoard says, 1 a program runs or a request is executed, 2 the PLL is locked, 3 bytes arrive.

    An SDRAM's commands and data leave from, and come to, registers in the pins' cells. Its clock comes a quarter of a
    cycle after theirs. So commands are there 1/4 cycle before its edge and stay for 3/4; and its data, which come
    up to 6 ns after an edge of its clock and stay 2.5 ns after the next, are taken 3/4 of a cycle after that edge:
    with some 5 ns for the way there and back, up to 66 MHz.

    Arguments
    ---------
    board: where it runs.
    system: what runs, and what the pins are for.
    clock_mhz: of everything; the PLL must make just this.
    """

    def __init__(self, *, board: Board, system: BoardSystem, clock_mhz: float):
        super().__init__(board=board, clock_mhz=clock_mhz)
        self._system = system

    def elaborate(self, platform):
        m = Module()
        locked, pll = self._clock(m, platform)
        rx, tx = self._serial(m, platform)
        led, busy = Signal(), Signal()
        self._lights(m, platform, led, busy, locked, ~rx)
        ports: dict[str, object] = {
            "i_clk": ClockSignal("sync"), "i_rst": ResetSignal("sync"),
            "i_rx": rx, "o_tx": tx, "o_led": led, "o_busy": busy,
        }  # fmt: skip
        if hasattr(self._system, "sdram"):
            ports |= self._sdram(m, platform, pll)
        m.submodules.design = Instance(DESIGN_MODULE, **ports)
        return m

    def _sdram(self, m: Module, platform, pll: Pll) -> dict[str, object]:
        resource = platform.lookup("sdram", 0)
        port = platform.request("sdram", 0, dir={part.name: "-" for part in resource.ios})
        m.domains += ClockDomain("late", reset_less=True)
        m.d.comb += ClockSignal("late").eq(pll.clock_late)
        m.submodules.sdram_clk = clk = io.DDRBuffer("o", port.clk, o_domain="late")
        m.d.comb += [clk.o[0].eq(Const(1)), clk.o[1].eq(Const(0))]
        ports: dict[str, object] = {}
        for name in ("clk_en", "cs", "ras", "cas", "we", "ba", "a", "dqm"):
            pins = getattr(port, name)
            out = Signal(len(pins), name=f"sdram_{name}")
            m.submodules[f"sdram_{name}"] = buffer = io.FFBuffer("o", pins)
            m.d.comb += buffer.o.eq(out)
            ports[f"o_sdram__{name}"] = out
        m.submodules.sdram_dq = dq = io.FFBuffer("io", port.dq)
        ports |= {"o_sdram__dq_o": dq.o, "o_sdram__dq_oe": dq.oe, "i_sdram__dq_i": dq.i}
        return ports
