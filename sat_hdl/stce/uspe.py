"""The processing element."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.mac import Mac
from sat_hdl.config import Config
from sat_hdl.memory.registered_lut_ram import RegisteredLutRam
from sat_hdl.memory.registered_ram import RegisteredRam
from sat_hdl.stce.groups import Groups
from sat_hdl.stce.skew import delay
from sat_hdl.stce.tokens import element_control, exchange_layout, weight_layout, west_token

__all__ = ["Uspe"]


class Uspe(wiring.Component):
    """Unified sparse processing element: one kept weight a cycle, dense or N:M alike.

    Holds two groups of M activations, one in use, one being filled (:class:`~sat_hdl.stce.groups.Groups`). Where
    products can be folded, there are several groups, of as many rows of A, in each half. J sums take turns, so that
    the adder, whose loop takes 8 cycles (``Mac.loop_latency`` and the write), never waits for itself. The sums are
    kept in two banks: while one is summed up, the results of the other leave through the exchange and initial
    accumulators for the next tile come in.

    Lock-step. Tokens are registered as they come, and leave for the neighbour in the next cycle. What is to be done
    with a weight later than it comes, up to the writing of its sum, is told by the tokens of those cycles
    (:attr:`waits`): 41 registers less than if each element kept it in mind. An index
    reads the activations whose tokens came in an earlier cycle than its own (where weights can be held, or in the
    same); the weight's value comes ``operand_latency`` later. A sum can be fetched by an
    exchange token that comes ``result_latency`` cycles after its last weight, and be added to by another
    weight ``least_span`` = 8 cycles later. An initial accumulator must come before the weight that starts
    from it.

    Weight-stationary, if the configuration has it, an element holds up to 16 kept weights, and a token says which of
    them is used; while it is used, another may come into its place. Sums then travel: an exchange token brings
    the sum of the element above for the next turn of the same entry, and takes the one of this turn. So a chain
    runs down a column, in the same order as in a single element.

    In a ring (``config.ring``) the sums of 8 slots go round in the adder: what it gives is what it takes a cycle
    later. So a weight meets its sum if it comes 8 cycles after the one before, or 16, 24 …; in cycles without
    weights -0 is added. One memory, of LUT RAM, has the initial accumulators of sums and then their results. Weights
    and the exchange can't use it in the same cycle: the exchange waits while sums begin with initial accumulators and
    while they are final, 8 cycles each.

    All memories are written in one place. Those of the loop are read by address without a clock, which every FPGA
    family has as LUT RAM: 16 deep costs what 2 deep costs. Initial accumulators can be asked for two cycles ahead, so
    they can lie in a block RAM: on an ECP5 eight blocks of LUT RAM an element less, 48 of its LUTs with the writing
    ports' slices. An element then reaches from its multiplier's row of the device to a block RAM's, and in a large
    array a tenth of all wire leads there: ``config.initial_ram`` chooses.

    Arguments
    ---------
    config: its operand format, max_m, fold, interleave, west_elements, initial_ram, group_ram, ring and target.

    Members
    -------
    west: In(west_token), east: Out(west_token).
    north: In(weight_layout), south: Out(weight_layout).
    exchange_in: In(exchange_layout), exchange_out: Out(exchange_layout).
    """

    def __init__(self, config: Config):
        self._config = config
        self._mac = Mac(format=config.format, target=config.target, idles=config.ring)
        self._groups = Groups(config)
        depth = 1 << config.entry_bits
        if config.ring:
            self._initial = None
        elif config.initial_ram == "block":
            self._initial = RegisteredRam(width=32, depth=depth, target=config.target)
        else:
            self._initial = RegisteredLutRam(width=32, depth=depth)
        assert self._mac.loop_latency + 1 == config.least_span
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
        """Cycles from a weight to the first exchange that sees its sum: the MAC's latency and the write, and where
        weights can be held, the choice of one."""
        return self._mac.latency + 1 + self.operand_latency

    @property
    def operand_latency(self) -> int:
        """Cycles from a weight's index to its value, and to the activation that it chooses."""
        return self._groups.latency + self._config.weight_stationary

    @property
    def waits(self) -> dict[str, tuple[str, int]]:
        """For each field of ``element_control``: which of ``north_control`` it is, and how many cycles late."""
        bank = ("bank", int(self._config.weight_stationary))
        chosen = self.operand_latency
        start = chosen + self._mac.acc_delay
        end = start + self._mac.loop_latency
        if self._initial is None:
            return {
                "valid": ("final", end),
                "write": ("entry", end),
                "read": ("entry", start),
                "first": ("first", start),
                "accumulate": ("accumulate", start),
                "bank": bank,
                "feeds": ("valid", chosen + self._mac.feeds_delay),
            }
        fields = {name: (name, 0) for name, _ in element_control(self._config)}
        return fields | {
            "bank": bank,
            "ahead": ("entry", start - self._initial.latency),
            "start": ("entry", start),
            "first": ("first", start),
            "accumulate": ("accumulate", start),
            "sum": ("entry", end),
            "valid": ("valid", end),
        }

    def elaborate(self, platform):
        m = Module()
        config = self._config
        m.submodules.mac = mac = self._mac

        west_in = self._register(m, self.west, "west")
        north_in = self._register(m, self.north, "north")
        m.d.comb += [self.east.eq(west_in), self.south.eq(north_in)]
        holds, keeps = Signal(), Const(1, 1)
        north, weight = north_in.control, north_in
        if config.weight_stationary:
            weight, keeps = self._held_or_given(m, north_in, holds)

        m.submodules.groups = groups = self._groups
        m.d.comb += [
            groups.west.eq(west_in),
            groups.index.eq(weight.index),
            groups.bank.eq(north.bank),
            mac.a.eq(groups.chosen),
            mac.b.eq(weight.value),
        ]

        exchange_in = self._register(m, self.exchange_in, "exchange")
        token, word = exchange_in.control, exchange_in.word
        done = Signal()
        take, passes, swap = Signal(), Signal(), Signal()
        loads = Signal()  # the word is an initial accumulator of this element
        if config.weight_stationary:
            m.d.comb += passes.eq(token.passes)
        sums = self._ring if config.ring else self._banks
        again, start, result = sums(m, north, keeps, token, word, loads)
        m.d.comb += [
            mac.acc.eq(Mux(north.first, Mux(north.accumulate, start, 0), again)),
            take.eq(token.valid & ~token.taken & (token.start | ~done)),
            swap.eq(Mux(passes, holds, take)),
            loads.eq(Mux(passes, token.valid, take & token.load)),
            self.exchange_out.eq(
                Cat(token.valid, token.taken | take, token.as_value()[2:], Mux(swap, result, word))
            ),
        ]
        with m.If(token.valid):
            m.d.sync += done.eq(take | (done & ~token.start))
        return m

    def _banks(self, m: Module, north, keeps, token, word, loads):
        """Two banks of sums, and two of initial accumulators. → a weight's sum, its initial accumulator, and the
        result that the exchange asks for."""
        initial = self._initial
        assert initial is not None
        m.submodules.initial = initial
        m.submodules.sums = sums = Memory(shape=32, depth=1 << self._config.entry_bits, init=[])
        # Never read for use in the cycle in which it is written: see above.
        write, again, result = sums.write_port(), *(sums.read_port(domain="comb") for _ in range(2))
        m.d.comb += [
            again.addr.eq(north.start),
            write.addr.eq(north.sum),
            write.data.eq(self._mac.o),
            write.en.eq(north.valid & keeps),
            initial.read_address.eq(north.ahead),
            initial.write_address.eq(token.entry),
            initial.write_data.eq(word),
            initial.write_enable.eq(loads),
            result.addr.eq(token.entry),
        ]
        return again.data, initial.read_data, result.data

    def _ring(self, m: Module, north, keeps, token, word, loads):
        """As :meth:`_banks`. A sum's place is its initial accumulator's, for that is used up when the sum is there.
        Who may read and who may write was settled at the edge."""
        m.submodules.sums = sums = Memory(shape=32, depth=1 << self._config.entry_bits, init=[])
        write, read = sums.write_port(), sums.read_port(domain="comb")
        # 8 cycles after a sum went in: the adder's ranks and this.
        again = Signal(32, reset_less=True)
        m.d.sync += again.eq(self._mac.o)
        m.d.comb += [
            self._mac.feeds.eq(north.feeds),
            read.addr.eq(north.read),
            write.addr.eq(north.write),
            write.data.eq(Mux(north.valid, self._mac.o, word)),
            write.en.eq(north.valid | loads),
        ]
        return again, read.data, read.data

    def _held_or_given(self, m: Module, token, holds: Signal):
        """The weight that is meant by ``token``, a cycle later: its own or one that is held here; and, when its sum
        is written, whether there is one. ``holds``: there are some here."""
        control = token.control
        kept = data.StructLayout({"keeps": 1, "index": self._config.index_bits, "value": token.value.shape()})
        m.submodules.held = held = Memory(shape=kept, depth=self._config.held, init=[])
        write, read = held.write_port(), held.read_port(domain="comb")
        mine = Signal()
        there = Signal()
        chosen = data.StructLayout({"index": len(token.index), "value": token.value.shape()})
        weight, registered = Signal(chosen), Signal(chosen, reset_less=True)
        m.d.comb += [
            mine.eq(control.hold & (control.row == 0)),
            self.south.control.row.eq(control.row - 1),
            write.addr.eq(control.place),
            write.data.eq(Cat(control.keeps, token.index[: self._config.index_bits], token.value)),
            write.en.eq(mine),
            read.addr.eq(control.place),
            there.eq(~control.held | read.data.keeps),
            weight.index.eq(token.index),
            weight.value.eq(token.value),
        ]
        with m.If(control.held):
            m.d.comb += [
                # An offset has the bits above those of an index in a group.
                weight.index.eq(read.data.index | control.offset),
                weight.value.eq(read.data.value),
            ]
        m.d.sync += [registered.eq(weight), holds.eq(mine | (holds & ~control.clear))]
        return registered, delay(m, there, self.waits["valid"][1], "there")

    @staticmethod
    def _register(m: Module, token, name: str):
        """``token`` a cycle later. Only ``valid``, the lowest bit, is reset."""
        bits = Value.cast(token)
        valid = Signal(name=f"{name}_valid")
        rest = Signal(len(bits) - 1, name=f"{name}_rest", reset_less=True)
        m.d.sync += [valid.eq(bits[0]), rest.eq(bits[1:])]
        return data.View(token.shape(), Cat(valid, rest))
