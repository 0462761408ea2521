"""The processing element."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.mac import Mac
from sat_hdl.config import Config
from sat_hdl.stce.tokens import exchange_layout, weight_layout, west_token

__all__ = ["Uspe"]


class Uspe(wiring.Component):
    """Unified sparse processing element: one kept weight a cycle, dense or N:M alike.

    Holds two groups of M activations (one in use, one being filled) in a small memory that the weight's
    index addresses: the M:1 operand selector costs no logic. J sums take turns, so that the adder, whose
    loop takes 8 cycles (``Mac.loop_latency`` and the write), never waits for itself. The sums are kept in
    two banks: while one is summed up, the results of the other leave through the exchange and initial
    accumulators for the next tile come in.

    Lock-step. Tokens leave for the neighbour 1 cycle after they came. A weight reads its activation in the
    cycle in which it comes: elements written in an earlier cycle are seen, in the same cycle not yet. A
    sum can be read by the exchange ``result_latency`` cycles after its weight came, and may be used by
    another weight of its slot ``interleave`` ≥ 8 cycles later. An initial accumulator must come before the
    weight that starts from it.

    All memories are written in one place and read by address without a clock, which every FPGA family
    has as LUT RAM: 16 deep costs what 2 deep costs.

    Arguments
    ---------
    config: its operand format, max_m, interleave, west_elements and target.

    Members
    -------
    west: In(west_token), east: Out(west_token).
    north: In(weight_layout), south: Out(weight_layout).
    exchange_in: In(exchange_layout), exchange_out: Out(exchange_layout).
    """

    def __init__(self, config: Config):
        self._config = config
        self._mac = Mac(format=config.format, target=config.target)
        super().__init__(
            {
                "west": In(west_token(config)),
                "east": Out(west_token(config)),
                "north": In(weight_layout(config)),
                "south": Out(weight_layout(config)),
                "exchange_in": In(exchange_layout(config)),
                "exchange_out": Out(exchange_layout(config)),
            }
        )

    @property
    def result_latency(self) -> int:
        """Cycles from a weight to the first exchange that sees its sum: the MAC's latency and the write."""
        return self._mac.latency + 1

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.mac = mac = self._mac

        self._forward(m, self.west, self.east)
        self._forward(m, self.north, self.south)

        # --- operand selector -------------------------------------------------------------------------
        # Element e of a group lies in lane e mod E.
        lanes = config.west_elements
        lane_bits = (lanes - 1).bit_length()
        west, north = self.west.control, self.north.control
        depth = 2 << len(west.address)
        operand = self.west.elements[0].shape()
        selected = []
        for lane in range(lanes):
            group = Memory(shape=operand, depth=depth, init=[])
            m.submodules[f"group_{lane}"] = group
            write, read = group.write_port(), group.read_port(domain="comb")
            m.d.comb += [
                write.addr.eq(Cat(west.address, west.bank)),
                write.data.eq(self.west.elements[lane]),
                write.en.eq(west.valid),
                read.addr.eq(Cat(self.north.index[lane_bits:], north.bank)),
            ]
            selected.append(read.data)
        chosen = Signal(operand)
        with m.Switch(self.north.index[:lane_bits]):
            for lane in range(lanes):
                with m.Case(lane):
                    m.d.comb += chosen.eq(selected[lane])
        m.d.comb += [mac.a.eq(chosen), mac.b.eq(self.north.value)]

        # --- accumulators -----------------------------------------------------------------------------
        slots = 1 << len(north.slot)
        m.submodules.sums = sums = Memory(shape=32, depth=2 * slots, init=[])
        m.submodules.initial = initial = Memory(shape=32, depth=2 * slots, init=[])
        sum_write, sum_read, result = (
            sums.write_port(),
            sums.read_port(domain="comb"),
            sums.read_port(domain="comb"),
        )
        initial_write, initial_read = initial.write_port(), initial.read_port(domain="comb")
        start = self._delayed(m, north, mac.acc_delay, "start")
        m.d.comb += [
            sum_read.addr.eq(Cat(start.slot, start.tile)),
            initial_read.addr.eq(Cat(start.slot, start.tile)),
            mac.acc.eq(Mux(start.first, Mux(start.accumulate, initial_read.data, 0), sum_read.data)),
        ]
        end = self._delayed(m, start, mac.loop_latency, "end")
        m.d.comb += [
            sum_write.addr.eq(Cat(end.slot, end.tile)),
            sum_write.data.eq(mac.o),
            sum_write.en.eq(end.valid),
        ]

        # --- exchange ---------------------------------------------------------------------------------
        token, word = self.exchange_in.control, self.exchange_in.word
        done = Signal()
        take = Signal()
        address = Cat(token.slot, token.tile)
        out = Signal(self.exchange_out.shape(), reset_less=True)
        out_valid = Signal()
        m.d.comb += [
            take.eq(token.valid & ~token.taken & (token.start | ~done)),
            result.addr.eq(address),
            initial_write.addr.eq(address),
            initial_write.data.eq(word),
            initial_write.en.eq(take & token.load),
            self.exchange_out.eq(out),
            self.exchange_out.control.valid.eq(out_valid),
        ]
        m.d.sync += [
            out.eq(self.exchange_in),
            out.control.taken.eq(token.taken | take),
            out.word.eq(Mux(take, result.data, word)),
            out_valid.eq(token.valid),
        ]
        with m.If(token.valid):
            m.d.sync += done.eq(take | (done & ~token.start))
        return m

    @staticmethod
    def _forward(m: Module, token, out):
        """One hop: everything registered, only ``valid`` reset."""
        data = Signal(token.shape(), reset_less=True)
        valid = Signal()
        m.d.sync += [data.eq(token), valid.eq(token.control.valid)]
        m.d.comb += [out.eq(data), out.control.valid.eq(valid)]

    @staticmethod
    def _delayed(m: Module, token, cycles: int, name: str):
        """``token`` as it was ``cycles`` ago; only ``valid`` is reset."""
        for i in range(cycles):
            data = Signal(token.shape(), name=f"{name}_{i}", reset_less=True)
            valid = Signal(name=f"{name}_{i}_valid")
            view = Signal(token.shape(), name=f"{name}_{i}_token")
            m.d.sync += [data.eq(token), valid.eq(token.valid)]
            m.d.comb += [view.eq(data), view.valid.eq(valid)]
            token = view
        return token
