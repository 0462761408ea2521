"""The AMBA AXI buses (Arm IHI 0022), as the port of a component: flat members with the standard's names.

``m_axi: Out(Axi4Signature(...))`` is a manager whose Verilog ports are ``m_axi_awaddr`` and so on.
"""

from amaranth.hdl import Module
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

__all__ = [
    "Axi4ReadSignature",
    "Axi4Signature",
    "Axi4WriteSignature",
    "AxiLiteSignature",
    "Burst",
    "Response",
    "connect_axi4",
]

#: AxCACHE of normal memory that is neither cached nor looked up in caches, and whose writes may be buffered.
CACHE_NORMAL = 0b0011


class Burst(enum.Enum, shape=2):
    """AxBURST."""

    FIXED = 0
    INCR = 1
    WRAP = 2


class Response(enum.Enum, shape=2):
    """RRESP and BRESP. Bit 1 says that it is an error."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


class _FlatSignature(wiring.Signature):
    """Its members are joined to the port's name by one underscore in Verilog, as buses are called elsewhere."""

    separator = "_"


def _check(data_bits: int, address_bits: int, id_bits: int):
    if not isinstance(data_bits, int) or not 8 <= data_bits <= 1024 or data_bits.bit_count() != 1:
        raise ValueError(f"data_bits must be a power of two from 8 to 1024, not {data_bits!r}")
    if not isinstance(address_bits, int) or not 1 <= address_bits <= 64:
        raise ValueError(f"address_bits must be an integer from 1 to 64, not {address_bits!r}")
    if not isinstance(id_bits, int) or not 1 <= id_bits <= 32:
        raise ValueError(f"id_bits must be an integer from 1 to 32, not {id_bits!r}")


def _address_channel(prefix: str, address_bits: int, id_bits: int) -> dict[str, wiring.Member]:
    widths = {"addr": address_bits, "len": 8, "size": 3, "burst": Burst, "lock": 1, "cache": 4, "prot": 3}
    return {
        f"{prefix}id": Out(id_bits),
        **{f"{prefix}{name}": Out(width) for name, width in widths.items()},
        f"{prefix}valid": Out(1),
        f"{prefix}ready": In(1),
    }


def _read_channels(data_bits: int, address_bits: int, id_bits: int) -> dict[str, wiring.Member]:
    return {
        **_address_channel("ar", address_bits, id_bits),
        "rid": In(id_bits),
        "rdata": In(data_bits),
        "rresp": In(Response),
        "rlast": In(1),
        "rvalid": In(1),
        "rready": Out(1),
    }


def _write_channels(data_bits: int, address_bits: int, id_bits: int) -> dict[str, wiring.Member]:
    return {
        **_address_channel("aw", address_bits, id_bits),
        "wdata": Out(data_bits),
        "wstrb": Out(data_bits // 8),
        "wlast": Out(1),
        "wvalid": Out(1),
        "wready": In(1),
        "bid": In(id_bits),
        "bresp": In(Response),
        "bvalid": In(1),
        "bready": Out(1),
    }


class Axi4ReadSignature(_FlatSignature):
    """AR and R of an AXI4 manager."""

    def __init__(self, *, data_bits: int, address_bits: int = 32, id_bits: int):
        _check(data_bits, address_bits, id_bits)
        super().__init__(_read_channels(data_bits, address_bits, id_bits))


class Axi4WriteSignature(_FlatSignature):
    """AW, W and B of an AXI4 manager."""

    def __init__(self, *, data_bits: int, address_bits: int = 32, id_bits: int):
        _check(data_bits, address_bits, id_bits)
        super().__init__(_write_channels(data_bits, address_bits, id_bits))


class Axi4Signature(_FlatSignature):
    """All five channels of an AXI4 manager; region, QoS and user signals are left out."""

    def __init__(self, *, data_bits: int, address_bits: int = 32, id_bits: int):
        _check(data_bits, address_bits, id_bits)
        super().__init__(
            {
                **_write_channels(data_bits, address_bits, id_bits),
                **_read_channels(data_bits, address_bits, id_bits),
            }
        )


class AxiLiteSignature(_FlatSignature):
    """All five channels of an AXI4-Lite manager with 32 bits of data."""

    def __init__(self, *, address_bits: int = 32):
        _check(32, address_bits, 1)
        members: dict[str, wiring.Member] = {}
        for prefix in ("aw", "ar"):
            members |= {
                f"{prefix}addr": Out(address_bits),
                f"{prefix}prot": Out(3),
                f"{prefix}valid": Out(1),
                f"{prefix}ready": In(1),
            }
        members |= {"wdata": Out(32), "wstrb": Out(4), "wvalid": Out(1), "wready": In(1)}
        members |= {"bresp": In(Response), "bvalid": In(1), "bready": Out(1)}
        members |= {"rdata": In(32), "rresp": In(Response), "rvalid": In(1), "rready": Out(1)}
        super().__init__(members)


def connect_axi4(m: Module, outer, *halves):
    """Drives ``outer``, a component's own Axi4 port, from inner components' read and write ports.

    Identifiers may be wider outside: they are extended with zeros. An input of ``outer`` that no half has is left
    alone, so its ``ready`` or ``valid`` is without effect.
    """
    for half in halves:
        for name, member in half.signature.members.items():
            inner, outside = getattr(half, name), getattr(outer, name)
            m.d.comb += outside.eq(inner) if member.flow is Out else inner.eq(outside)
