"""Activations of a processing element, and the choice among them."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from sat_hdl.arith.normalise import operand_layout
from sat_hdl.config import Config
from sat_hdl.memory.registered_ram import RegisteredRam
from sat_hdl.stce.skew import delay
from sat_hdl.stce.tokens import west_token

__all__ = ["Groups"]


class Groups(wiring.Component):
    """Two halves of groups of activations, one in use, one being filled, in a small memory that a weight's index
    addresses: the M:1 operand selector costs no logic.

    Lock-step: ``chosen`` follows ``index`` and ``bank`` by ``latency`` cycles, 0 from LUT RAM, 2 from a block RAM
    (``config.group_ram``). It is what ``west`` brought in an earlier cycle than that of ``index``; from a block RAM
    it must not come in the same.

    On an ECP5 groups in a block RAM are 30 LUTs less and, what counts more in a large array, fewer wires: an index
    leads to 5 pins instead of 20, and so does a west token's address.

    Arguments
    ---------
    config: its operand format, max_m, fold, west_elements, group_ram and target.

    Members
    -------
    west: In(west_token).
    index: In(config.element_bits), of an element in half of the memory, bank: In(1): the half.
    chosen: Out(operand_layout).
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "west": In(west_token(config)),
                "index": In(config.element_bits),
                "bank": In(1),
                "chosen": Out(operand_layout(config.format)),
            }
        )

    @property
    def latency(self) -> int:
        """Cycles from an index to the element."""
        return 2 if self._config.group_ram == "block" else 0

    def elaborate(self, platform):
        m = Module()
        # Element e of a group lies in lane e mod E.
        lanes = self._config.west_elements
        lane_bits = (lanes - 1).bit_length()
        control = self.west.control
        padding = Const(0, len(control.address) + lane_bits - len(self.index))
        written = Cat(control.address, control.bank)
        address = Cat(self.index[lane_bits:], padding, self.bank)
        ram = self._block_ram if self.latency else self._lut_ram
        selected = [
            ram(m, f"group_{lane}", written, control.valid, self.west.elements[lane], address)
            for lane in range(lanes)
        ]
        lane = delay(m, self.index[:lane_bits], self.latency, "lane") if lane_bits else Const(0, 0)
        with m.Switch(lane):
            for number in range(lanes):
                with m.Case(number):
                    m.d.comb += self.chosen.eq(selected[number])
        return m

    def _lut_ram(self, m: Module, name: str, written, enable, element, address):
        m.submodules[name] = group = Memory(shape=element.shape(), depth=1 << len(address), init=[])
        write, read = group.write_port(), group.read_port(domain="comb")
        m.d.comb += [
            write.addr.eq(written),
            write.data.eq(element),
            write.en.eq(enable),
            read.addr.eq(address),
        ]
        return read.data

    def _block_ram(self, m: Module, name: str, written, enable, element, address) -> Signal:
        width = element.shape().size
        group = RegisteredRam(width=width, depth=1 << len(address), target=self._config.target)
        assert group.latency == self.latency
        m.submodules[name] = group
        m.d.comb += [
            group.write_address.eq(written),
            group.write_data.eq(element),
            group.write_enable.eq(enable),
            group.read_address.eq(address),
        ]
        return group.read_data
