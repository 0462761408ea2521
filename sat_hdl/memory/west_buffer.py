"""W2E buffer: the activations of a product, a bank for each row of the array."""

from amaranth.hdl import Array, Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.layouts import west_layout
from sat_hdl.memory.banks import Banks
from sat_hdl.memory.read_pipe import ReadPipe
from sat_hdl.stce.skew import delay

__all__ = ["WestBuffer", "west_address"]


def west_address(config: Config) -> data.StructLayout:
    """Where the elements of a west beat lie in every row's bank: their word and the first one's place in it."""
    return data.StructLayout(
        {"word": (config.west_depth - 1).bit_length(), "lane": max(1, (config.ingest - 1).bit_length())}
    )


class WestBuffer(wiring.Component):
    """R banks of words of G = ``config.ingest`` elements, consecutive along k.

    Memory holds activations along their channels. Where k is the channels, a piece of memory goes to one row's
    bank (``columns`` low: element e to lane e); where m is the channels, as for a weight gradient, it goes
    across the banks (``columns`` high: element e to rows with the same number modulo G). So nothing is ever
    transposed
    elsewhere.

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
        m.submodules.pipe = pipe = ReadPipe(
            address_shape=west_address(config), data_shape=west_layout(config), latency=Banks.latency
        )
        wiring.connect(m, wiring.flipped(self.addresses), pipe.addresses)
        wiring.connect(m, pipe.out, wiring.flipped(self.elements))
        lane = delay(m, pipe.address.lane, Banks.latency, "lane")
        for r in range(config.rows):
            bank = Banks(parts=lanes, width=config.format.width, depth=config.west_depth)
            m.submodules[f"row_{r}"] = bank
            m.d.comb += [
                bank.write_address.eq(self.write_address),
                bank.write_enable.eq(self.write_lanes & self.write_rows[r].replicate(lanes)),
                bank.read_address.eq(pipe.address.word),
                bank.read_enable.eq(pipe.enable),
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
