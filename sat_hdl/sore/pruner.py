"""SORE's lanes in lock-step: elements that know their place in their group → the group's kept pairs."""

from amaranth.hdl import Cat, ClockSignal, Const, Elaboratable, Instance, Module, Mux, ResetSignal, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.layouts import pair_layout
from sat_hdl.sore.lane import Lane
from sat_hdl.sore.sequencer import group_layout

__all__ = ["Pruner", "place_layout"]


def place_layout(config: Config) -> data.StructLayout:
    """An element's place: its ``index`` in its ``group``, and whether it is the ``first`` or ``last`` there."""
    return data.StructLayout(
        {"first": 1, "last": 1, "index": config.index_bits, "group": group_layout(config)}
    )


def _element_layout(config: Config) -> data.StructLayout:
    """An element on its way to the slots: its place in its group (``position`` one-hot), and the group."""
    return data.StructLayout({"first": 1, "last": 1, "position": config.max_m, "group": group_layout(config)})


class Pruner(wiring.Component):
    """Prunes ``lanes`` vectors at a time, one element a cycle and lane, groups without gaps.

    Of every group the pairs come out by ascending index. All lanes keep equally many, so a beat of ``pairs`` holds
    the k-th pair of the same group in every lane. A group of which all are kept passes as it is.

    Timing, unstalled: a group takes as many cycles at ``dense`` as it has elements, one shorter than M at most M,
    and its first pair is offered ``latency`` cycles after its last element was taken, or right after the pairs of
    the group before. Both sides may stall at any time: no valid depends on a ready, and ``dense.ready`` on registers
    only.

    Structure: the lanes (one Verilog module, ``sore_lane``) are driven in lock-step by the strobes made
    here. An element is registered, compared and inserted; a finished group's bitmap is captured,
    moves to the output side, and is read out while the next groups come in. Elements wait in a circular
    LUT RAM, groups aligned to M; one slot falls free with every pair, the rest with the group's last.

    Arguments
    ---------
    config: max_m and the operand format. lanes: vectors.
    whole: every group has M elements.

    Members
    -------
    dense: In(stream of ArrayLayout(format.width, lanes)). place: In(place_layout), of the element that is offered.
    mask: In(index_bits). M - 1; changes only while ``drained``.
    clear: In(1), while ``drained``: the next groups may be of another M.
    take: Out(1). An element is taken.
    pairs: Out(stream of ArrayLayout(pair_layout, lanes)).
    drained: Out(1). No element or pair is on its way.
    """

    #: Cycles from a group's last element taken to its first pair offered, unstalled.
    latency = 6

    def __init__(self, config: Config, *, lanes: int, whole: bool = False):
        self._config, self._count, self._whole = config, lanes, whole
        #: Two groups of the largest M, and never less than one LUT RAM block is deep.
        self._depth = max(16, 2 * config.max_m)
        self._lane = Lane(config, depth=self._depth)
        #: Verilog modules that this one instantiates by name; see ``sat_hdl.sim.verilog.emit``.
        self.shared_modules = {"sore_lane": self._lane}
        super().__init__(
            {
                "dense": In(stream.Signature(data.ArrayLayout(config.format.width, lanes))),
                "place": In(place_layout(config)),
                "mask": In(config.index_bits),
                "clear": In(1),
                "take": Out(1),
                "pairs": Out(stream.Signature(data.ArrayLayout(pair_layout(config), lanes))),
                "drained": Out(1),
            }
        )

    def elaborate(self, platform) -> Elaboratable:
        m = Module()
        config = self._config

        # Stage 1: an element has arrived. Stage 2: it is compared. Stage 3: a whole group is in the slots.
        arrived_valid = Signal()
        arrived = Signal(_element_layout(config), reset_less=True)
        compared_valid = Signal()
        compared = Signal(_element_layout(config), reset_less=True)
        complete = Signal()
        complete_group = Signal(group_layout(config), reset_less=True)
        # Stage 4: captured. Stage 5: being read. Stage 6: the pairs offered.
        captured_valid = Signal()
        captured_kept = Signal(config.count_bits, reset_less=True)
        reading = Signal()
        left = Signal(config.count_bits, reset_less=True)
        pairs_valid = Signal()

        # Only registers decide whether the input side moves, so `pairs.ready` ends at stage 5. A capture
        # can follow another after two cycles, which a group of two elements needs.
        blocked = Signal()
        capture = Signal()
        insert = Signal()
        compare = Signal()
        take = Signal()
        full = Signal()
        m.d.comb += [
            blocked.eq(complete & captured_valid),
            capture.eq(complete & ~captured_valid),
            insert.eq(compared_valid & ~blocked),
            compare.eq(arrived_valid & ~(compared_valid & blocked)),
            self.dense.ready.eq(~full & ~(arrived_valid & compared_valid & blocked)),
            take.eq(self.dense.ready & self.dense.valid),
            self.take.eq(take),
        ]
        with m.If(take):
            m.d.sync += [
                arrived.last.eq(self.place.last),
                arrived.first.eq(self.place.first),
                arrived.position.eq(1 << self.place.index),
                arrived.group.eq(self.place.group),
            ]
        with m.If(take | compare):
            m.d.sync += arrived_valid.eq(take)
        with m.If(compare):
            m.d.sync += compared.eq(arrived)
        with m.If(compare | insert):
            m.d.sync += compared_valid.eq(compare)
        with m.If(insert & compared.last):
            m.d.sync += [complete.eq(1), complete_group.eq(compared.group)]
        with m.Elif(capture):
            m.d.sync += complete.eq(0)

        # Output side.
        load = Signal()
        read = Signal()
        read_last = Signal()
        m.d.comb += [
            read.eq(reading & (~pairs_valid | self.pairs.ready)),
            read_last.eq(left == 1),
            load.eq(captured_valid & (~reading | (read & read_last))),
        ]
        with m.If(capture):
            m.d.sync += [captured_valid.eq(1), captured_kept.eq(complete_group.kept)]
        with m.Elif(load):
            m.d.sync += captured_valid.eq(0)
        with m.If(load):
            m.d.sync += [reading.eq(1), left.eq(captured_kept)]
        with m.Elif(read):
            m.d.sync += [reading.eq(~read_last), left.eq(left - 1)]
        with m.If(read | self.pairs.ready):
            m.d.sync += pairs_valid.eq(read)
        m.d.comb += [
            self.pairs.valid.eq(pairs_valid),
            self.drained.eq(
                ~(arrived_valid | compared_valid | complete | captured_valid | reading | pairs_valid)
            ),
        ]

        written, released = self._pointers(m, take, read, read_last, full)
        strobes = {
            "write": take,
            "write_address": written,
            "drop": self.place.group.drop,
            "compare": compare,
            "starts": arrived.first,
            "ties": arrived.group.drop,
            "in_use": arrived.group.in_use,
            "insert": insert,
            "first": compared.first,
            "position": compared.position,
            "capture": capture,
            "flip": complete_group.flip,
            "load": load,
            "read": read,
            "read_base": released & ~Cat(self.mask, Const(0, len(released) - config.index_bits)),
        }
        self._lanes(m, strobes)
        return m

    def _pointers(self, m: Module, take, read, read_last, full) -> tuple[Signal, Signal]:
        """Addresses of the element to write and of the oldest slot not read yet; both skip to the next multiple
        of M after a group. The slots in use are counted beside them. ``full`` comes from registers alone:
        a freed slot is counted a cycle late, and a short group is followed by a cycle for the skip."""
        address_bits = (self._depth - 1).bit_length()
        written = Signal(address_bits)
        released = Signal(address_bits)
        used = Signal(address_bits + 1)
        held = Signal(self._config.count_bits, reset_less=True)
        freed = Signal(self._config.count_bits)
        skip = Signal(self._config.index_bits)
        skips = Signal()
        mask = self.mask

        rest = mask - (released & mask) + 1
        m.d.sync += [
            # A pair's slot is read until the pair has left.
            freed.eq(Mux(self.pairs.valid & self.pairs.ready, held, 0)),
            used.eq(Mux(take, used - freed + 1, used - freed + Mux(skips, skip, 0))),
        ]
        if not self._whole:
            m.d.sync += [
                skip.eq(mask ^ self.place.index),
                skips.eq(take & self.place.last & (mask != self.place.index)),
            ]
        # The skip can take `used` past `depth`, but by less than M ≤ depth / 2.
        m.d.comb += full.eq(used[-1] | skips)
        with m.If(take):
            m.d.sync += written.eq(written + 1)
        with m.Elif(skips):
            m.d.sync += written.eq((written | mask) + 1)
        with m.If(read):
            m.d.sync += [
                released.eq(Mux(read_last, released | mask, released) + 1),
                held.eq(Mux(read_last, rest, 1)),
            ]
        with m.If(self.clear):  # the next groups may have a larger M to be aligned to
            m.d.sync += [written.eq(0), released.eq(0)]
        return written, released

    def _lanes(self, m: Module, strobes: dict):
        for lane in range(self._count):
            pair = self.pairs.payload[lane]
            m.submodules[f"lane_{lane}"] = Instance(
                "sore_lane",
                i_clk=ClockSignal(),
                i_rst=ResetSignal(),
                i_value=self.dense.payload[lane],
                o_pair_value=pair.value,
                o_pair_index=pair.index,
                **{f"i_{name}": value for name, value in strobes.items()},
            )
