"""The exchanger against a list of its passes: which places come, when they may, what they carry."""

import random
from collections import deque
from dataclasses import dataclass

import pytest

from sat_hdl.config import Config
from sat_hdl.control.exchange import Exchanger
from sat_hdl.control.tiles import tile_layout
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation
from sat_hdl.stce.tokens import exchange_control

from .stepping import Part, Tile, bits, entry_of, fields, folded_tiles, tiles_of, turns_of

RESULT_LATENCY = 10
CONFIGS = {
    "r2c1": Config(rows=2, cols=1),
    "r1c1_j9": Config(rows=1, cols=1, interleave=9),
    "r3c1_j11": Config(rows=3, cols=1, interleave=11),
    "r2c1_j16": Config(rows=2, cols=1, interleave=16),
    "r2c1_fold4": Config(rows=2, cols=1, fold=4),
    "r3c1_ring": Config(rows=3, cols=1, weight_stationary=False, ring=True),
}


@pytest.fixture(scope="module")
def simulation():
    parts = {name: Exchanger(config, result_latency=RESULT_LATENCY) for name, config in CONFIGS.items()}
    with Simulation(Bundle(parts)) as sim:
        yield sim


@dataclass
class Place:
    """What a cycle of a pass does. ``place`` None: the pass has nothing to do and takes one cycle."""

    place: tuple[int, int] | None  # slot and row
    parity: int
    load: bool = False
    issue: bool = False
    grant: bool = False
    ends: bool = False


def passes(config: Config, tiles: list[Tile], accumulate: bool, parity: int) -> list[Place]:
    """Tile p's results leave with the accumulators of tile p + 2; a wide tile is alone in both banks."""
    found = []
    previous = drained = None

    def one(load: Tile | None):
        nonlocal previous, drained, parity
        loaded = load if accumulate else None
        takers = [tile for tile in (loaded, drained) if tile]
        if not takers:
            found.append(Place(None, parity))
        for slot in range(max((tile.slots for tile in takers), default=0)):
            for row in range(max(tile.height(config, slot) for tile in takers)):
                inside = [
                    tile is not None and slot < tile.slots and row < tile.height(config, slot)
                    for tile in (loaded, drained)
                ]
                found.append(Place((slot, row), parity, load=inside[0], issue=inside[1]))
        found[-1].ends, found[-1].grant = True, load is not None
        previous, drained, parity = load, previous, 1 - parity

    for tile in tiles:
        alone = tile.slots > config.interleave or (previous and previous.slots > config.interleave)
        if alone and (previous or drained):
            one(None)
            one(None)
        one(tile)
    while previous or drained:
        one(None)
    return found


@pytest.mark.parametrize("accumulate", [0, 1])
@pytest.mark.parametrize("stall", [0, 0.3, 0.8])
@pytest.mark.parametrize("name", CONFIGS)
def test_passes(simulation, name, stall, accumulate):
    config = CONFIGS[name]
    rng = random.Random(f"{name} {stall} {accumulate}")
    part = Part(simulation, name)
    parity = 0
    full = config.interleave
    shapes = [(1, 1, 1), (config.rows, full, 1), (2 * config.rows + 1, full - 1, 1), (1, 3 * full, 1),
              (3 * config.rows, full + 7, 1), (config.rows + 1, 2 * full + 1, 1), (2, 2 * full + 8, 1)]  # fmt: skip
    if config.fold > 1:
        shapes += [(13, 2, 2), (16, 3, 4), (17, 3, 4), (35, 1, 8), (5, 4, 2), (19, 7, 2)]
    for m, n, fold in shapes:
        tiles = folded_tiles(config, m, n, fold) if fold > 1 else tiles_of(config, m, n)
        want = passes(config, tiles, bool(accumulate), parity)
        initial = [rng.getrandbits(32) for place in want if place.load]
        words = [tile.word(config) for tile in tiles]
        part.start(accumulate=accumulate)
        finals: deque[int] = deque()  # cycles of `final` not fetched yet
        computing = deque()  # slots of granted tiles that are still to be computed
        taken = tile = position = 0
        used: set[int] = set()  # cycles in which a ring's weights use the memory of sums
        for now in range(100 * len(want) + 1000):
            if position == len(want):
                break
            final = bool(computing) and rng.random() >= stall
            starts = config.ring and rng.random() < 0.2
            used |= {now + RESULT_LATENCY - 1} if final and config.ring else set()
            used |= {now + RESULT_LATENCY - 8} if starts else set()
            room = rng.random() >= stall
            if config.ring:
                part.set(starts=starts)
            part.set(final=final, room=room, tiles__valid=tile < len(tiles), tiles__payload=(*words, 0)[tile])
            offered = part.offer("initial", initial, taken, rng, stall)
            place = want[position]
            fetched = bool(finals) and finals[0] + RESULT_LATENCY <= now
            may = now not in used and (not place.issue or (room and (place.place[1] > 0 or fetched)))
            step = place.place is not None and may and (not place.load or offered)
            done = step or place.place is None
            control = fields(exchange_control(config), part.get("control"))
            assert control["valid"] == step
            assert part.get("initial__ready") == (place.load and may)
            assert part.get("starved") == (place.load and may and not offered)
            assert part.get("blocked") == (place.issue and not room)
            assert part.get("issue") == (step and place.issue)
            assert part.get("grant") == part.get("tiles__ready") == (done and place.grant)
            assert part.get("busy") == 1
            if step:
                slot, row = place.place
                assert (control["start"], control["load"], control["taken"]) == (row == 0, place.load, 0)
                assert control["entry"] == entry_of(config, slot, place.parity)
                if place.load:
                    assert part.get("words") == initial[taken]
                    taken += 1
                if place.issue and row == 0:
                    finals.popleft()
            if final:
                computing.popleft()
                finals.append(now)
            if done and place.grant:
                computing.extend([tile] * tiles[tile].slots)
                tile += 1
            position += done
            part.step()
        assert position == len(want), f"stuck at {position} of {len(want)}, m = {m}, n = {n}"
        part.set(final=0, initial__valid=0, **({"starts": 0} if config.ring else {}))
        for _ in range(RESULT_LATENCY):  # a ring's `starts` pass
            part.step()
        assert part.get("busy") == 0
        assert not finals and not computing
        parity ^= len(tiles) % 2


@pytest.mark.parametrize("latency", [0, "9"])
def test_illegal_latency_is_refused(latency):
    with pytest.raises(ValueError, match=f"^Result latency must be a positive integer, not {latency!r}$"):
        Exchanger(Config(), result_latency=latency)


@pytest.mark.parametrize("accumulate", [0, 1])
@pytest.mark.parametrize("stall", [0, 0.3, 0.8])
@pytest.mark.parametrize("name", [name for name, config in CONFIGS.items() if config.weight_stationary])
def test_passes_of_turns(simulation, name, stall, accumulate):
    """Weight-stationary: a place for each slot of a turn; it takes the sums of the turn before the last one."""
    config = CONFIGS[name]
    rng = random.Random(f"turns {name} {stall} {accumulate}")
    part = Part(simulation, name)
    parity = 0
    for m, rows, slots in [
        (1, 1, 0),
        (8, config.rows, 0),
        (9, config.rows, 2),
        (5, 1, 3),
        (20, config.rows, 1),
    ]:
        turns = list(turns_of(config, m, rows, config.cols, keep=1, group=1, slots=slots))
        words = [bits(tile_layout(config), **turn) for turn in turns]
        # (turn, slot, needs a word, brings results); two passes more than turns.
        want = []
        for number in range(len(turns) + 2):
            takes = turns[number]["takes"] if number < len(turns) and accumulate else 0
            gives = turns[number - 2]["gives"] if number >= 2 else 0
            want += [(number, slot, takes >> slot & 1, gives >> slot & 1) for slot in range(8)]
        initial = [rng.getrandbits(32) for *_, load, _ in want if load]
        part.start(accumulate=accumulate, stationary=1)
        finals: deque[int] = deque()
        taken = position = finished = 0
        for now in range(100 * len(want) + 100):
            if position == len(want):
                break
            number, slot, load, issue = want[position]
            # A turn's slot is used once its place has gone by.
            final = finished < min(position, 8 * len(turns)) and rng.random() >= stall
            room = rng.random() >= stall
            inside = number < len(turns)
            part.set(
                final=final, room=room, tiles__valid=inside, tiles__payload=words[number] if inside else 0
            )
            offered = part.offer("initial", initial, taken, rng, stall)
            fetched = number < 2 or (bool(finals) and finals[0] + RESULT_LATENCY <= now)
            may = fetched and (room or not issue)
            step = may and (offered or not load)
            control = fields(exchange_control(config), part.get("control"))
            assert control["valid"] == step
            assert part.get("initial__ready") == (may and load)
            assert part.get("issue") == (step and issue)
            assert part.get("passed") == (step and inside)
            assert part.get("tiles__ready") == (step and inside and slot == 7)
            assert part.get("blocked") == (issue and not room)
            assert part.get("starved") == (may and load and not offered)
            assert part.get("busy") == 1
            if step:
                entry = entry_of(config, slot, parity)
                expected = {"taken": 0, "start": 1, "load": 1, "passes": 1, "entry": entry}
                assert control == control | expected, (number, slot)
                assert part.get("words") == (initial[taken] if load else 0)
                taken += load
                if number >= 2:
                    finals.popleft()
                position += 1
                if slot == 7:
                    parity ^= 1
            if final:
                finals.append(now)
                finished += 1
            part.step()
        assert position == len(want), f"stuck at {position} of {len(want)}, m = {m}"
        part.set(final=0, initial__valid=0, tiles__valid=0)
        assert part.get("busy") == 0
        assert not finals
