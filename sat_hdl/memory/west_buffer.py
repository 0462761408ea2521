"""W2E buffer: the activations of a product, a bank for each row of the array."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from sat_hdl.config import Config
from sat_hdl.layouts import west_layout
from sat_hdl.memory.element_bank import ElementBank
from sat_hdl.memory.read_pipe import ReadPipe

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
    bank; where m is the channels, as for a weight gradient, it goes across the banks. So nothing is ever transposed
    elsewhere. In the bank of row r element e of a word lies at place e xor r, modulo G; so one order of
    ``write_data`` serves both ways: lane j holds element j xor r of a piece for row r alone, or what goes to rows
    j xor e, modulo G, if it goes to lane e of several rows. Weight-stationary, a bank holds the elements of its row
    of the array, of row after row of A; each reads at its own distance behind the first one's place.

    Arguments
    ---------
    config: rows, ingest, west_depth, west_elements.

    Members
    -------
    write_address: In. write_rows: In(R), write_lanes: In(G): where, in rows and in their words. write_data: In(G
        elements).
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
                "write_data": In(data.ArrayLayout(config.format.width, config.ingest)),
                "addresses": In(stream.Signature(address)),
                "elements": Out(stream.Signature(west_layout(config))),
            }
        )

    def elaborate(self, platform):
        m = Module()
        config = self._config
        lanes, step = config.ingest, config.west_elements
        address = west_address(config)
        position = data.StructLayout({name: address[name].shape for name in ("lane", "word")})
        positions = data.ArrayLayout(position, config.rows) if config.weight_stationary else None
        pieces = data.ArrayLayout(config.format.width, step)
        m.submodules.pipe = pipe = ReadPipe(
            address_shape=address,
            data_shape=data.ArrayLayout(pieces, config.rows),
            place_shape=positions,
        )
        wiring.connect(m, wiring.flipped(self.addresses), pipe.addresses)
        m.d.comb += [self.elements.valid.eq(pipe.out.valid), pipe.out.ready.eq(self.elements.ready)]
        read = pipe.out.payload
        # Bits of a place in a word, and of one in what is read at once.
        bits, inside = (lanes - 1).bit_length(), (step - 1).bit_length()
        for r in range(config.rows):
            bank = ElementBank(
                parts=lanes,
                step=step,
                width=config.format.width,
                depth=config.west_depth,
                target=config.target,
            )
            m.submodules[f"row_{r}"] = bank
            if positions is not None:
                self._skew(m, pipe, r)
            place, now = ((a if positions is None else a[r]) for a in (pipe.address, read.address))
            turned = r % lanes >> inside
            m.d.comb += [
                bank.write_address.eq(self.write_address),
                bank.read_address.eq(Cat(place.lane[inside:bits] ^ turned, place.word)),
                bank.read_enable.eq(pipe.enable),
                pipe.data[r].eq(bank.read_data),
                bank.write_data.eq(self.write_data),
            ]
            for lane in range(lanes):
                enable = self.write_lanes[lane ^ r % lanes] & self.write_rows[r]
                m.d.comb += bank.write_enable[lane].eq(enable)
            for e in range(step):
                # Of a pair of elements of a bank that is turned within the pair, too.
                found = Array(read.data[r][piece ^ r % step] for piece in range(step))
                m.d.comb += self.elements.payload[r][e].eq(found[now.lane[:inside] | e])
        return m

    def _skew(self, m: Module, pipe: ReadPipe, row: int):
        """Where row ``row`` reads: behind the first one's place, for weights can be held."""
        address, position = pipe.next, pipe.place[row]
        # Positions of elements: a place in a word of one element has no bits.
        bits = (self._config.ingest - 1).bit_length()
        place = Cat(address.lane[:bits], address.word)
        behind = Signal(len(place), name=f"behind_{row}")
        with m.Switch(address.skew):
            for skew in range(1, 6):
                with m.Case(skew):
                    m.d.comb += behind.eq(row << skew)
        here = Signal(len(place), name=f"here_{row}")
        m.d.comb += [here.eq(place - behind), position.lane.eq(here[:bits]), position.word.eq(here[bits:])]
