"""Result buffer: what a product starts from and what it gives, until it is stored."""

from amaranth.hdl import Module, Mux
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.layouts import result_layout
from sat_hdl.memory.banks import Banks
from sat_hdl.memory.read_pipe import ReadPipe

__all__ = ["ResultBuffer", "result_address", "result_word"]


def result_address(config: Config):
    """Shape of a word's address."""
    return (config.result_depth - 1).bit_length()


def result_word(config: Config) -> data.StructLayout:
    """A beat of results and where it goes."""
    return data.StructLayout({"address": result_address(config), "lanes": result_layout(config)})


class ResultBuffer(wiring.Component):
    """Words of C binary32: biases, partial sums, results. It takes the place of a transposing store buffer, and
    lets long sums be cut without going to memory.

    One word is written and one read in a cycle. A piece that is loaded goes before results, an initial accumulator
    before what is stored: both are rare.

    Arguments
    ---------
    config: cols, result_depth.

    Members
    -------
    writes: In(1). Pieces come, if there are any: best from a register, for it chooses what every bit of a word gets.
    write_address: In. write_parts: In(2·C), write_data: In(2·C × 16 bits): halves of binary32.
    results: In(stream of result_word).
    initial_addresses, stored_addresses: In(streams of addresses). initial, stored: Out(streams of result_layout).
    """

    def __init__(self, config: Config):
        self._config = config
        address = result_address(config)
        super().__init__(
            {
                "writes": In(1),
                "write_address": In(address),
                "write_parts": In(2 * config.cols),
                "write_data": In(data.ArrayLayout(16, 2 * config.cols)),
                "results": In(stream.Signature(result_word(config))),
                "initial_addresses": In(stream.Signature(address)),
                "initial": Out(stream.Signature(result_layout(config))),
                "stored_addresses": In(stream.Signature(address)),
                "stored": Out(stream.Signature(result_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        parts = 2 * config.cols
        m.submodules.banks = banks = Banks(parts=parts, width=16, depth=config.result_depth)
        loads = self.writes
        result = self.results.payload
        m.d.comb += [
            self.results.ready.eq(~loads),
            banks.write_address.eq(Mux(loads, self.write_address, result.address)),
            banks.write_enable.eq(Mux(loads, self.write_parts, self.results.valid.replicate(parts))),
            banks.write_data.as_value().eq(Mux(loads, self.write_data.as_value(), result.lanes.as_value())),
        ]
        pipes = []
        for name, addresses, out in (
            ("initial", self.initial_addresses, self.initial),
            ("stored", self.stored_addresses, self.stored),
        ):
            pipe = ReadPipe(
                address_shape=result_address(config), data_shape=banks.read_data.shape(), shared=True
            )
            m.submodules[name] = pipe
            wiring.connect(m, wiring.flipped(addresses), pipe.addresses)
            m.d.comb += [
                pipe.data.eq(banks.read_data),
                out.valid.eq(pipe.out.valid),
                out.payload.as_value().eq(pipe.out.payload.data.as_value()),
                pipe.out.ready.eq(out.ready),
            ]
            pipes.append(pipe)
        first, second = pipes
        m.d.comb += [
            first.displaced.eq(second.enable),
            second.displaced.eq(first.enable),
            second.granted.eq(~first.wants),
            banks.read_enable.eq(first.wants | second.wants),
            banks.read_address.eq(Mux(first.wants, first.address, second.address)),
        ]
        return m
