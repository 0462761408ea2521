"""The accelerator with its host link and a port to memory: what every board has in common."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.config import Config
from sat_hdl.fpga.status_light import StatusLight
from sat_hdl.fpga.uart import UartReceiver, UartTransmitter
from sat_hdl.link.identity import Identity
from sat_hdl.link.memory_link import MemoryLink
from sat_hdl.memory.axi import Axi4Signature, connect_axi4
from sat_hdl.memory.axi_mux import AxiMux
from sat_hdl.system import SatTop

__all__ = ["SatBoard", "SerialBoard"]


class SatBoard(wiring.Component):
    """SatTop and a :class:`~sat_hdl.link.memory_link.MemoryLink`, which share a memory.

    Arguments
    ---------
    config: of SatTop. memory_size: bytes of memory behind ``m_axi``, from address 0, a multiple of 64.
    clock_hz: of the accelerator. buffer: bytes of requests that the link holds, a power of two.

    Members
    -------
    rx: In(stream of 8 bits), from the host, always taken. tx: Out(stream of 8 bits).
    m_axi: Out(Axi4Signature), identifiers of ``id_bits``.
    irq: Out(1). A program has ended. busy: Out(1). One runs, or a request is executed.
    led: Out(1). See :class:`~sat_hdl.fpga.status_light.StatusLight`.
    """

    def __init__(self, *, config: Config, memory_size: int, clock_hz: float, buffer: int = 4096):
        if not isinstance(memory_size, int) or not 64 <= memory_size <= 1 << 32 or memory_size % 64:
            raise ValueError(
                f"memory_size must be a multiple of 64 from 64 bytes to 4 GiB, not {memory_size!r}"
            )
        self._config, self._clock_hz, self._buffer = config, clock_hz, buffer
        self.identity = Identity(
            config=config, memory_size=memory_size, clock_hz=round(clock_hz), buffer=buffer
        )
        self._system = SatTop(config, lights=True)
        self._ids = len(self._system.m_axi.awid)
        super().__init__(
            {
                "rx": In(stream.Signature(8, always_ready=True)),
                "tx": Out(stream.Signature(8)),
                "m_axi": Out(Axi4Signature(data_bits=config.memory_bits, id_bits=self.id_bits)),
                "irq": Out(1),
                "busy": Out(1),
                "led": Out(1),
            }
        )

    @property
    def id_bits(self) -> int:
        """Width of the memory port's identifiers."""
        return self._ids + 1

    def elaborate(self, platform):
        m = Module()
        bits = self._config.memory_bits
        m.submodules.system = system = self._system
        m.submodules.link = link = MemoryLink(
            data_bits=bits,
            csr_bits=len(system.s_axi.awaddr),
            buffer=self._buffer,
            identity=self.identity.encode(),
        )
        m.submodules.mux = mux = AxiMux(managers=2, data_bits=bits, id_bits=self._ids)
        connect(m, flipped(self.rx), link.rx)
        connect(m, link.tx, flipped(self.tx))
        connect(m, link.m_csr, system.s_axi)
        connect(m, system.m_axi, mux.s_axi[0])
        connect_axi4(m, mux.s_axi[1], link.m_axi)
        connect(m, mux.m_axi, flipped(self.m_axi))
        m.d.comb += [
            link.irq.eq(system.irq),
            self.irq.eq(system.irq),
            self.busy.eq(system.running | link.busy),
        ]

        m.submodules.light = light = StatusLight(clock_hz=self._clock_hz)
        m.d.comb += [
            light.running.eq(system.running),
            light.failed.eq(system.failed),
            light.damaged.eq(link.damaged),
            self.led.eq(light.led),
        ]
        return m


class SerialBoard(wiring.Component):
    """A :class:`SatBoard` behind a serial port.

    Arguments
    ---------
    board: what it is. divisor: cycles a bit, at least 4.

    Members
    -------
    rx: In(1), from a pin. tx: Out(1). m_axi, irq, busy, led: as of SatBoard.
    """

    def __init__(self, *, board: SatBoard, divisor: int):
        self._board = board
        self._receiver = UartReceiver(divisor=divisor)
        self._transmitter = UartTransmitter(divisor=divisor)
        kept = ("m_axi", "irq", "busy", "led")
        super().__init__(
            {"rx": In(1, init=1), "tx": Out(1, init=1)} | {n: board.signature.members[n] for n in kept}
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.board = board = self._board
        m.submodules.receiver = receiver = self._receiver
        m.submodules.transmitter = transmitter = self._transmitter
        connect(m, receiver.bytes, board.rx)
        connect(m, board.tx, transmitter.bytes)
        connect(m, board.m_axi, flipped(self.m_axi))
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            *(getattr(self, name).eq(getattr(board, name)) for name in ("irq", "busy", "led")),
        ]
        return m
