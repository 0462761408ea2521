"""Frames: what is put in comes out, and nothing that was damaged does."""

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sat_hdl.link.protocol import CRC, ESCAPE, FLAG, Answer, Deframer, Op, Request, Result, Status, frame

BODIES = st.lists(
    st.lists(st.sampled_from([FLAG, ESCAPE, 0, 1, 0x5E, 0x5D, 0xFF]), min_size=1, max_size=40).map(bytes),
    max_size=5,
)


def test_the_crc_is_the_same_on_both_sides():
    assert CRC.compute(b"sat") == zlib.crc32(b"sat")


@settings(derandomize=True)
@given(BODIES, st.lists(st.integers(1, 7), min_size=1), st.binary(max_size=20))
def test_bodies_come_back(bodies, cuts, noise):
    """Whatever came before, and however the bytes are cut."""
    octets = noise + b"".join(map(frame, bodies))
    deframer, found = Deframer(), []
    while octets:
        for cut in cuts:
            found += deframer.feed(octets[:cut])
            octets = octets[cut:]
    assert [body for body in found if body is not None][-len(bodies) :] == bodies or not bodies


@settings(derandomize=True, max_examples=300)
@given(st.binary(min_size=1, max_size=30), st.data())
def test_damage_is_found(body, data):
    octets = bytearray(frame(body))
    at = data.draw(st.integers(1, len(octets) - 2))
    kind = data.draw(st.sampled_from(["change", "drop", "insert"]))
    if kind == "change":
        octets[at] ^= data.draw(st.integers(1, 255))
    elif kind == "drop":
        del octets[at]
    else:
        octets.insert(at, data.draw(st.integers(0, 255)))
    # An ESCAPE before an ESCAPE may have been either's.
    assert all(found in (None, body) for found in Deframer().feed(bytes(octets)))


def test_noise_without_end_is_not_kept():
    deframer = Deframer(most=16)
    for _ in range(100):
        assert list(deframer.feed(bytes(50))) == []
    assert len(deframer._held) < 100
    assert list(deframer.feed(frame(b"good"))) == [None, b"good"]


@pytest.mark.parametrize("op", Op)
def test_requests(op):
    request = Request(op, 0x12345678, data=b"ab", count=0x1234)
    body = request.body(9)
    assert body[:6] == bytes([9, op, 0x78, 0x56, 0x34, 0x12])
    assert body[6:] == (b"\x34\x12" if op.name.startswith(("READ", "FILL")) else b"ab")


def test_answers():
    answer = Answer(3, 2, b"data", Result.BUS_ERROR, Status.IRQ | Status.FRESH)
    assert Answer.parse(answer.body()) == answer
    assert Answer.parse(b"ab") is None
