"""W2E buffer: the activations of a product, a bank for each row of the array."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.layouts import west_layout
from sat_hdl.memory.banks import Banks
from sat_hdl.memory.read_pipe import ReadPipe
from sat_hdl.stce.skew import delay

__all__ = ["WestBuffer", "west_address"]


def west_address(config: Config) -> data.StructLayout:
    """Where the elements of a west beat lie in every row's bank: their word and the first one's place in it.

    ``skew``, if not 0: of an array that holds weights. Row r reads 2**skew · r elements before that place: what row
    0 read some turns ago.
    """
    fields = {"word": (config.west_depth - 1).bit_length(), "lane": max(1, (config.ingest - 1).bit_length())}
    return data.StructLayout(fields | ({"skew": 3} if config.weight_stationary else {}))


class WestBuffer(wiring.Component):
    """R banks of words of G = ``config.ingest`` elements, consecutive along k.

    Memory holds activations along their channels. Where k is the channels, a piece of memory goes to one row's
    bank (``columns`` low: element e to lane e); where m is the channels, as for a weight gradient, it goes
    across the banks (``columns`` high: element e to rows with the same number modulo G). So nothing is ever
    transposed
    elsewhere. Weight-stationary, a bank holds the elements of its row of the array, of row after row of A; each reads
    at its own distance behind the first one's place.

    Arguments
    ---------
    config: rows, ingest, west_depth, west_elements.

    Members
    -------
    write_address: In. write_rows: In(R), write_lanes: In(G): where. columns: In(1). write_data: In(G elements).
    addresses: In(stream of west_address), elements: Out(stream of west_layout).
    """

    def __init__(self, config: Config):
        self._config = config
        address = west_address(config)
        super().__init__(
            {
                "write_address": In(address["word"].shape),
                "write_rows": In(config.rows),
                "write_lanes": In(config.ingest),
                "columns": In(1),
                "write_data": In(data.ArrayLayout(config.format.width, config.ingest)),
                "addresses": In(stream.Signature(address)),
                "elements": Out(stream.Signature(west_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        lanes, step = config.ingest, config.west_elements
        latency = Banks.latency + config.weight_stationary
        m.submodules.pipe = pipe = ReadPipe(
            address_shape=west_address(config), data_shape=west_layout(config), latency=latency
        )
        wiring.connect(m, wiring.flipped(self.addresses), pipe.addresses)
        wiring.connect(m, pipe.out, wiring.flipped(self.elements))
        for r in range(config.rows):
            bank = Banks(parts=lanes, width=config.format.width, depth=config.west_depth)
            m.submodules[f"row_{r}"] = bank
            word, lane, enable = self._skewed(m, pipe, r)
            lane = delay(m, lane, Banks.latency, f"lane_{r}")
            m.d.comb += [
                bank.write_address.eq(self.write_address),
                bank.write_enable.eq(self.write_lanes & self.write_rows[r].replicate(lanes)),
                bank.read_address.eq(word),
                bank.read_enable.eq(enable),
            ]
            with m.If(self.columns):
                for part in range(lanes):
                    m.d.comb += bank.write_data[part].eq(self.write_data[r % lanes])
            with m.Else():
                m.d.comb += bank.write_data.eq(self.write_data)
            for e in range(step):
                words = Array(bank.read_data[part] for part in range(lanes))
                m.d.comb += pipe.data[r][e].eq(words[lane | e])
        return m

    def _skewed(self, m: Module, pipe: ReadPipe, row: int):
        """What row ``row`` reads: word, place in it, and whether it reads; a cycle late where weights can be held."""
        config, address = self._config, pipe.address
        if not config.weight_stationary:
            return address.word, address.lane, pipe.enable
        # Positions of elements: a place in a word of one element has no bits.
        bits = (config.ingest - 1).bit_length()
        place = Cat(address.lane[:bits], address.word)
        position = Signal(len(place), name=f"position_{row}", reset_less=True)
        behind = Signal(len(place), name=f"behind_{row}")
        with m.Switch(address.skew):
            for skew in range(1, 6):
                with m.Case(skew):
                    m.d.comb += behind.eq(row << skew)
        m.d.sync += position.eq(place - behind)
        enable = delay(m, pipe.enable, 1, f"enable_{row}", reset=True)
        return position[bits:], position[:bits], enable
