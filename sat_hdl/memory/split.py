"""Cuts runs into bursts that AXI allows."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.memory.affine import run_layout
from sat_hdl.memory.register_slice import RegisterSlice

__all__ = ["BurstSplit", "burst_layout", "check_widths"]


def burst_layout() -> data.StructLayout:
    """``length`` + 1 beats from byte ``address`` on. ``begins``, ``ends``: a run. ``last``: the stream's last run.

    A run that is padding has one burst, whatever its length, whose address and length say nothing.
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

    Members
    -------
    last_beat: In(32). Of every run, counted from 0; steady from the cycle before the first run is taken.
    runs: In(stream of run_layout). Addresses are multiples of a beat.
    bursts: Out(stream of burst_layout).
    clear: In(1). Forgets everything.
    """

    latency = 3

    def __init__(self, *, data_bits: int, burst_beats: int):
        check_widths(data_bits, burst_beats)
        self._data_bits, self._burst_beats = data_bits, burst_beats
        super().__init__(
            {
                "last_beat": In(32),
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

        # Where in its block of burst_beats a run begins and ends, and how many blocks further it does.
        run = Signal(run_layout())
        run_valid = Signal()
        run_taken = Signal()
        sum_ = Signal(33 - byte_bits)
        m.d.comb += self.runs.ready.eq(~run_valid | run_taken)
        with m.If(self.runs.ready):
            m.d.sync += [
                run_valid.eq(self.runs.valid),
                run.eq(self.runs.payload),
                sum_.eq(self.last_beat[: 32 - byte_bits] + self.runs.payload.address[byte_bits:][:beat_bits]),
            ]

        # The burst to cut off next, and how many are left behind it.
        block = Signal(block_bits)
        low = Signal(beat_bits)
        end = Signal(beat_bits)
        more = Signal(len(sum_) - beat_bits)
        begins, ends, padding, last = (Signal(name=n) for n in ("begins", "ends", "padding", "last"))
        valid = Signal()
        taken = Signal()
        blocks = sum_[beat_bits:]
        m.d.comb += run_taken.eq(run_valid & (~valid | (taken & ends)))
        with m.If(run_taken):
            m.d.sync += [
                valid.eq(1),
                block.eq(run.address[byte_bits + beat_bits :]),
                low.eq(run.address[byte_bits:]),
                end.eq(sum_),
                more.eq(blocks),
                begins.eq(1),
                ends.eq(run.padding | (blocks == 0)),
                padding.eq(run.padding),
                last.eq(run.last),
            ]
        with m.Elif(taken):
            m.d.sync += [
                valid.eq(~ends),
                block.eq(block + 1),
                low.eq(0),
                more.eq(more - 1),
                begins.eq(0),
                ends.eq(more == 1),
            ]

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
            m.d.sync += [run_valid.eq(0), valid.eq(0)]
        return m
