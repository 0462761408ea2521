"""From a stream of addresses to a stream of what a memory holds there."""

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.wiring import In, Out

__all__ = ["ReadPipe"]


class ReadPipe(wiring.Component):
    """Reads a memory whose output is a register that holds while nothing is read. The word waits there, and in one
    register behind it (block RAM is slow to show its output), so only addresses are queued.

    ``out`` follows ``addresses`` by ``latency`` cycles, one a cycle. ``addresses.ready`` is a register's.

    Arguments
    ---------
    address_shape, data_shape: of an address, of a word. What belongs to a word can go along with its address.
    place_shape: of the memory's address, if it is made of the stream's and takes a cycle; else they are one.
    shared: whether others read through the same port of the memory. Then a pipe reads only what will find its
        register free, and again what another's read displaced. Otherwise no word is read twice.

    Members
    -------
    addresses: In(stream of address_shape).
    next: Out(address_shape), place: In(place_shape). If there is a place_shape: the place of ``next``.
    wants: Out(1). Would read ``address``: Out(place_shape), in this cycle, and does if granted: In(1), 1 unless
        driven. enable: Out(1), then: the memory's register moves on.
    data: In(data_shape). The memory's register.
    displaced: In(1). Another's read is in ``data`` from the next cycle on.
    out: Out(stream of {"address": place_shape, "data": data_shape}).
    """

    #: From an address to its word: the queue, the memory, the register; where places are made one more.
    latency = 3
    #: Addresses and words that it holds altogether; where places are made one more.
    depth = 8
    #: Words among them: in the memory's register and behind it.
    words = 2

    def __init__(self, *, address_shape, data_shape, place_shape=None, shared: bool = False):
        self._makes, self._shared = place_shape is not None, shared
        self.latency, self.depth = self.latency + self._makes, self.depth + self._makes
        places = place_shape if self._makes else address_shape
        members = {
            "addresses": In(stream.Signature(address_shape)),
            "wants": Out(1),
            "granted": In(1, init=1),
            "enable": Out(1),
            "address": Out(places),
            "data": In(data_shape),
            "out": Out(stream.Signature(data.StructLayout({"address": places, "data": data_shape}))),
        }
        if self._makes:
            members |= {"next": Out(address_shape), "place": In(places)}
        if shared:
            members["displaced"] = In(1)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        incoming = Value.cast(self.addresses.payload)
        m.submodules.queue = queue = SyncFIFO(
            width=len(incoming), depth=self.depth - self.words - self._makes
        )
        m.d.comb += [
            queue.w_data.eq(incoming),
            queue.w_en.eq(self.addresses.valid),
            self.addresses.ready.eq(queue.w_rdy),
        ]
        head, there, goes = queue.r_data, queue.r_rdy, Signal()
        if self._makes:
            place, placed = Signal(len(Value.cast(self.place)), reset_less=True), Signal()
            m.d.comb += [Value.cast(self.next).eq(head), queue.r_en.eq(~placed | goes)]
            with m.If(~placed | goes):
                m.d.sync += [place.eq(Value.cast(self.place)), placed.eq(there)]
            head, there = place, placed
        else:
            m.d.comb += queue.r_en.eq(goes)

        # A word was read and is not in `out` yet; the memory's register has it unless it was displaced.
        asked, again = Signal(), Signal()
        room, moves = Signal(), Signal()
        address, at = Value.cast(self.address), Signal(len(head), reset_less=True)
        m.d.comb += [
            room.eq(~self.out.valid | self.out.ready),
            moves.eq(asked & ~again & room),
            self.enable.eq(self.wants & self.granted),
            goes.eq(self.enable & ~again),
        ]
        m.d.sync += asked.eq(self.enable | (asked & ~moves))
        with m.If(self.enable):
            m.d.sync += at.eq(address)
        if self._shared:
            m.d.sync += again.eq(~self.enable & (again | (self.displaced & ~moves)) & asked)
            m.d.comb += [address.eq(Mux(again, at, head)), self.wants.eq(room & (again | there))]
        else:
            m.d.comb += [address.eq(head), self.wants.eq(there & (~asked | room))]

        layout = self.out.payload.shape()
        word = Signal(layout, reset_less=True)
        m.d.comb += self.out.payload.eq(word)
        with m.If(room):
            m.d.sync += [
                self.out.valid.eq(moves),
                Value.cast(word.address).eq(at),
                Value.cast(word.data).eq(Value.cast(self.data)),
            ]
        return m
