"""Cuts AXI bursts into pieces that lie in one row of an SDRAM."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.memory.axi import Burst

__all__ = ["PIECE_BEATS", "BurstCut", "address_layout", "piece_layout"]

#: Beats of the longest piece; pieces are cut where the number of a beat is a multiple of it.
PIECE_BEATS = 16
_PIECE_BITS = (PIECE_BEATS - 1).bit_length()


def address_layout(*, id_bits: int) -> data.StructLayout:
    """What AR and AW say of a burst, by AXI's names."""
    return data.StructLayout({"id": id_bits, "addr": 32, "len": 8, "size": 3, "burst": Burst})


def piece_layout(*, address_bits: int, id_bits: int) -> data.StructLayout:
    """``beats`` + 1 beats from number ``address`` on, in one block of PIECE_BEATS. ``last``: of a burst.
    ``error``: the burst is refused."""
    return data.StructLayout(
        {"address": address_bits, "beats": _PIECE_BITS, "last": 1, "error": 1, "id": id_bits}
    )


class BurstCut(wiring.Component):
    """Each burst as pieces, in order; a piece is offered once there is room (or data) for all of it.

    Two cycles from a burst to its first piece, and from piece to piece, and one more before the next burst.
    Refused are bursts of another kind than INCR, of wider beats than the bus, and outside the memory. Beats
    narrower than the bus are pieces of their own.

    Arguments
    ---------
    data_bits: of a beat. size: bytes of the memory, a power of two of at least 4096, from address 0 on.
    id_bits: of AXI. room_bits: of ``room``.

    Members
    -------
    i: In(stream of address_layout).
    room: In(room_bits). Beats that a piece may have now. Falls only when a piece is taken.
    o: Out(stream of piece_layout).
    """

    def __init__(self, *, data_bits: int, size: int, id_bits: int, room_bits: int):
        if not isinstance(size, int) or size < 4096 or size.bit_count() != 1:
            raise ValueError(f"size must be a power of two of at least 4096, not {size!r}")
        self._size_bits, self._lane_bits = size.bit_length() - 1, (data_bits // 8).bit_length() - 1
        piece = piece_layout(address_bits=self._size_bits - self._lane_bits, id_bits=id_bits)
        super().__init__(
            {
                "i": In(stream.Signature(address_layout(id_bits=id_bits))),
                "room": In(room_bits),
                "o": Out(stream.Signature(piece)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        burst, piece = self.i.payload, self.o.payload
        lane_bits = self._lane_bits
        left = Signal(8)
        lane = Signal(lane_bits)  # byte in the beat
        below = Signal(lane_bits)  # bytes of a narrow beat, less 1
        wide = Signal()
        to_edge = ~piece.address[:_PIECE_BITS]
        over = left > to_edge
        enough = Signal()
        stepped = Signal(lane_bits + 1)
        m.d.comb += [
            stepped.eq((lane | below) + 1),
            self.o.valid.eq(enough),
        ]
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [
                        piece.address.eq(burst.addr[lane_bits:]),
                        piece.id.eq(burst.id),
                        # A burst stays in its 4096 bytes, and these in the memory or outside.
                        piece.error.eq(
                            burst.addr[self._size_bits :].any()
                            | (burst.burst != Burst.INCR)
                            | (burst.size > lane_bits)
                        ),
                        left.eq(burst.len),
                        lane.eq(burst.addr),
                        below.eq((1 << burst.size) - 1),
                        wide.eq(burst.size >= lane_bits),
                    ]
                    m.next = "CUT"
            with m.State("CUT"):
                m.d.sync += [
                    piece.beats.eq(Mux(wide, Mux(over, to_edge, left), 0)),
                    piece.last.eq(Mux(wide, ~over, left == 0)),
                ]
                m.next = "WAIT"
            with m.State("WAIT"):
                m.d.sync += enough.eq(self.room > piece.beats)
                with m.If(enough & self.o.ready):
                    m.d.sync += [
                        enough.eq(0),
                        left.eq(left - piece.beats - 1),
                        lane.eq(stepped),
                    ]
                    # Within 4096 bytes.
                    low = piece.address[: 12 - lane_bits]
                    m.d.sync += low.eq(low + Mux(wide, piece.beats + 1, stepped[-1]))
                    with m.If(piece.last):
                        m.next = "IDLE"
                    with m.Else():
                        m.next = "CUT"
        return m
