"""What the hardware of a request refuses. What it does is shown with the whole link, in test_memory_link.py."""

import pytest

from sat_hdl.link.access import LinkAccess


def test_a_bad_width_is_refused():
    with pytest.raises(ValueError, match="data_bits must be a power of two"):
        LinkAccess(data_bits=48, csr_bits=9, identity=b"")


def test_too_long_an_identity_is_refused():
    with pytest.raises(ValueError, match="identity must have at most 512 bytes, not 513"):
        LinkAccess(data_bits=64, csr_bits=9, identity=bytes(513))
