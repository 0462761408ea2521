"""What runs on a board: the accelerator, its host link, its memory and its pins."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.config import Config
from sat_hdl.fpga.sat_board import SatBoard, SerialBoard
from sat_hdl.fpga.uart import divisor_for
from sat_hdl.memory.axi_ram import AxiRam
from sat_hdl.memory.sdram.chip import SdramChip
from sat_hdl.memory.sdram.controller import AxiSdram

__all__ = ["SDRAM_INPUT_DELAY", "BoardSystem"]

#: Cycles that :class:`~sat_hdl.fpga.board_top.SystemTop` adds between the controller and the chip and back: a
#: register in the pins' cells each way, less one, for the chip's clock comes a quarter of a cycle after ours, so
#: that it takes a command in the cycle in which the pins show it.
SDRAM_INPUT_DELAY = 1


class BoardSystem(wiring.Component):
    """A :class:`~sat_hdl.fpga.sat_board.SerialBoard` with its memory: an SDRAM chip, or block RAM.

    Arguments
    ---------
    config: of SatTop.
    memory: the chip on the pins, or bytes of block RAM, a power of two.
    clock_mhz: of everything. baud: of the serial port.

    Members
    -------
    rx: In(1), tx: Out(1). The serial port.
    led: Out(1). See SatBoard. busy: Out(1).
    sdram: Out(PinsSignature), of an SDRAM alone.
    """

    def __init__(self, *, config: Config, memory: SdramChip | int, clock_mhz: float, baud: int):
        size = memory.size if isinstance(memory, SdramChip) else memory
        self._board = SatBoard(config=config, memory_size=size, clock_hz=clock_mhz * 1e6)
        #: What the link tells a host.
        self.identity = self._board.identity
        self._divisor = divisor_for(clock_mhz * 1e6, baud)
        members = {"rx": In(1, init=1), "tx": Out(1, init=1), "led": Out(1), "busy": Out(1)}
        bits, ids = config.memory_bits, self._board.id_bits
        self._memory: AxiSdram | AxiRam
        if isinstance(memory, SdramChip):
            self._memory = AxiSdram(
                data_bits=bits,
                id_bits=ids,
                chip=memory,
                clock_mhz=clock_mhz,
                input_delay=SDRAM_INPUT_DELAY,
            )
            members["sdram"] = Out(self._memory.pins.signature)
        else:
            self._memory = AxiRam(size=memory, data_bits=bits, id_bits=ids)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.serial = serial = SerialBoard(board=self._board, divisor=self._divisor)
        m.submodules.memory = memory = self._memory
        connect(m, serial.m_axi, memory.s_axi)
        if isinstance(memory, AxiSdram):
            connect(m, memory.pins, flipped(self.sdram))
        m.d.comb += [
            serial.rx.eq(self.rx),
            self.tx.eq(serial.tx),
            self.led.eq(serial.led),
            self.busy.eq(serial.busy),
        ]
        return m
