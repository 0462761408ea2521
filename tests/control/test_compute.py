"""The sequencer of weights: order, flags and indices against nested loops, under random stalls."""

import random

import pytest

from sat_hdl.compiler.product import Product
from sat_hdl.config import Config
from sat_hdl.control.compute import Sequencer
from sat_hdl.control.tiles import tile_layout
from sat_hdl.layouts import pair_layout
from sat_hdl.sim.bundle import Bundle
from sat_hdl.sim.fast import Simulation
from sat_hdl.stce.tokens import north_control, placed_layout

from .stepping import Part, bits, entry_of, fields, folded_tiles, tiles_of, turns_of

CONFIGS = {
    "r2c1": Config(rows=2, cols=1),
    "r1c2_m4_j11": Config(rows=1, cols=2, max_m=4, interleave=11),
    "r1c1_m16_j16": Config(rows=1, cols=1, max_m=16, interleave=16),
    "r2c2_m4_fold4": Config(rows=2, cols=2, max_m=4, fold=4),
}


@pytest.fixture(scope="module")
def simulation():
    with Simulation(Bundle({name: Sequencer(config) for name, config in CONFIGS.items()})) as sim:
        yield sim


def turns(config, tiles, k, keep, group, bank, parity):
    """One entry a cycle that a step takes: None for a bubble, else what must go to the array; and whether it
    ends a group, a tile."""
    for tile in tiles:
        for start in range(0, k, group):
            length = min(group, k - start)
            kept = min(keep, length)
            for j in range(kept):
                for slot in range(tile.span):
                    end_of_group = j == kept - 1 and slot == tile.span - 1
                    end_of_tile = end_of_group and start + length == k
                    token = None
                    if slot < tile.slots:
                        token = {
                            "valid": 1,
                            "entry": entry_of(config, slot, parity),
                            "bank": bank,
                            "first": int(start == 0 and j == 0),
                            "kept": j,
                            "start": slot % tile.bands * group,
                            "takes": slot % tile.bands == tile.bands - 1,
                            "final": int(j == kept - 1 and start + length == k),
                        }
                    yield token, end_of_group, end_of_tile
            bank ^= 1
        parity ^= 1


@pytest.mark.parametrize("stall", [0, 0.2, 0.7])
@pytest.mark.parametrize("name", CONFIGS)
def test_sequence(simulation, name, stall):
    config = CONFIGS[name]
    rng = random.Random(f"{name} {stall}")
    part = Part(simulation, name)
    bank = parity = 0
    tile_slots = config.cols * config.interleave
    pair, placed = pair_layout(config), placed_layout(config).elem_shape
    for group in config.group_lengths():
        for keep in {1, group // 2, group - 1, group}:
            k = rng.choice([1, group - 1, group, group + 1, 2 * group + rng.randint(1, group)])
            n = rng.choice([1, tile_slots - 1, tile_slots, tile_slots + 1, tile_slots + 9 * config.cols])
            fold = rng.choice(Product.folds(config, n, group))
            tiles = tiles_of(config, 2 * config.rows, n)
            if fold > 1:
                tiles = folded_tiles(config, 3 * fold * config.rows - 1, n, fold)
            accumulate = rng.randint(0, 1)
            want = list(turns(config, tiles, k, keep, group, bank, parity))
            weights = [
                rng.getrandbits(pair.size * config.cols) for token, *_ in want if token and token["takes"]
            ]
            words = [tile.word(config) for tile in tiles]
            part.start(k=k, keep=keep, group=group, accumulate=accumulate)
            taken = tile = position = 0
            granted = to_grant = 0
            for _ in range(60 * len(want) + 100):
                if position == len(want):
                    break
                grant = to_grant < len(tiles) and granted < 2 and rng.random() >= stall
                filled = rng.random() >= stall
                part.set(grant=grant, filled=filled)
                offered = part.offer("weights", weights, taken, rng, stall)
                # The exchanger grants a tile only when it has seen it, so the stream has it too.
                part.set(tiles__valid=tile < len(tiles), tiles__payload=words[tile])
                token, end_of_group, end_of_tile = want[position]
                ready = granted > 0 and filled
                step = ready and (offered or token is None)
                takes = token is not None and token["takes"]
                assert part.get("weights__ready") == (ready and takes)
                control = fields(north_control(config), part.get("control"))
                assert control["valid"] == (step and token is not None)
                assert part.get("release") == (step and end_of_group)
                assert part.get("tiles__ready") == (step and end_of_tile)
                assert part.get("starved") == (granted > 0 and not step)
                assert part.get("blocked") == (granted == 0)
                assert part.get("final") == (control["valid"] and token["final"])
                if control["valid"]:
                    assert control == {key: control[key] for key in control} | {
                        key: token[key] for key in ("entry", "bank", "first")
                    } | {"accumulate": accumulate}
                    sent = part.get("north")
                    for c in range(config.cols):
                        lane = fields(pair, weights[taken] >> (c * pair.size))
                        index = token["kept"] if keep == group else lane["index"]
                        want_lane = bits(placed, value=lane["value"], index=index | token["start"])
                        assert sent >> (c * placed.size) & ((1 << placed.size) - 1) == want_lane
                    taken += takes
                position += step
                if step and end_of_group:
                    bank ^= 1
                if step and end_of_tile:
                    parity ^= 1
                    tile += 1
                granted += grant - (step and end_of_tile)
                to_grant += grant
                part.step()
                if tile == len(tiles):
                    part.set(tiles__valid=0)
                    break
            assert position == len(want), f"stuck at {position} of {len(want)}"
            part.set(grant=0, weights__valid=0)


def held_steps(config, turn, keep, slots, group):
    """One entry a step of a weight-stationary turn: kept, slot, the fields of what goes to the array, and whether a
    weight is taken."""
    for kept in range(keep):
        for slot in range(8):
            u, s = divmod(slot, 1 << slots)
            hold = turn["brings"] and u == (8 >> slots) - 1  # the last row of A that may use the old ones
            fields_ = {
                "valid": turn["computes"], "first": int(kept == 0), "accumulate": 1, "held": 1,
                "place": kept << slots | s, "offset": u * group % config.group_depth, "hold": int(hold),
                "clear": int(turn["clears"]),
            }  # fmt: skip
            if hold:
                fields_ |= {"row": turn["row"], "keeps": int(kept < turn["keeps"])}
            fed = hold and kept < turn["keeps"] and s <= turn["columns"]
            yield kept, slot, fields_, fed


@pytest.mark.parametrize("stall", [0, 0.3])
@pytest.mark.parametrize("name", CONFIGS)
def test_weights_that_are_held(simulation, name, stall):
    """Turns one after the other: a slot waits for its sums to have been passed on, a turn for its activations."""
    config = CONFIGS[name]
    rng = random.Random(f"held {name} {stall}")
    part = Part(simulation, name)
    bank = parity = 0
    pair, placed = pair_layout(config), placed_layout(config).elem_shape
    for group in (1, *config.group_lengths()):
        for keep in {1, group // 2 or 1, group}:
            slots = rng.choice([s for s in range(4) if keep << s <= config.held])
            k, n = rng.randint(1, config.rows * group), rng.randint(1, config.cols << slots)
            turns_ = list(turns_of(config, rng.randint(1, 20), k, n, keep=keep, group=group, slots=slots))
            want = [
                (number, *step)
                for number, turn in enumerate(turns_)
                for step in held_steps(config, turn, keep, slots, group)
            ]
            words = [bits(tile_layout(config), **turn) for turn in turns_]
            weights = [rng.getrandbits(pair.size * config.cols) for *_, fed in want if fed]
            part.start(k=keep, keep=keep, group=group, stationary=1, slots=slots)
            taken = position = passed = sent = 0
            for _ in range(20 * len(want) + 100):
                if position == len(want):
                    break
                number, kept, slot, token, fed = want[position]
                turn = turns_[number]
                filled = rng.random() >= stall
                passes = rng.random() >= stall and passed < 16 and sent < 8 * len(turns_)
                part.set(filled=filled, passed=passes)
                offered = part.offer("weights", weights, taken, rng, stall)
                part.set(tiles__valid=1, tiles__payload=words[number])
                granted = kept > 0 or passed > 0
                ready = granted and (filled or not turn["computes"])
                step = ready and (offered or not fed)
                assert part.get("weights__ready") == (ready and fed)
                control = fields(north_control(config), part.get("control"))
                assert control["valid"] == (step and token["valid"])
                assert control["hold"] == (step and token["hold"])
                assert control["clear"] == (step and token["clear"])
                ends = step and kept == keep - 1 and slot == 7
                assert part.get("final") == (step and kept == keep - 1)
                assert part.get("release") == (ends and turn["computes"])
                assert part.get("tiles__ready") == ends
                assert part.get("busy") == (step and turn["takes"] >> slot & 1)
                assert part.get("blocked") == (not granted)
                assert part.get("starved") == (granted and not step)
                if step:
                    token = token | {"entry": entry_of(config, slot, parity), "bank": bank}
                    assert control == control | token, (number, kept, slot)
                    if fed:
                        sent_words = part.get("north")
                        for c in range(config.cols):
                            lane = fields(pair, weights[taken] >> (c * pair.size))
                            index = kept if keep == group else lane["index"]
                            want_lane = bits(placed, value=lane["value"], index=index)
                            assert sent_words >> (c * placed.size) & ((1 << placed.size) - 1) == want_lane
                        taken += 1
                    passed -= kept == 0
                    position += 1
                if ends:
                    parity ^= 1
                    bank ^= turn["computes"]
                passed += passes
                sent += passes
                part.step()
            assert position == len(want), f"stuck at {position} of {len(want)}"
            assert taken == len(weights)
            while sent < 8 * len(turns_):  # the exchanger passes each slot of each turn
                part.set(tiles__valid=0, passed=1)
                part.step()
                sent += 1
            part.set(passed=0, weights__valid=0, filled=0, tiles__valid=0)
