"""WUVE, the weight update vector engine: streams of elements through lanes that multiply, add and compare."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Module, Mux, ResetSignal, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from sat_hdl.arith.ecp5 import check_target
from sat_hdl.formats import FloatFormat
from sat_hdl.memory.register_slice import RegisterSlice
from sat_hdl.wuve.gather import Gather
from sat_hdl.wuve.lane import Lane
from sat_hdl.wuve.layouts import (
    MAX_LANES,
    Op,
    beat_layout,
    command_layout,
    half_layout,
    status_layout,
    vector_layout,
)
from sat_hdl.wuve.schedule import Schedule, plan_layout
from sat_hdl.wuve.sequencer import Sequencer, token_layout
from sat_hdl.wuve.spread import Spread

__all__ = ["Wuve"]


class Wuve(wiring.Component):
    """Runs one command after the other: element i of the inputs gives element i of the outputs.

    Elements are worked on in vectors of L, one a lane; a run begins a new beat of every stream and a new
    vector. One multiplier and one adder a lane, so an operation takes as many cycles a vector as it has
    passes: SGD 4 (5 with Nesterov), everything else 1 (a scaled SUM one more for a window's last chunk). Beats
    that a stream needs for a vector come first: with D bits, max(1, L × width / D) cycles.

    A chunk of a windowed operation has up to ENTRIES = 32 vectors; a chunk of n vectors is reduced at
    min(1, n / 22) vectors a cycle (MAXPOOL: full rate from 4 on). So short chunks are better joined: a
    chunk may hold several runs.

    Arguments
    ---------
    lanes: L, a power of two from 1 to 16.
    data_bits: D, bits of a beat, a power of two from 32 to 512.
    format: of 16-bit elements.
    target: "ecp5" or "portable".

    Members
    -------
    command: In(stream of command_layout). Taken when the one before has been answered.
    status: Out(stream of status_layout). One a command, after its last beat was taken.
    scalars: In(8 × 32). Binary32, held from a command to its status: inv_scale, wd, mu, lr of SGD first.
    x, y, z: In(streams of beat_layout). Only beats that the command needs are taken.
    out0, out1: Out(streams of beat_layout). What a run leaves of its last beat is +0.
    half: Out(stream of half_layout).
    busy: Out(1). From taking a command to handing over its status. starved: Out(1). The lanes miss an operand.
    """

    def __init__(self, *, lanes: int, data_bits: int, format: FloatFormat, target: str = "portable"):
        for name, value, low, high in (("lanes", lanes, 1, MAX_LANES), ("data_bits", data_bits, 32, 512)):
            if not isinstance(value, int) or not low <= value <= high or value & (value - 1):
                raise ValueError(f"{name} must be a power of two from {low} to {high}, not {value!r}")
        if not isinstance(format, FloatFormat) or format.width != 16:
            raise ValueError(f"format must be a FloatFormat of 16 bits, not {format!r}")
        check_target(target)
        self._lanes, self._data_bits, self._target = lanes, data_bits, target
        self._lane = Lane(format=format, target=target)
        #: Verilog modules that this one instantiates by name; see ``sat_hdl.sim.verilog.emit``.
        self.shared_modules = {"wuve_lane": self._lane}
        beats = {name: In(stream.Signature(beat_layout(data_bits, pad=True))) for name in ("x", "y", "z")} | {
            name: Out(stream.Signature(beat_layout(data_bits, pad=False))) for name in ("out0", "out1")
        }
        super().__init__(
            {
                "command": In(stream.Signature(command_layout())),
                "status": Out(stream.Signature(status_layout())),
                "scalars": In(data.ArrayLayout(32, 8)),
                **beats,
                "half": Out(stream.Signature(half_layout(lanes, format.width))),
                "busy": Out(1),
                "starved": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        lanes = self._lanes
        m.submodules.sequencer = sequencer = Sequencer(lanes=lanes, target=self._target)
        # Between what vectors there are and what is there for them: each is slow enough by itself.
        m.submodules.tokens = tokens = RegisterSlice(shape=token_layout(lanes))
        wanted = tokens.o.payload
        # Three wide streams that come through one port give a vector every 96·L/D cycles: seldom enough, or not.
        paced = 96 * lanes <= 5 * self._data_bits
        m.submodules.schedule = schedule = Schedule(lanes=lanes, paced=paced)
        command = Signal(command_layout(), reset_less=True)
        plan = Signal(plan_layout(), reset_less=True)
        ops = {op: command.op == op.value for op in Op}
        wide = {
            "x": command.x_wide | ops[Op.SGD],
            "y": command.y_wide | ops[Op.SGD],
            "out0": (command.out_wide | ops[Op.SGD]) & ~ops[Op.MAXPOOL],
        }
        used = {
            "x": 1,
            "y": ops[Op.SGD] | ops[Op.ADD] | ops[Op.MASK] | ops[Op.SELECT_SUM],
            "z": ops[Op.SGD],
            "out1": ops[Op.SGD] | ops[Op.MAXPOOL],
        }
        static = Signal(8, reset_less=True)
        x_wide, y_wide, out_wide, use_y, use_z, use_out1, use_half, masks_equal = static
        m.d.sync += static.eq(
            Cat(
                wide["x"] & ~ops[Op.MAXPOOL],
                wide["y"] & ~ops[Op.SELECT_SUM],
                wide["out0"],
                used["y"],
                used["z"],
                used["out1"],
                command.half & ops[Op.SGD],
                ops[Op.SELECT_SUM],
            )
        )
        masks_positive = Signal(reset_less=True)
        chain = ops[Op.SUM] | ops[Op.SELECT_SUM]
        m.d.sync += [
            masks_positive.eq(ops[Op.MASK]),
            plan.sgd.eq(ops[Op.SGD]),
            plan.nesterov.eq(command.nesterov),
            plan.contest.eq(ops[Op.MAXPOOL]),
            plan.chain.eq(chain),
            plan.check.eq(ops[Op.CHECK]),
            plan.add.eq(ops[Op.ADD]),
            plan.relu.eq(command.relu & (ops[Op.CONVERT] | ops[Op.ADD])),
            plan.scale.eq(command.scale & (ops[Op.CONVERT] | ops[Op.ADD])),
            plan.scale_last.eq(command.scale & ops[Op.SUM]),
            plan.scalar.eq(command.scalar),
        ]

        # --- inputs -------------------------------------------------------------------------------------
        gathers = {
            name: Gather(lanes=lanes, data_bits=self._data_bits, wide_only=name == "z") for name in "xyz"
        }
        uses = {"x": 1, "y": use_y, "z": use_z}
        advance, move = Signal(), Signal()
        complete = tokens.o.valid
        for name, gather in gathers.items():
            m.submodules[f"gather_{name}"] = gather
            connect(m, flipped(getattr(self, name)), gather.beats)
            complete = complete & (gather.ok | ~uses[name])
            m.d.comb += [
                gather.wide.eq({"x": x_wide, "y": y_wide, "z": 1}[name]),
                gather.many.eq(wanted.many),
                gather.last.eq(wanted.run_end),
                gather.wanted.eq(tokens.o.valid & uses[name]),
                gather.take.eq(advance & uses[name]),
            ]
        m.d.comb += [
            advance.eq(complete & move),
            tokens.o.ready.eq(advance),
            tokens.i.valid.eq(sequencer.valid),
            tokens.i.payload.eq(sequencer.token),
            sequencer.take.eq(sequencer.valid & tokens.i.ready),
            self.starved.eq(tokens.o.valid & ~complete & move),
        ]
        moving_layout = data.StructLayout({"token": token_layout(lanes), "pad": 1})
        moving, moving_valid = Cat(wanted, gathers["x"].pad), advance
        waiting = Signal(self._lane.input_latency)
        for i in range(self._lane.input_latency):
            rank = Signal(moving_layout, name=f"moving_{i}", reset_less=True)
            with m.If(move):
                m.d.sync += [rank.eq(moving), waiting[i].eq(moving_valid)]
            moving, moving_valid = rank, waiting[i]
        m.d.comb += [
            move.eq(~moving_valid | schedule.accept),
            schedule.plan.eq(plan),
            schedule.scalars.eq(self.scalars),
            schedule.waiting.eq(moving_valid),
            schedule.token.eq(moving.token),
            schedule.padded.eq(moving.pad),
        ]

        # --- outputs: the entry that left, past Narrow or not --------------------------------------------
        left_valid, left = Signal(), Signal(vector_layout(lanes))
        goes = Signal()
        narrow_move = Signal()
        narrowing = Signal(self._lane.narrow_latency)
        spreads = [Spread(lanes=lanes, data_bits=self._data_bits) for _ in range(2)]
        for i, spread in enumerate(spreads):
            m.submodules[f"spread_{i}"] = spread
            connect(m, spread.beats, flipped(getattr(self, f"out{i}")))
        straight, second = spreads[0].vectors, spreads[1].vectors
        # Each taker goes at its own pace; the entry is gone when all have it.
        takes = Signal(3)
        had = Signal(3)
        taken = had | (takes & Cat(straight.ready, second.ready, narrow_move))
        m.d.comb += [
            takes.eq(Cat(out_wide, use_out1, use_half | ~out_wide) & left_valid.replicate(3) & ~had),
            goes.eq(left_valid & (taken | ~Cat(out_wide, use_out1, use_half | ~out_wide)).all()),
            schedule.room.eq(~left_valid | goes),
        ]
        m.d.sync += had.eq(Mux(goes, 0, taken))
        with m.If(schedule.room):
            m.d.sync += left_valid.eq(schedule.leave)
            # What is taken along when none leaves is not valid: so `leave`, which comes late, need not go everywhere.
            m.d.sync += [left.many.eq(schedule.leave_many), left.last.eq(schedule.leave_last)]
        meta, meta_valid = Cat(left.many, left.last), takes[2]
        for i in range(self._lane.narrow_latency):
            rank = Signal(len(meta), name=f"narrowing_{i}", reset_less=True)
            with m.If(narrow_move):
                m.d.sync += [rank.eq(meta), narrowing[i].eq(meta_valid)]
            meta, meta_valid = rank, narrowing[i]
        firsts, seconds, narrows = ([Signal(w, name=f"{n}_{i}") for i in range(lanes)] for n, w in (
            ("first", 32), ("second", 32), ("narrow", 16)))  # fmt: skip
        m.d.comb += [
            narrow_move.eq(~meta_valid | Mux(use_half, self.half.ready, straight.ready)),
            self.half.valid.eq(meta_valid & use_half),
            self.half.payload.data.eq(Cat(narrows)),
            self.half.payload.last.eq(meta[-1]),
            spreads[0].wide.eq(out_wide),
            straight.valid.eq(Mux(out_wide, takes[0], meta_valid & ~use_half)),
            Cat(straight.payload.many, straight.payload.last).eq(
                Mux(out_wide, Cat(left.many, left.last), meta)
            ),
            spreads[1].wide.eq(~plan.contest),
            second.valid.eq(takes[1]),
            second.payload.eq(Cat(*seconds, left.many, left.last)),
        ]
        m.d.comb += [
            straight.payload.data[lane].eq(Mux(out_wide, firsts[lane], narrows[lane]))
            for lane in range(lanes)
        ]

        overflow = Signal()
        strange = Signal(lanes)
        exists = Cat(_holds(schedule.entered_many, lane) for lane in range(lanes))
        with m.If(schedule.entered & ~schedule.entered_pad & (strange & exists).any()):
            m.d.sync += overflow.eq(1)

        strobes = {
            "x_wide": x_wide, "y_wide": y_wide | masks_equal, "move": move, "accept": schedule.accept,
            "mask_positive": masks_positive, "mask_equal": masks_equal, "want": moving.token.want,
            "relu": plan.relu, "padded": schedule.padded_now, "narrow_move": narrow_move,
        }  # fmt: skip
        for name in ("address", "operand_address", "store_address", "scalar", "number"):
            strobes[name] = getattr(schedule, name)
        strobes["leave"] = schedule.room
        strobes |= {name: getattr(schedule, name) for name in schedule.strobes if name != "padded_now"}
        for lane in range(lanes):
            m.submodules[f"lane_{lane}"] = Instance(
                "wuve_lane",
                i_clk=ClockSignal(),
                i_rst=ResetSignal(),
                i_x=gathers["x"].vector[lane],
                i_y=gathers["y"].vector[lane],
                i_z=gathers["z"].vector[lane],
                i_exists=_holds(schedule.leave_many, lane),
                o_strange=strange[lane],
                o_left_first=firsts[lane],
                o_left_second=seconds[lane],
                o_narrow=narrows[lane],
                **{f"i_{name}": Value.cast(value) for name, value in strobes.items()},
            )

        # --- commands -----------------------------------------------------------------------------------
        windowed = chain | ops[Op.MAXPOOL]
        legal = Cat(ops.values()).any() & ~(windowed & ((command.chunk == 0) | (command.window == 0)))
        quiet = schedule.quiet & ~Cat(sequencer.valid, tokens.o.valid, waiting, left_valid, narrowing).any()
        quiet = quiet & ~Cat(self.out0.valid, self.out1.valid).any()
        m.d.comb += [sequencer.command.eq(command), sequencer.windowed.eq(windowed), self.busy.eq(1)]
        error = Signal()
        m.d.comb += Cat(self.status.payload.overflow, self.status.payload.error).eq(Cat(overflow, error))
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [self.busy.eq(0), self.command.ready.eq(1)]
                m.d.sync += [command.eq(self.command.payload), overflow.eq(0), error.eq(0)]
                with m.If(self.command.valid):
                    m.next = "DECODE"
            with m.State("DECODE"):
                m.d.sync += error.eq(~legal)
                m.next = "STATUS"
                with m.If(legal & (command.count != 0)):
                    m.d.comb += sequencer.start.eq(1)
                    m.next = "START"
            with m.State("START"):
                m.next = "RUN"
            with m.State("RUN"):
                with m.If(quiet):
                    m.d.sync += error.eq(schedule.too_long)
                    m.next = "STATUS"
            with m.State("STATUS"):
                m.d.comb += [self.status.valid.eq(1), schedule.clear.eq(1)]
                with m.If(self.status.ready):
                    m.next = "IDLE"
        return m


def _holds(many, lane: int):
    """Whether a vector of ``many`` + 1 elements has one in ``lane``."""
    return many >= lane if lane else Const(1, 1)
