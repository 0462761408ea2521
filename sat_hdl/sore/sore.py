"""SORE, the sparse online reduction engine: dense vectors → N:M kept (value, index) pairs."""

from amaranth.hdl import Cat, ClockSignal, Const, Elaboratable, Instance, Module, Mux, ResetSignal, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.config import Config
from sat_hdl.layouts import ErrorCode, pair_layout, prune_job_layout
from sat_hdl.sore.lane import Lane
from sat_hdl.sore.sequencer import Sequencer, group_layout

__all__ = ["Sore"]


def _element_layout(config: Config) -> data.StructLayout:
    """An element on its way to the slots: its place in its group (``position`` one-hot), and the group."""
    return data.StructLayout({"first": 1, "last": 1, "position": config.max_m, "group": group_layout(config)})


class Sore(wiring.Component):
    """Prunes ``sore_lanes`` vectors at a time, one element a cycle and lane, groups without gaps.

    A job is ``vectors`` rounds of one vector a lane, each ``length`` elements. Of every M consecutive
    elements of a vector the N of largest magnitude come out (numerics: bit pattern without sign, ties to
    the lower index) by ascending index; a short last group of L elements gives min(N, L). All lanes keep
    equally many, so a beat of ``pairs`` holds the k-th pair of the same group in every lane.

    Every job is answered by one code on ``status``: an illegal one at once, without touching ``dense``;
    a legal one, ErrorCode.NONE, after its last pair has left. The next job is taken after the answer.

    Timing, unstalled: a group takes M cycles at ``dense``, a short one at most as many, and its first pair
    is offered ``latency`` cycles after its last element was taken, or right after the pairs of the group
    before. Both sides may stall at any time: no valid depends on a ready, and ``dense.ready`` on registers
    only.

    Structure: the lanes (one Verilog module, ``sore_lane``) are driven in lock-step by the strobes made
    here. An element is registered, compared and inserted; a finished group's bitmap is captured,
    moves to the output side, and is read out while the next groups come in. Elements wait in a circular
    LUT RAM, groups aligned to M; one slot falls free with every pair, the rest with the group's last.

    Arguments
    ---------
    config: sore_lanes, max_m and the operand format.

    Members
    -------
    job: In(stream of prune_job_layout).
    dense: In(stream of ArrayLayout(format.width, sore_lanes)). Element e of all lanes' vectors.
    pairs: Out(stream of ArrayLayout(pair_layout, sore_lanes)).
    status: Out(stream of ErrorCode).
    busy: Out(1). From taking a job to handing over its status.
    cycles: Out(32). Cycles of ``busy``, of this job or the last.
    stalled_input, stalled_output: Out(32). Of these, cycles in which ``dense`` was wanted but not valid,
        and in which a pair was offered but not taken.
    """

    def __init__(self, config: Config):
        self._config = config
        #: Two groups of the largest M, and never less than one LUT RAM block is deep.
        self._depth = max(16, 2 * config.max_m)
        self._lane = Lane(config, depth=self._depth)
        #: Verilog modules that this one instantiates by name; see ``sat_hdl.sim.verilog.emit``.
        self.shared_modules = {"sore_lane": self._lane}
        super().__init__(
            {
                "job": In(stream.Signature(prune_job_layout(config))),
                "dense": In(stream.Signature(data.ArrayLayout(config.format.width, config.sore_lanes))),
                "pairs": Out(stream.Signature(data.ArrayLayout(pair_layout(config), config.sore_lanes))),
                "status": Out(stream.Signature(ErrorCode)),
                "busy": Out(1),
                "cycles": Out(32),
                "stalled_input": Out(32),
                "stalled_output": Out(32),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from a group's last element taken to its first pair offered, unstalled: 6."""
        return 6

    def elaborate(self, platform) -> Elaboratable:
        m = Module()
        config = self._config
        m.submodules.sequencer = sequencer = Sequencer(config)
        connect(m, flipped(self.job), sequencer.job)
        connect(m, sequencer.status, flipped(self.status))

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
            self.dense.ready.eq(sequencer.running & ~full & ~(arrived_valid & compared_valid & blocked)),
            take.eq(self.dense.ready & self.dense.valid),
            sequencer.take.eq(take),
        ]
        with m.If(take):
            m.d.sync += [
                arrived.last.eq(sequencer.last),
                arrived.first.eq(sequencer.first),
                arrived.position.eq(1 << sequencer.index),
                arrived.group.eq(sequencer.group),
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
            sequencer.drained.eq(
                ~(arrived_valid | compared_valid | complete | captured_valid | reading | pairs_valid)
            ),
        ]

        written, released = self._pointers(m, sequencer, take, read, read_last, full)
        strobes = {
            "write": take,
            "write_address": written,
            "drop": sequencer.group.drop,
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
            "read_base": released & ~Cat(sequencer.mask, Const(0, len(released) - config.index_bits)),
        }
        self._lanes(m, strobes)
        self._counters(m, sequencer, take)
        return m

    def _pointers(self, m: Module, sequencer, take, read, read_last, full) -> tuple[Signal, Signal]:
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
        mask = sequencer.mask

        rest = mask - (released & mask) + 1
        m.d.sync += [
            # A pair's slot is read until the pair has left.
            freed.eq(Mux(self.pairs.valid & self.pairs.ready, held, 0)),
            skip.eq(mask ^ sequencer.index),
            skips.eq(take & sequencer.last & (mask != sequencer.index)),
            used.eq(Mux(take, used - freed + 1, used - freed + Mux(skips, skip, 0))),
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
        with m.If(self.job.ready):  # idle: the next job may have a larger M to be aligned to
            m.d.sync += [written.eq(0), released.eq(0)]
        return written, released

    def _lanes(self, m: Module, strobes: dict):
        config = self._config
        for lane in range(config.sore_lanes):
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

    def _counters(self, m: Module, sequencer, take):
        m.d.comb += self.busy.eq(sequencer.busy)
        events = {
            "cycles": sequencer.busy,
            "stalled_input": sequencer.running & self.dense.ready & ~self.dense.valid,
            "stalled_output": self.pairs.valid & ~self.pairs.ready,
        }
        for name, event in events.items():
            counter = getattr(self, name)
            with m.If(self.job.valid & self.job.ready):
                m.d.sync += counter.eq(0)
            with m.Elif(event):
                m.d.sync += counter.eq(counter + 1)
