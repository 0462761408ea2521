"""N2S buffer: the weights of a product, or the gradients that take their place."""

from amaranth.hdl import Array, Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.layouts import north_layout
from sat_hdl.memory.banks import Banks
from sat_hdl.memory.read_pipe import ReadPipe

__all__ = ["INDEX_BITS", "NorthBuffer", "north_address"]

#: Of an index in memory, whatever M is.
INDEX_BITS = 4


def north_address(config: Config) -> data.StructLayout:
    """Where a north beat lies: its word, a row of a panel, and which C columns of the panel."""
    parts = config.panel // config.cols
    return data.StructLayout(
        {"word": (config.north_depth - 1).bit_length(), "part": max(1, (parts - 1).bit_length())}
    )


class NorthBuffer(wiring.Component):
    """Words of a panel's E = ``config.panel`` values, and beside each its E indices of 4 bits.

    Arguments
    ---------
    config: cols, panel, north_depth, index_bits.

    Members
    -------
    write_address: In. write_values: In(E): lanes. write_indices: In(E / 4): quadruples of indices.
    write_data: In(E × 16 bits): values, or in the low E × 4 bits indices.
    addresses: In(stream of north_address), weights: Out(stream of north_layout).
    """

    def __init__(self, config: Config):
        self._config = config
        address = north_address(config)
        super().__init__(
            {
                "write_address": In(address["word"].shape),
                "write_values": In(config.panel),
                "write_indices": In(config.panel // 4),
                "write_data": In(data.ArrayLayout(16, config.panel)),
                "addresses": In(stream.Signature(address)),
                "weights": Out(stream.Signature(north_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        cols, parts = config.cols, config.panel // config.cols
        m.submodules.pipe = pipe = ReadPipe(
            address_shape=north_address(config),
            data_shape=data.StructLayout(
                {
                    "values": data.ArrayLayout(16, config.panel),
                    "indices": data.ArrayLayout(INDEX_BITS, config.panel),
                }
            ),
        )
        wiring.connect(m, wiring.flipped(self.addresses), pipe.addresses)
        m.submodules.values = values = Banks(parts=config.panel, width=16, depth=config.north_depth)
        m.submodules.indices = indices = Banks(parts=config.panel // 4, width=16, depth=config.north_depth)
        for bank, enable in ((values, self.write_values), (indices, self.write_indices)):
            m.d.comb += [
                bank.write_address.eq(self.write_address),
                bank.write_enable.eq(enable),
                bank.write_data.eq(self.write_data),
                bank.read_address.eq(pipe.address.word),
                bank.read_enable.eq(pipe.enable),
            ]
        read, part = pipe.out.payload.data, pipe.out.payload.address.part
        m.d.comb += [
            pipe.data["values"].as_value().eq(values.read_data.as_value()),
            pipe.data.indices.as_value().eq(indices.read_data.as_value()),
            self.weights.valid.eq(pipe.out.valid),
            pipe.out.ready.eq(self.weights.ready),
        ]
        for c in range(cols):
            lanes = [p * cols + c for p in range(parts)]
            weight = self.weights.payload[c]
            for target, words in ((weight.value, read["values"]), (weight.index, read.indices)):
                m.d.comb += target.eq(Array(words[lane] for lane in lanes)[part if parts > 1 else 0])
        return m
