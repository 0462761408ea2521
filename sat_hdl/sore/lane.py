"""One lane of SORE: the top-K sorter and the data provider of one vector."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.compare import magnitude
from sat_hdl.config import Config

__all__ = ["Lane"]


class Lane(wiring.Component):
    """Finds the entries of a group to keep while they arrive, then provides them by ascending index.

    Lock-step: :class:`~sat_hdl.sore.sore.Sore` sequences all lanes with one set of strobes, which may
    pause at any time. One element a cycle in, one pair a cycle out, of different groups at once.

    How it selects. Keeping N of L elements is the same as dropping L − N, so the lane tracks only the
    smaller of the two sets, K = min(N, L − N) ≤ max_m / 2 entries: the largest, or, with magnitudes
    inverted on the way in, the smallest. Each of max_m / 2 slots holds a magnitude and, one-hot, where
    in the group it was. A new element is compared with all slots at once and takes the place of the
    weakest if it beats it. Which slot is weakest follows from one bit for each pair of slots, rewritten
    when either is replaced; an empty slot is weaker than anything, a slot not in use stronger. The union
    of the one-hot positions, inverted if they are the ones to drop, is the bitmap of the kept entries.

    Why this structure. Selection alone, in LUT4 + 2 per CCU2C for max_m = 8 / 16; a 15-bit comparator is
    about 17, and most of any of them. The others are estimated by cell, this one is what Yosys gives
    (a whole lane is 206 / 491, the RAM and the read side included):

    - a list of max_m cells kept sorted by insertion: comparator, 2:1 multiplexer of magnitude and index,
      each cell: 290 / 620, and the bitmap still to be decoded;
    - max_m elements in place, each with a counter of those that beat it: comparator, counter, threshold,
      and a population count for the newcomer: 200 / 420;
    - a streaming merge sorter: log2(max_m) comparators, but two FIFOs and a multiplexer each: 270 / 360;
    - this one: max_m / 2 + 1 comparators, no multiplexer (a replaced slot loads the broadcast element),
      no counters, position bits that are flip-flops only: 140 / 400. The bits of pairs of slots grow
      with max_m squared, so at 16 it is no smaller than the merge sorter, but much simpler.

    Stages: the element is registered (1), compared with the slots (2) and inserted (3); the bitmap is
    captured (4) and moved to the output side (5), and each cycle the address of one pair is registered,
    whose value comes out of the RAM (6). While an element is compared, the one before it may be
    replacing a slot: one more comparator, between the two elements, stands in for that slot, so that no
    cycle holds both a comparison and its consequences.

    Arguments
    ---------
    config: max_m and the operand format.
    depth: elements that the lane's RAM holds, a power of two.

    Members
    -------
    value: In(format.width). The element; stored at ``write_address`` in a cycle with ``write``.
    write: In(1), write_address: In(log2(depth)).
    drop: In(1), with ``write``: the group's set is that of the entries to drop.
    compare: In(1). Compares the element written last.
        starts: In(1). With it: the element is the first of its group.
        ties: In(1). ``drop`` of its group: among equals the later one is dropped.
        in_use: In(max_m // 2). Slots in use: the K lowest.
    insert: In(1). Inserts the element compared last, in the cycle of the next ``compare`` at the latest.
        first: In(1). With it: the element is the first of its group.
        position: In(max_m). Its index in the group, one-hot.
    capture: In(1). Takes the bitmap of the group whose last element was inserted.
        flip: In(max_m). With it: bits to invert, the existing positions if they are the ones to drop.
    load: In(1). The captured bitmap becomes the one that is read out.
    read: In(1), read_base: In(log2(depth)). Reads the next pair of the group that starts at ``read_base``.
    pair_value: Out(format.width), pair_index: Out(index_bits). The pair read last, while its slot holds it.
    """

    def __init__(self, config: Config, *, depth: int):
        if not isinstance(depth, int) or depth < config.max_m or depth & (depth - 1):
            raise ValueError(f"depth must be a power of two of at least {config.max_m}, not {depth!r}")
        self._config = config
        self._depth = depth
        address_bits = (depth - 1).bit_length()
        super().__init__(
            {
                "value": In(config.format.width),
                "write": In(1),
                "write_address": In(address_bits),
                "drop": In(1),
                "compare": In(1),
                "starts": In(1),
                "ties": In(1),
                "insert": In(1),
                "first": In(1),
                "position": In(config.max_m),
                "in_use": In(config.max_m // 2),
                "capture": In(1),
                "flip": In(config.max_m),
                "load": In(1),
                "read": In(1),
                "read_base": In(address_bits),
                "pair_value": Out(config.format.width),
                "pair_index": Out(config.index_bits),
            }
        )

    def elaborate(self, platform) -> Elaboratable:
        m = Module()
        tracked = self._select(m)
        kept = Signal(self._config.max_m)
        with m.If(self.capture):
            m.d.sync += kept.eq(tracked ^ self.flip)
        self._provide(m, kept)
        return m

    def _select(self, m: Module):
        """Stages 1 to 3. Returns the bitmap of the tracked positions."""
        config = self._config
        slots = config.max_m // 2
        size = config.format.width - 1
        arrived = Signal(size, reset_less=True)
        element = Signal(size, reset_less=True)
        with m.If(self.write):
            m.d.sync += arrived.eq(magnitude(self.value) ^ self.drop.replicate(size))
        with m.If(self.compare):
            m.d.sync += element.eq(arrived)

        held = [Signal(size, name=f"held_{i}", reset_less=True) for i in range(slots)]
        where = [Signal(config.max_m, name=f"where_{i}") for i in range(slots)]
        filled = Signal(slots)
        beaten = Signal(slots, reset_less=True)  # the element compared last beats slot i
        weakest = Signal(slots)
        replaced = Signal(slots)
        # stronger[i, k], i < k: slot k beats slot i.
        stronger = {(i, k): Signal(name=f"stronger_{i}_{k}") for k in range(slots) for i in range(k)}

        def beats(other: Signal):
            # The bit below the magnitudes decides among equals. Less-than is a carry chain alone; for
            # greater-than Yosys would build an equality beside it.
            return Cat(Const(0, 1), other) < Cat(self.ties, arrived)

        beats_previous = Signal()
        m.d.comb += beats_previous.eq(beats(element))
        for i in range(slots):
            empty = ~filled[i] | (self.insert & self.first)
            beats_slot = Mux(self.insert & replaced[i], beats_previous, beats(held[i]) | empty)
            with m.If(self.compare):
                m.d.sync += beaten[i].eq(self.in_use[i] & (self.starts | beats_slot))
            others = [stronger[i, k] if i < k else ~stronger[k, i] for k in range(slots) if k != i]
            m.d.comb += [
                # The first element finds all slots empty and goes to slot 0.
                weakest[i].eq(Mux(self.first, i == 0, Cat(others).all())),
                replaced[i].eq(weakest[i] & beaten[i]),
            ]
            # Clearing comes first, so that it is the registers' reset and no logic; the element that clears
            # the slots goes to slot 0, if to any.
            if i == 0:
                with m.If(self.insert & (replaced[i] | self.first)):
                    m.d.sync += [where[i].eq(Mux(beaten[i], self.position, 0)), filled[i].eq(beaten[i])]
            else:
                with m.If(self.insert & self.first):
                    m.d.sync += [where[i].eq(0), filled[i].eq(0)]
                with m.Elif(self.insert & replaced[i]):
                    m.d.sync += [where[i].eq(self.position), filled[i].eq(1)]
            with m.If(self.insert & replaced[i]):
                m.d.sync += held[i].eq(element)
        for (i, k), bit in stronger.items():
            with m.If(self.insert):
                with m.If(self.first & (i > 0)):
                    m.d.sync += bit.eq(1)
                with m.Elif(replaced[i]):
                    m.d.sync += bit.eq(~beaten[k])
                with m.Elif(replaced[k]):
                    m.d.sync += bit.eq(beaten[i])
        union = Signal(config.max_m)
        for bits in where:
            union = union | bits
        return union

    def _provide(self, m: Module, kept: Signal):
        """Stages 5 and 6."""
        config = self._config
        left = Signal.like(kept)
        below = [left[:t].any() for t in range(config.max_m)]
        lowest = [left[t] & ~below[t] for t in range(config.max_m)]
        index = Cat(
            Cat(lowest[t] for t in range(config.max_m) if t >> bit & 1).any()
            for bit in range(config.index_bits)
        )
        with m.If(self.load):
            m.d.sync += left.eq(kept)
        with m.Elif(self.read):
            m.d.sync += left.eq(left & Cat(below))

        m.submodules.elements = elements = Memory(shape=config.format.width, depth=self._depth, init=[])
        writer = elements.write_port()
        reader = elements.read_port(domain="comb")
        m.d.comb += [
            writer.addr.eq(self.write_address),
            writer.data.eq(self.value),
            writer.en.eq(self.write),
        ]
        address = Signal(len(self.read_base), reset_less=True)
        number = Signal(config.index_bits, reset_less=True)
        with m.If(self.read):
            m.d.sync += [address.eq(self.read_base | index), number.eq(index)]
        m.d.comb += [
            reader.addr.eq(address),
            self.pair_value.eq(reader.data),
            self.pair_index.eq(number),
        ]
