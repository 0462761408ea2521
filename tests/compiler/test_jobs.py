"""Places in parts: who touches some samples waits for the parts that they are in, and for no others."""

from sat_hdl.compiler.jobs import Place
from sat_hdl.compiler.parts import ranges


def test_parts_that_are_touched():
    for batch, parts in ((7, 3), (8, 4), (5, 5), (6, 1)):
        cut = ranges(batch, parts)
        place = Place("x", 0, (0, *(part.stop for part in cut)))
        assert place.regions == tuple(map(place.part, cut))
        for start in range(batch):
            for stop in range(start + 1, batch + 1):
                touched = place.touched(range(start, stop)).regions
                assert touched == tuple(
                    place.part(part) for part in cut if part.start < stop and start < part.stop
                )


def test_a_whole_place_has_one_name():
    assert Place("x", 0).touched(range(2, 3)).regions == ("x",)
