"""The array by what enters at its edges: random traffic that keeps the rules, and the results it must give.

Time is the cycle in which tokens enter; hops and skews are the caller's business. Sums are computed by
the numpy oracle. The rules are those of :class:`~sat_hdl.stce.uspe.Uspe`.
"""

from dataclasses import dataclass, field

import numpy as np

from sat_hdl.config import Config
from sat_hdl.formats import BINARY32
from sat_hdl.sim.oracle import numpy_mac
from sat_hdl.sim.vectors import specials, words

#: Cycles between a weight of a sum that starts from an initial accumulator and the next load of that one. (The
#: control leaves far more; the sum is read a few cycles after the weight.)
SETTLED = 20


@dataclass
class Step:
    """What enters in one cycle: fields of the control tokens, and the data for all lanes."""

    west: tuple[dict[str, int], np.ndarray] | None = None  # elements (rows, E)
    north: tuple[dict[str, int], np.ndarray, np.ndarray] | None = None  # values, indices (cols,)
    exchange: tuple[dict[str, int], np.ndarray] | None = None  # words (cols,)


@dataclass
class Round:
    """Exchange tokens for one entry, a place a row."""

    entry: int
    load: bool
    rows: int
    row: int = 0
    loaded: dict[int, np.ndarray] = field(default_factory=dict)


class Traffic:
    """``steps`` by cycle; ``results``: cycle of an exchange token → the words (cols,) that it must bring, where
    the element has a sum by then.

    Groups are filled while others are used, sums of any length are in any entry, results are fetched from
    the first cycle on, loads come between, and there are bubbles everywhere.
    """

    def __init__(self, config: Config, cycles: int, result_latency: int, rng: np.random.Generator):
        self._config, self._rng = config, rng
        self._result_latency = result_latency
        self._entries = 1 << config.entry_bits
        self._groups = np.zeros((2, config.rows, config.max_m), np.uint16)
        self._filled: list[set[int]] = [set(), set()]  # beats of each group
        self._sums: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(self._entries)]  # (time, sums)
        self._initial: dict[int, np.ndarray] = {}
        self._read_initial = dict.fromkeys(range(self._entries), -SETTLED)
        self._round: Round | None = None
        self.steps: list[Step] = []
        self.results: dict[int, np.ndarray] = {}
        for now in range(cycles):
            # A weight sees the groups, and the loads, of the cycles before.
            self.steps.append(Step(north=self._weight(now), west=self._fill(), exchange=self._exchange(now)))

    def _operand(self, shape) -> np.ndarray:
        fmt, rng = self._config.format, self._rng
        near_one = (fmt.bias << fmt.frac_bits) + rng.integers(-3 << fmt.frac_bits, 3 << fmt.frac_bits, shape)
        bits = (near_one | rng.integers(0, 2, shape) << (fmt.width - 1)).astype(np.uint16)
        return np.where(rng.random(shape) < 0.01, rng.choice(specials(fmt), shape), bits)

    def _fill(self):
        config, rng = self._config, self._rng
        if rng.random() < 0.5:
            return None
        lanes = config.west_elements
        bank, address = int(rng.integers(2)), int(rng.integers(config.max_m // lanes))
        elements = self._operand((config.rows, lanes))
        self._groups[bank, :, address * lanes : (address + 1) * lanes] = elements
        self._filled[bank].add(address)
        return {"bank": bank, "address": address}, elements

    def _weight(self, now: int):
        config, rng = self._config, self._rng
        bank = int(rng.integers(2))
        # Few entries, so that most sums are added to in the first cycle in which they may.
        entry = int(rng.integers(min(self._entries, 12)))
        history = self._sums[entry]
        if not self._filled[bank] or (history and now - history[-1][0] < config.least_span):
            return None
        first = not history or rng.random() < 0.2
        accumulate = first and entry in self._initial and rng.random() < 0.7
        lanes = config.west_elements
        beats = rng.choice(sorted(self._filled[bank]), config.cols)
        index = beats * lanes + rng.integers(0, lanes, config.cols)
        value = self._operand(config.cols)
        acc = np.zeros((config.rows, config.cols), np.uint32)
        if accumulate:
            acc = self._initial[entry]
            self._read_initial[entry] = now
        elif not first:
            acc = history[-1][1]
        a, b = self._groups[bank][:, index], np.broadcast_to(value, acc.shape)
        total = numpy_mac(a.ravel(), b.ravel(), acc.ravel(), config.format).reshape(acc.shape)
        history.append((now, total))
        control = {"entry": entry, "bank": bank, "first": int(first), "accumulate": int(accumulate)}
        return control, value, index

    def _exchange(self, now: int):
        config, rng = self._config, self._rng
        if self._round is None:
            entry = int(rng.integers(min(self._entries, 12)))
            load = now - self._read_initial[entry] >= SETTLED and rng.random() < 0.5
            self._round = Round(entry, load, rows=int(rng.integers(1, config.rows + 1)))
            if load:
                self._initial.pop(entry, None)  # not to be used before it is whole
        if rng.random() < 0.3:
            return None
        place = self._round
        offered = words(BINARY32, config.cols, rng)
        final = [total for time, total in self._sums[place.entry] if time + self._result_latency <= now]
        if final:
            self.results[now] = final[-1][place.row]
        if place.load:
            nan = (offered & np.uint32(0x7FFFFFFF)) > BINARY32.inf
            place.loaded[place.row] = np.where(nan, offered | np.uint32(1 << 22), offered)
        control = {"start": int(place.row == 0), "load": int(place.load), "entry": place.entry}
        place.row += 1
        if place.row == place.rows:
            if place.load and place.rows == config.rows:
                self._initial[place.entry] = np.array([place.loaded[row] for row in range(config.rows)])
            self._round = None
        return control, offered
