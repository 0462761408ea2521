"""Cuts runs into bursts that AXI allows."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.ecp5 import MuxAdder, check_target
from sat_hdl.memory.affine import run_layout
from sat_hdl.memory.register_slice import RegisterSlice

__all__ = ["BurstSplit", "burst_layout", "check_widths"]


def burst_layout() -> data.StructLayout:
    """``length`` + 1 beats from byte ``address`` on. ``begins``, ``ends``: a run. ``last``: the stream's last run.

    Runs that are padding are cut like others; the addresses of their bursts say nothing.
    """
    return data.StructLayout({"address": 32, "length": 8, "begins": 1, "ends": 1, "padding": 1, "last": 1})


def check_widths(data_bits: int, burst_beats: int):
    """Raises ValueError on what no part of a stream can have."""
    if not isinstance(data_bits, int) or not 16 <= data_bits <= 512 or data_bits.bit_count() != 1:
        raise ValueError(f"data_bits must be a power of two from 16 to 512, not {data_bits!r}")
    most = min(256, 4096 * 8 // data_bits)
    if not isinstance(burst_beats, int) or not 2 <= burst_beats <= most or burst_beats.bit_count() != 1:
        raise ValueError(
            f"burst_beats must be a power of two from 2 to {most} with {data_bits} data bits, not {burst_beats!r}"
        )


class BurstSplit(wiring.Component):
    """Cuts runs at every multiple of ``burst_beats`` beats: so no burst is longer, or crosses one of 4096 bytes.

    One burst a cycle while they are taken; the first of a run is valid ``latency`` cycles after the run was offered.

    Arguments
    ---------
    data_bits: of a beat.
    burst_beats: a power of two; no more than 4096 bytes.
    target: "ecp5" or "portable".

    Members
    -------
    run: In(32). Bytes of every run, at least 1; steady from two cycles before the first run is taken.
    runs: In(stream of run_layout). Addresses are multiples of a beat.
    bursts: Out(stream of burst_layout).
    clear: In(1). Forgets everything.
    """

    latency = 2

    def __init__(self, *, data_bits: int, burst_beats: int, target: str = "portable"):
        check_widths(data_bits, burst_beats)
        check_target(target)
        self._data_bits, self._burst_beats, self._target = data_bits, burst_beats, target
        super().__init__(
            {
                "run": In(32),
                "runs": In(stream.Signature(run_layout())),
                "bursts": Out(stream.Signature(burst_layout())),
                "clear": In(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        byte_bits = (self._data_bits // 8 - 1).bit_length()
        beat_bits = self._burst_beats.bit_length() - 1
        block_bits = 32 - byte_bits - beat_bits

        # A run's beats: `whole` blocks of burst_beats and `rest`, up to a block. Where it ends, counted from the
        # first beat of the block in which it begins, is then at most one block further or one less.
        rest = Signal(beat_bits + 1, reset_less=True)
        whole = self.run[byte_bits + beat_bits :]
        none, one = Signal(reset_less=True), Signal(reset_less=True)  # whole blocks
        m.d.sync += [
            rest.eq(self.run[byte_bits : byte_bits + beat_bits] + self.run[:byte_bits].any()),
            none.eq(whole == 0),
            one.eq(whole == 1),
        ]

        # The burst to cut off next, and how many are left behind it.
        run = self.runs.payload
        block = Signal(block_bits, reset_less=True)
        low = Signal(beat_bits, reset_less=True)
        end = Signal(beat_bits, reset_less=True)
        more = Signal(block_bits, reset_less=True)
        begins, ends, padding, last = (Signal(name=n) for n in ("begins", "ends", "padding", "last"))
        valid, taken, loads = Signal(), Signal(), Signal()
        reaches = Signal(signed(beat_bits + 3))
        fewer, further = reaches < 0, reaches[beat_bits] & ~(reaches < 0)
        m.submodules.next_block = next_block = MuxAdder(width=block_bits, carry=True, target=self._target)
        m.submodules.next_more = next_more = MuxAdder(width=block_bits, carry=True, target=self._target)
        m.d.comb += [
            reaches.eq((run.address[byte_bits:][:beat_bits] + rest).as_signed() - 1),
            loads.eq(~valid | (taken & ends)),
            self.runs.ready.eq(loads),
            next_block.y0.eq(block),
            next_block.y1.eq(run.address[byte_bits + beat_bits :]),
            next_block.s.eq(loads),
            next_block.carry.eq(~loads),
            next_more.x.eq((~loads | fewer).replicate(block_bits)),
            next_more.y0.eq(more),
            next_more.y1.eq(whole),
            next_more.s.eq(loads),
            next_more.carry.eq(loads & further),
        ]
        with m.If(loads | taken):
            m.d.sync += [block.eq(next_block.o), more.eq(next_more.o), begins.eq(loads)]
        with m.If(loads):
            m.d.sync += [
                valid.eq(self.runs.valid),
                low.eq(run.address[byte_bits:]),
                end.eq(reaches),
                ends.eq((none & ~further) | (one & fewer)),
                padding.eq(run.padding),
                last.eq(run.last),
            ]
        with m.Elif(taken):
            m.d.sync += [low.eq(0), ends.eq(more == 1)]

        m.submodules.out = out = RegisterSlice(shape=burst_layout())
        wiring.connect(m, out.o, wiring.flipped(self.bursts))
        burst = out.i.payload
        final = Signal(beat_bits)
        m.d.comb += [
            out.i.valid.eq(valid),
            out.clear.eq(self.clear),
            taken.eq(valid & out.i.ready),
            final.eq(end | (~ends).replicate(beat_bits)),
            burst.length.eq((final - low)[:beat_bits]),
            burst.begins.eq(begins),
            burst.ends.eq(ends),
            burst.padding.eq(padding),
            burst.last.eq(last),
            burst.address[byte_bits:].eq(Cat(low, block)),
        ]
        with m.If(self.clear):
            m.d.sync += valid.eq(0)
        return m
