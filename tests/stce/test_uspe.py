"""One element, driven by tokens as a row of a column of elements sees them, cycle for cycle."""

import zlib

import numpy as np
import pytest

from sat_hdl.config import Config
from sat_hdl.sim.fast import Simulation
from sat_hdl.sim.packing import pack_lanes, unpack_lanes
from sat_hdl.stce.tokens import element_control, exchange_layout, north_control, weight_layout, west_token
from sat_hdl.stce.uspe import Uspe

from .array_model import Traffic, quiet
from .beats import controls, normalised

#: Rows of the column that the element is part of.
ROWS = 3
CONFIGS = {
    "fp16": Config(rows=ROWS, cols=1),
    "bf16-m16-j11": Config(rows=ROWS, cols=1, max_m=16, interleave=11, operand_format="bf16"),  # E = 2
    "fp16-os": Config(rows=ROWS, cols=1, weight_stationary=False),
    "fp16-block": Config(rows=ROWS, cols=1, weight_stationary=False, group_ram="block"),
    "fp16-m16-block": Config(
        rows=ROWS, cols=1, max_m=16, weight_stationary=False, group_ram="block"
    ),  # E = 2
    "fp16-lut": Config(rows=ROWS, cols=1, initial_ram="lut"),
    "fp16-m2-j16": Config(rows=ROWS, cols=1, max_m=2, interleave=16),
}


@pytest.fixture(scope="module", params=CONFIGS)
def design(request):
    config = CONFIGS[request.param]
    uspe = Uspe(config)
    with Simulation(uspe) as sim:
        yield config, uspe, sim


def words(layout, fields: dict[str, np.ndarray]) -> np.ndarray:
    """Arrays of fields, by path, → one row of 32-bit words a token."""
    n = len(next(iter(fields.values())))
    bits = np.zeros((n, layout.size), np.uint8)
    for path, values in fields.items():
        at, shape = 0, layout
        for key in path.split("."):
            field = shape[int(key) if key.isdecimal() else key]
            at, shape = at + field.offset, field.shape
        width = getattr(shape, "size", None) or getattr(shape, "width", shape)
        for bit in range(width):
            bits[:, at + bit] = values.astype(np.uint64) >> np.uint64(bit) & np.uint64(1)
    return pack_lanes(bits, 1)


def port(beats: np.ndarray, width: int) -> np.ndarray:
    """Beats as ``Simulation.vectors`` takes, or gives, a port of ``width`` bits."""
    return beats if width > 64 else unpack_lanes(beats, 1, 64)[:, 0] if width > 32 else beats[:, 0]


def waited(uspe: Uspe, config: Config, given: np.ndarray) -> np.ndarray:
    """Bits of north_control, one a cycle → those of element_control; before the first there is no weight."""
    source, target = north_control(config), element_control(config)
    made = np.zeros_like(given)
    for name, (origin, cycles) in uspe.waits.items():
        field = given >> source[origin].offset & ((1 << source[origin].width) - 1)
        made |= late(field, cycles) << target[name].offset
    return made


def late(values: np.ndarray, cycles: int) -> np.ndarray:
    return np.concatenate([np.zeros(cycles, values.dtype), values])[: len(values)]


@pytest.mark.parametrize("row", range(ROWS))
def test_random_traffic(design, row):
    config, uspe, sim = design
    seed = zlib.crc32(f"{config} {row}".encode())
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    cycles = 3000
    traffic = Traffic(config, cycles, uspe.result_latency, rng)
    lanes = config.west_elements

    layouts = {
        "west": west_token(config),
        "north": weight_layout(config),
        "exchange_in": exchange_layout(config),
    }
    elements = rng.integers(0, 1 << 16, (cycles, lanes)).astype(np.uint16)
    value = rng.integers(0, 1 << 16, cycles).astype(np.uint16)
    index = rng.integers(0, config.max_m, cycles)
    word = rng.integers(0, 1 << 32, cycles)
    tokens = {"west": [], "north": [], "exchange": []}
    places = {}  # cycle → the row that is to take the place
    swapped = {}  # cycle → the word that leaves when sums are passed on
    place = 0
    for cycle, step in enumerate(traffic.steps):
        exchange = None
        if step.west:
            elements[cycle] = step.west[1][row]
        if step.north:
            value[cycle], index[cycle] = step.north[1][0], step.north[2][0]
            if config.weight_stationary:
                control = step.north[0]
                away = (control.get("row", 0) - row) % (1 << config.row_bits)  # rows that are still to come
                step.north = (control | {"row": away}, *step.north[1:])
        if step.exchange:
            exchange, offered = step.exchange
            place = 0 if exchange["start"] else place + 1
            word[cycle] = quiet(offered)[0] if exchange["load"] else offered[0]  # what the edge does
            if cycle in traffic.passing:
                word[cycle], swapped[cycle] = traffic.passing[cycle][row : row + 2, 0]
                exchange = exchange | {"taken": int(row > 0)}
                place = -1
            else:
                places[cycle] = place
                exchange = exchange | {"taken": int(place < row)}
        tokens["west"].append(step.west and step.west[0])
        tokens["north"].append(step.north and step.north[0])
        tokens["exchange"].append(exchange)
    fields = {
        "west": {"control": controls(layouts["west"]["control"].shape, tokens["west"], rng)}
        | {f"elements.{lane}": normalised(elements[:, lane], config) for lane in range(lanes)},
        "north": {
            "control": waited(uspe, config, controls(north_control(config), tokens["north"], rng)),
            "value": late(normalised(value, config), 0 if config.weight_stationary else uspe.operand_latency),
            "index": index,
        },
        "exchange_in": {
            "control": controls(layouts["exchange_in"]["control"].shape, tokens["exchange"], rng),
            "word": word,
        },
    }
    inputs = {name: words(layouts[name], fields[name]) for name in layouts}
    ports = {name: port(beats, layouts[name].size) for name, beats in inputs.items()}
    sim.reset()
    got = sim.vectors(ports, ["east", "south", "exchange_out"], latency=1)

    np.testing.assert_array_equal(got["east"], ports["west"])
    # On its way south a weight counts the rows to the one that is to hold it.
    if config.weight_stationary:
        counted = layouts["north"]["control"].shape
        north = fields["north"]["control"].astype(np.uint64)
        row_field = counted["row"]
        mask = np.uint64((1 << row_field.width) - 1)
        left = (north >> np.uint64(row_field.offset)) & mask
        north = north & ~(mask << np.uint64(row_field.offset)) | ((left - np.uint64(1)) & mask) << np.uint64(
            row_field.offset
        )
        beats = words(layouts["north"], fields["north"] | {"control": north})
        np.testing.assert_array_equal(got["south"], port(beats, layouts["north"].size))
    else:
        np.testing.assert_array_equal(got["south"], ports["north"])
    out = got["exchange_out"].astype(np.uint64)
    control = layouts["exchange_in"]["control"].shape
    given = fields["exchange_in"]["control"].astype(np.uint64)
    taken = control["taken"].offset
    valid = given & np.uint64(1) == 1
    takes = np.array([places.get(cycle) == row for cycle in range(cycles)])
    takes |= np.array([cycle in swapped and row == 0 for cycle in range(cycles)])
    np.testing.assert_array_equal(out & np.uint64(1), valid)
    mask = np.uint64((1 << control.size) - 1)
    want = given | takes.astype(np.uint64) << np.uint64(taken)
    np.testing.assert_array_equal((out & mask)[valid], want[valid])
    out_word = out >> np.uint64(layouts["exchange_in"]["word"].offset)
    changed = takes | np.isin(np.arange(cycles), list(swapped))
    np.testing.assert_array_equal(out_word[valid & ~changed], word[valid & ~changed])
    checked = 0
    for cycle in places:
        if places[cycle] == row and (result := traffic.results.get(cycle)) is not None:
            assert out_word[cycle] == result[0], cycle
            checked += 1
    assert checked > 150
    for cycle, want in swapped.items():
        assert out_word[cycle] == want, cycle
    assert len(swapped) > 100 or not config.weight_stationary
