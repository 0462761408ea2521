"""A core on a board: clock, reset, serial port, host link, lights."""

from collections.abc import Iterator

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    Elaboratable,
    Instance,
    Module,
    ResetSignal,
    Signal,
)
from amaranth.lib import io, stream, wiring
from amaranth.lib.cdc import FFSynchronizer, ResetSynchronizer
from amaranth.lib.wiring import Out

from sat_hdl.fpga.boards import Board
from sat_hdl.fpga.host_link import HostLink
from sat_hdl.fpga.pll import Ecp5Pll, pll_settings
from sat_hdl.fpga.uart import UartReceiver, UartTransmitter, divisor_for

__all__ = ["CORE_MODULE", "BoardTop", "link_for"]

#: The Verilog module that the board's top instantiates.
CORE_MODULE = "sat_core"


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


class BoardTop(Elaboratable):
    """Module ``sat_core`` (the Verilog of ``core``), clocked by a PLL, behind the board's serial port.

    The button ``board.reset_button`` resets all but the PLL; so does the PLL until it is locked. Lights: 0
    the PLL is locked, 1 bytes arrive, 2 bytes leave, 3 a byte was lost (until reset).

    Arguments
    ---------
    board: where it runs.
    core: what runs; only its signature is used here.
    clock_mhz: the array's clock; the nearest that the PLL can make within 1 % is taken.
    """

    def __init__(self, *, board: Board, core: wiring.Component, clock_mhz: float):
        self._board = board
        self._core = core
        self._settings = pll_settings(board.input_mhz, clock_mhz)
        self.link = link_for(core)

    @property
    def clock_mhz(self) -> float:
        """The array's clock, as the PLL makes it."""
        return self._settings.mhz

    def elaborate(self, platform):
        m = Module()
        locked = self._clock(m, platform)
        divisor = divisor_for(self.clock_mhz * 1e6, self._board.baud)
        m.submodules.receiver = receiver = UartReceiver(divisor=divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(divisor=divisor)
        m.submodules.link = link = self.link
        wiring.connect(m, receiver.bytes, link.rx)
        wiring.connect(m, link.tx, transmitter.bytes)

        uart = platform.request("uart", 0, dir={"rx": "-", "tx": "-", "rts": "-", "dtr": "-"})
        m.submodules.rx_buffer = rx_buffer = io.Buffer("i", uart.rx)
        m.submodules.tx_buffer = tx_buffer = io.FFBuffer("o", uart.tx)
        m.d.comb += [receiver.rx.eq(rx_buffer.i), tx_buffer.o.eq(transmitter.tx)]

        self._instantiate(m)
        lost = Signal()
        with m.If(receiver.overrun):
            m.d.sync += lost.eq(1)
        lights = [locked, ~receiver.rx, ~transmitter.tx, lost]
        for number, light in enumerate(lights):
            m.submodules[f"led_{number}"] = buffer = io.Buffer("o", platform.request("led", number, dir="-"))
            m.d.comb += buffer.o.eq(light)
        return m

    def _clock(self, m: Module, platform) -> Signal:
        board = self._board
        m.submodules.clock_buffer = clock = io.Buffer("i", platform.request(platform.default_clk, dir="-"))
        button = platform.request(*board.reset_button, dir="-")
        m.submodules.button_buffer = pressed = io.Buffer("i", button)
        m.submodules.pll = pll = Ecp5Pll(settings=self._settings, input_mhz=board.input_mhz)
        m.domains += ClockDomain("sync")
        m.d.comb += [pll.clock_in.eq(clock.i), ClockSignal("sync").eq(pll.clock_out)]
        # The tools derive this clock's constraint from the board clock's and the PLL's dividers.
        m.submodules.reset = ResetSynchronizer(~pll.locked | pressed.i, domain="sync")
        locked = Signal()
        m.submodules.locked = FFSynchronizer(pll.locked, locked)
        return locked

    def _instantiate(self, m: Module) -> None:
        """The core by name: its shared modules come from its Verilog, which Amaranth can't read."""
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
        m.submodules.core = Instance(CORE_MODULE, **ports)
