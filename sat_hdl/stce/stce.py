"""STCE, the N:M sparse tensor computing engine: R × C processing elements and their edges."""

from amaranth.hdl import Cat, ClockSignal, Instance, Module, Mux, ResetSignal, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.normalise import Normalise
from sat_hdl.config import Config
from sat_hdl.layouts import result_layout, west_layout
from sat_hdl.stce.skew import delay
from sat_hdl.stce.tokens import (
    element_control,
    exchange_control,
    exchange_layout,
    north_control,
    placed_layout,
    weight_layout,
    west_control,
    west_token,
)
from sat_hdl.stce.uspe import Uspe

__all__ = ["Stce"]


class Stce(wiring.Component):
    """The array, output-stationary: activations go west to east, weights and sums' exchange north to south.

    Lock-step. Row r gets its west tokens r cycles late, column c its north and exchange tokens c cycles late;
    so what enters at the edges in one cycle meets in every element in one cycle: element (r, c) sees it
    ``edge_latency`` + 1 + r + c cycles after it entered. Rules between tokens (see :class:`Uspe`) can
    therefore be kept by looking at the edges alone. Column c's ``results`` show what its exchange token of
    ``exchange_latency`` + c cycles ago brings.

    Operands are normalised once, at the edge (R·E + C normalisers). The quiet bit of a NaN among the
    initial accumulators is set there too, as the adder asks.

    Every element is one instance of one Verilog module, ``uspe``.

    Arguments
    ---------
    config: everything.

    Members
    -------
    west_control: In(west_control), west: In(west_layout): raw elements for all rows.
    north_control: In(north_control), north: In(placed_layout): raw weights for all columns.
    exchange_control: In(exchange_control), initial: In(result_layout): accumulators for all columns.
    results: Out(result_layout).
    """

    def __init__(self, config: Config):
        self._config = config
        self._uspe = Uspe(config)
        #: Verilog modules that this one instantiates by name; see ``sat_hdl.sim.verilog.emit``.
        self.shared_modules = {"uspe": self._uspe}
        super().__init__(
            {
                "west_control": In(west_control(config)),
                "west": In(west_layout(config)),
                "north_control": In(north_control(config)),
                "north": In(placed_layout(config)),
                "exchange_control": In(exchange_control(config)),
                "initial": In(result_layout(config)),
                "results": Out(result_layout(config)),
            }
        )

    @property
    def edge_latency(self) -> int:
        """Cycles from the edge to what element (0, 0) registers: the normalisers'."""
        return Normalise.latency_of(self._config.format)

    @property
    def exchange_latency(self) -> int:
        """Cycles from an exchange token's entering to column 0's result: the edge and R hops."""
        return self.edge_latency + self._config.rows

    @property
    def result_latency(self) -> int:
        """Cycles that an exchange token must enter after the last weight of the sum that it fetches."""
        return self._uspe.result_latency

    def elaborate(self, platform):
        m = Module()
        config = self._config
        rows, cols = range(config.rows), range(config.cols)
        # Plain signals, taken apart by nobody: those with a layout would cost a large array's generation
        # half a minute.
        token_bits = west_token(config).size, weight_layout(config).size, exchange_layout(config).size
        easts, souths, exchanges = [], [], []

        # --- edges: a lane's control hops from lane to lane, its data waits as long ---------------------
        control = delay(m, self.west_control, self.edge_latency, "west_control", reset=True)
        for r in rows:
            elements = []
            for e in range(config.west_elements):
                m.submodules[f"west_{r}_{e}"] = normalise = Normalise(format=config.format)
                m.d.comb += normalise.i.eq(delay(m, self.west[r][e], r, f"west_r{r}_{e}"))
                elements.append(normalise.o)
            easts.append(Cat(control, *elements))
            control = delay(m, control, 1, f"west_control_r{r}", reset=True)
        control = self._waited(
            m, delay(m, self.north_control, self.edge_latency, "north_control", reset=True)
        )
        lead = 0 if config.weight_stationary else self._uspe.operand_latency
        exchange = delay(m, self.exchange_control, self.edge_latency, "exchange_control", reset=True)
        for c in cols:
            m.submodules[f"north_{c}"] = normalise = Normalise(format=config.format)
            pair = self.north[c]
            m.d.comb += normalise.i.eq(delay(m, pair.value, c + lead, f"value_c{c}"))
            index = delay(m, pair.index, c + self.edge_latency, f"index_c{c}")
            word = delay(m, _quiet(self.initial[c]), c + self.edge_latency, f"initial_c{c}")
            souths.append(Cat(self._merged(control, exchange), normalise.o, index))
            exchanges.append(Cat(self._way(exchange), word))
            control = delay(m, control, 1, f"north_control_c{c}", reset=True)
            exchange = delay(m, exchange, 1, f"exchange_control_c{c}", reset=True)

        # --- the elements -------------------------------------------------------------------------------
        # Their reset comes a cycle late, from a register: it has many loads, and no token is that quick.
        reset = Signal(init=1, reset_less=True)
        m.d.sync += reset.eq(ResetSignal())
        for r in rows:
            for c in cols:
                names = f"east_{r}_{c}", f"south_{r}_{c}", f"exchange_{r}_{c}"
                east, south, exchange = (Signal(bits, name=n) for bits, n in zip(token_bits, names))
                m.submodules[f"uspe_{r}_{c}"] = Instance(
                    "uspe",
                    i_clk=ClockSignal(),
                    i_rst=reset,
                    i_west=easts[r],
                    o_east=east,
                    i_north=souths[c],
                    o_south=south,
                    i_exchange_in=exchanges[c],
                    o_exchange_out=exchange,
                )
                easts[r], souths[c], exchanges[c] = east, south, exchange
        m.d.comb += [self.results[c].eq(exchanges[c][-32:]) for c in cols]
        return m

    def _waited(self, m: Module, given):
        """What elements take of ``given``, bits of a north_control, each part as late as they take it."""
        given = data.View(north_control(self._config), given)
        return Cat(
            delay(m, given[source], cycles, f"wait_{name}", reset=True)
            for name, (source, cycles) in self._uspe.waits.items()
        )

    def _merged(self, control, exchange):
        """In a ring one memory is read and written for weights and for the exchange, one at a time."""
        if not self._config.ring:
            return control
        fields = data.View(element_control(self._config), control)
        entry = data.View(exchange_control(self._config), exchange).entry
        starts = fields.first & fields.accumulate
        merged = {
            "write": Mux(fields.valid, fields.write, entry),
            "read": Mux(starts, fields.read, entry),
        }
        return Cat(merged.get(name, fields[name]) for name, _ in element_control(self._config))

    def _way(self, exchange):
        """What of an exchange token goes south: in a ring the sum's place is among the weight's."""
        if not self._config.ring:
            return exchange
        fields = data.View(exchange_control(self._config), exchange)
        return Cat(fields[name] for name, _ in exchange_layout(self._config)["control"].shape)


def _quiet(word):
    """A binary32 word with the quiet bit set if it is NaN."""
    nan = word[23:31].all() & word[:23].any()
    return Cat(word[:22], word[22] | nan, word[23:])
