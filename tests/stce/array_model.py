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
    the first cycle on, loads come between, and there are bubbles everywhere. Where weights can be held, they come at
    any time for any row, are used, forgotten, and sums are passed on from row to row in between; ``passing``: cycle
    of such an exchange token → its words (rows + 1, cols) before each row and at the end.
    """

    def __init__(self, config: Config, cycles: int, result_latency: int, rng: np.random.Generator):
        self._config, self._rng = config, rng
        self._result_latency = result_latency
        self._entries = 1 << config.entry_bits
        self._groups = np.zeros((2, config.rows, config.group_depth), np.uint16)
        self._filled: list[set[int]] = [set(), set()]  # beats of each group
        self._sums: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(self._entries)]  # (time, sums)
        self._initial: dict[int, np.ndarray] = {}
        self._read_initial = dict.fromkeys(range(self._entries), -SETTLED)
        self._round: Round | None = None
        self.passing: dict[int, np.ndarray] = {}
        # What each row holds: values, indices, whether any; of places that every row has been given.
        shape = (config.rows, config.held, config.cols)
        self._held = np.zeros(shape, np.uint16), np.zeros(shape, int), np.zeros(shape[:2], bool)
        self._given = np.zeros(shape[:2], bool)
        self._holds = np.zeros(config.rows, bool)
        self.steps: list[Step] = []
        self.results: dict[int, np.ndarray] = {}
        for now in range(cycles):
            # A weight sees the loads of the cycles before, a sum that is passed on the weights held by then.
            self._held_before = self._holds.copy()
            first, second = (self._fill, self._north)
            if not config.weight_stationary:
                first, second = second, first  # and the groups of the cycles before
            tokens = {step.__name__[1:]: step(now) for step in (first, second, self._exchange)}
            self.steps.append(Step(west=tokens["fill"], north=tokens["north"], exchange=tokens["exchange"]))

    def _operand(self, shape) -> np.ndarray:
        fmt, rng = self._config.format, self._rng
        near_one = (fmt.bias << fmt.frac_bits) + rng.integers(-3 << fmt.frac_bits, 3 << fmt.frac_bits, shape)
        bits = (near_one | rng.integers(0, 2, shape) << (fmt.width - 1)).astype(np.uint16)
        return np.where(rng.random(shape) < 0.01, rng.choice(specials(fmt), shape), bits)

    def _fill(self, now: int):
        config, rng = self._config, self._rng
        if rng.random() < 0.5:
            return None
        lanes = config.west_elements
        bank, address = int(rng.integers(2)), int(rng.integers(config.group_depth // lanes))
        elements = self._operand((config.rows, lanes))
        self._groups[bank, :, address * lanes : (address + 1) * lanes] = elements
        self._filled[bank].add(address)
        return {"bank": bank, "address": address}, elements

    def _north(self, now: int):
        """A weight to use, one to hold, or both in one."""
        config, rng = self._config, self._rng
        value, index = self._operand(config.cols), rng.integers(0, config.group_depth, config.cols)
        place = int(rng.integers(4))
        control = self._weight(now, value, index, place)
        if not config.weight_stationary:
            return control and (control, value, index)
        control = {"valid": 0, "held": 0} | (control or {}) | {"place": place, "hold": 0, "clear": 0}
        if rng.random() < 0.3:
            row, keeps = int(rng.integers(config.rows)), int(rng.random() < 0.8)
            control |= {"hold": 1, "row": row, "keeps": keeps}
            if rng.random() < 0.02:
                control["clear"] = 1
                self._holds[:] = False
            self._holds[row] = self._given[row, place] = True
            for kept, given in zip(self._held, (value, index % config.max_m, keeps)):
                kept[row, place] = given
        return control, value, index

    def _weight(self, now: int, value: np.ndarray, index: np.ndarray, place: int) -> dict[str, int] | None:
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
        held, offset = int(config.weight_stationary and rng.random() < 0.5), 0
        if held:
            offset = int(rng.integers(config.group_depth))
            values, indices, keeps = (kept[:, place] for kept in self._held)
            if not (self._given[:, place].all() and (history or keeps.all())):
                return None
            indices = indices | offset
        else:
            beats = rng.choice(sorted(self._filled[bank]), config.cols)
            index[:] = beats * lanes + rng.integers(0, lanes, config.cols)
            values, indices = (np.broadcast_to(part, (config.rows, config.cols)) for part in (value, index))
            keeps = np.ones(config.rows, bool)
        if not set(np.unique(indices // lanes)) <= self._filled[bank]:
            return None
        acc = np.zeros((config.rows, config.cols), np.uint32)
        if accumulate:
            acc = self._initial[entry]
            self._read_initial[entry] = now
        elif not first:
            acc = history[-1][1]
        a = np.take_along_axis(self._groups[bank], indices, axis=1)
        total = numpy_mac(a.ravel(), values.ravel(), acc.ravel(), config.format).reshape(acc.shape)
        history.append((now, np.where(keeps[:, None], total, history[-1][1] if history else 0)))
        control = {
            "valid": 1,
            "entry": entry,
            "bank": bank,
            "first": int(first),
            "accumulate": int(accumulate),
        }
        return control | ({"held": held, "offset": offset} if config.weight_stationary else {})

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
        if config.weight_stationary and self._round.row == 0 and rng.random() < 0.3:
            return self._pass(now)
        place = self._round
        offered = words(BINARY32, config.cols, rng)
        final = [total for time, total in self._sums[place.entry] if time + self._result_latency <= now]
        if final:
            self.results[now] = final[-1][place.row]
        if place.load:
            place.loaded[place.row] = quiet(offered)
        control = {"start": int(place.row == 0), "load": int(place.load), "entry": place.entry}
        control |= {"passes": 0} if config.weight_stationary else {}
        place.row += 1
        if place.row == place.rows:
            if place.load and place.rows == config.rows:
                self._initial[place.entry] = np.array([place.loaded[row] for row in range(config.rows)])
            self._round = None
        return control, offered

    def _pass(self, now: int):
        """Sums go from row to row: each takes what the row above had, and those that hold weights give theirs."""
        config, rng = self._config, self._rng
        entry = int(rng.integers(min(self._entries, 12)))
        final = [total for time, total in self._sums[entry] if time + self._result_latency <= now]
        loading = self._round.load and self._round.entry == entry
        if loading or not final or now - self._read_initial[entry] < SETTLED:
            return None
        offered = words(BINARY32, config.cols, rng)
        passing = np.empty((config.rows + 1, config.cols), np.uint32)
        passing[0] = quiet(offered)
        for row in range(config.rows):
            passing[row + 1] = final[-1][row] if self._held_before[row] else passing[row]
        self._initial[entry] = passing[:-1].copy()
        self.results[now], self.passing[now] = passing[-1], passing
        return {"start": 1, "load": 1, "entry": entry, "passes": 1}, offered


def quiet(words_: np.ndarray) -> np.ndarray:
    """Signalling NaN made quiet."""
    nan = (words_ & np.uint32(0x7FFFFFFF)) > BINARY32.inf
    return np.where(nan, words_ | np.uint32(1 << 22), words_)
