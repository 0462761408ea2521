"""The front: nobody beats a point of it, and every other point is beaten."""

import random

import pytest

from sat_hdl.config import ConfigError
from sat_hdl.sweep.plot import front, pareto


@pytest.mark.parametrize("seed", range(5))
def test_front(seed):
    print(f"seed {seed}")
    random_ = random.Random(seed)
    points = [(random_.randrange(12), random_.randrange(12)) for _ in range(60)]
    found = front(points)

    def beaten(point):
        return any(p != point and p[0] <= point[0] and p[1] <= point[1] for p in points)

    assert set(found) == {point for point in points if not beaten(point)}
    assert found == sorted(found)


def rows():
    return [{"network": "vit", "seconds": "1.5", "samples": "2", "multipliers": "8", "buffer_kib": "4"}]


@pytest.mark.parametrize("kind, head", [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_formats(kind, head, tmp_path):
    pareto(rows(), tmp_path / f"p.{kind}", tmp_path / "partial")
    assert (tmp_path / "partial").read_bytes().startswith(head)


def test_refusals(tmp_path):
    with pytest.raises(ConfigError, match=r"must end in \.png"):
        pareto(rows(), tmp_path / "p.gif", tmp_path / "partial")
    with pytest.raises(ConfigError, match="nothing to plot"):
        pareto([row | {"seconds": ""} for row in rows()], tmp_path / "p.png", tmp_path / "partial")
