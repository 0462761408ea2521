"""Asynchronous serial port, 8 data bits, no parity, 1 stop bit, as two byte streams."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["UartReceiver", "UartTransmitter", "divisor_for"]

#: Both ends sample within a tenth of a bit at the last of 10 bits if their rates differ by less than this.
TOLERANCE = 0.02


def divisor_for(clock_hz: float, baud: int) -> int:
    """Clock cycles a bit. Raises ValueError if the rate can't be met within 2 %."""
    divisor = round(clock_hz / baud)
    if divisor < 4 or abs(clock_hz / divisor / baud - 1) > TOLERANCE:
        raise ValueError(f"A baud rate must be a fraction of the clock, at most a quarter, not {baud!r}")
    return divisor


def _check(divisor: int) -> int:
    if not isinstance(divisor, int) or divisor < 4:
        raise ValueError(f"A UART's divisor must be an integer of at least 4, not {divisor!r}")
    return divisor


class UartTransmitter(wiring.Component):
    """Sends each byte of ``bytes`` as start bit, 8 bits from the lowest, stop bit; idles high.

    A byte takes 10 · ``divisor`` cycles; bytes follow each other without a gap.

    Arguments
    ---------
    divisor: clock cycles a bit, at least 4.

    Members
    -------
    bytes: In(stream of 8 bits).
    tx: Out(1).
    """

    def __init__(self, *, divisor: int):
        self._divisor = _check(divisor)
        super().__init__({"bytes": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        shift = Signal(9, init=-1)  # the start bit follows at once; ones fill in behind the stop bit
        bits = Signal(range(11))
        timer = Signal(range(self._divisor))
        last = Signal()
        m.d.comb += [
            last.eq((bits <= 1) & (timer == 0)),
            self.bytes.ready.eq(last),
        ]
        with m.If(self.bytes.valid & self.bytes.ready):
            m.d.sync += [
                self.tx.eq(0),
                shift.eq(Cat(self.bytes.payload, 1)),
                bits.eq(10),
                timer.eq(self._divisor - 1),
            ]
        with m.Elif(timer != 0):
            m.d.sync += timer.eq(timer - 1)
        with m.Elif(bits != 0):
            m.d.sync += [
                self.tx.eq(shift[0]),
                shift.eq(Cat(shift[1:], 1)),
                bits.eq(bits - 1),
                timer.eq(self._divisor - 1),
            ]
        return m


class UartReceiver(wiring.Component):
    """Receives bytes, sampling each bit in its middle. A byte whose stop bit is low is dropped.

    ``bytes`` has no place to wait: a byte that is not taken when the next is complete is lost, and
    ``overrun`` is high for a cycle. The sender must not send more than the other side can hold.

    Arguments
    ---------
    divisor: clock cycles a bit, at least 4.

    Members
    -------
    rx: In(1). From a pin; it is synchronised here.
    bytes: Out(stream of 8 bits).
    overrun: Out(1).
    """

    def __init__(self, *, divisor: int):
        self._divisor = _check(divisor)
        super().__init__({"rx": In(1, init=1), "bytes": Out(stream.Signature(8)), "overrun": Out(1)})

    def elaborate(self, platform):
        m = Module()
        rx = Signal(init=1)
        m.submodules.sync = FFSynchronizer(self.rx, rx, init=1)
        shift = Signal(8)
        bits = Signal(range(10))
        timer = Signal(range(self._divisor + self._divisor // 2))

        with m.If(self.bytes.valid & self.bytes.ready):
            m.d.sync += self.bytes.valid.eq(0)

        with m.FSM():
            with m.State("Idle"):
                with m.If(~rx):
                    # From the edge to the middle of the start bit.
                    m.d.sync += [timer.eq(self._divisor // 2 - 1), bits.eq(0)]
                    m.next = "Bit"
            with m.State("Bit"):
                m.d.sync += timer.eq(timer - 1)
                with m.If(timer == 0):
                    m.d.sync += [timer.eq(self._divisor - 1), bits.eq(bits + 1), shift.eq(Cat(shift[1:], rx))]
                    with m.If((bits == 0) & rx):
                        m.next = "Idle"  # a glitch, not a start bit
                    with m.Elif(bits == 9):
                        m.next = "Line"
                        with m.If(rx):
                            m.d.comb += self.overrun.eq(self.bytes.valid & ~self.bytes.ready)
                            m.d.sync += [self.bytes.valid.eq(1), self.bytes.payload.eq(shift)]
            with m.State("Line"):
                # The line must be high again: a break, or a wrong rate, is no stream of zeros.
                with m.If(rx):
                    m.next = "Idle"
        return m
