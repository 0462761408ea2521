"""The fast harness: a component compiled once, its clock and all its streams driven in C++.

with Simulation(component) as sim:
    result = sim.run({"west": west, "north": north}, {"result": 64}, stall=HEAVY)
    result.outputs["result"], result.cycles
"""

import ctypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from sat_hdl.sim import _library as lib
from sat_hdl.sim.model import Model
from sat_hdl.sim.packing import check_beats, words_of
from sat_hdl.sim.run import (
    HEAVY,
    LIGHT,
    NONE,
    ProtocolError,
    RunResult,
    SimulationError,
    SimulationTimeout,
    Stall,
)

__all__ = [
    "HEAVY",
    "LIGHT",
    "NONE",
    "Count",
    "ProtocolError",
    "RunResult",
    "Simulation",
    "SimulationError",
    "SimulationTimeout",
    "Stall",
]

#: Cycles that one call of the library simulates, so that Ctrl-C is answered.
_SLICE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Count:
    """An input of :meth:`Simulation.vectors` that counts: vector i gets (start + i) >> shift, cut to
    the port."""

    start: int = 0
    shift: int = 0


class Simulation(Model):
    __doc__ = Model.__doc__

    # --- streams --------------------------------------------------------------------------------

    def run(
        self,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, int],
        *,
        stall: Stall = NONE,
        timeout: int = 100_000_000,
        idle_timeout: int = 100_000,
        wait_inputs: bool = True,
        quiet: int = 0,
    ) -> RunResult:
        """Offers beats to the input streams, in order, and takes beats from the output streams.

        Ends when every output has delivered (and every input was consumed). Inputs never wait for
        ``ready`` to raise ``valid``; while ``valid`` is low the payload is random. Outputs are checked: an
        offered beat must stay, unchanged, until it is accepted. Streams that are not named stay idle.

        Arguments
        ---------
        inputs: stream → beats, uint32 (n, words), little-endian; (n,) will do for one word.
        outputs: stream → number of beats to take.
        stall: random stalls on both sides.
        timeout: cycles that the run may last.
        idle_timeout: cycles that may pass without any handshake.
        wait_inputs: whether the run lasts until all inputs are consumed.
        quiet: cycles to go on for at the end, in which no output may offer one more beat.

        Raises
        ------
        SimulationTimeout, ProtocolError: as said. SimulationError: the design stopped itself.
        ValueError: no such stream, or beats of another shape.
        """
        pairs = [self._stream(name, "in", beats) for name, beats in inputs.items()]
        pairs += [self._stream(name, "out", int(count)) for name, count in outputs.items()]
        names = [*inputs, *outputs]
        table = (lib.Stream * len(pairs))(*[stream for stream, _ in pairs])
        streams = dict(zip(names, table))
        for i, stream in enumerate(table):
            # Each has its own generator, so that one stream's length doesn't shift another's stalls.
            stream.random = (stall.seed * 0x9E3779B97F4A7C15 + (i + 1) * 0xD1B54A32D192ED03) % 2**64
            stream.stall = int((stall.input if stream.is_input else stall.output) * 2**32)
        run = lib.Run(idle_limit=idle_timeout, quiet=quiet, wait_inputs=wait_inputs)
        status = lib.LIMIT
        while status == lib.LIMIT and run.cycle < timeout:
            run.limit = min(timeout, run.cycle + _SLICE)
            status = self._lib.sim_run(self._model, table, len(table), ctypes.byref(run))
        self._lib.sim_idle(self._model, table, len(table))
        self._check(status)
        if status in (lib.LIMIT, lib.IDLE):
            raise SimulationTimeout(self._stuck(run, timeout, streams, stall))
        if status != lib.DONE:
            name = names[run.stream]
            raise ProtocolError(
                f"Stream {name!r} {lib.VIOLATIONS[status]} in cycle {run.cycle}, beat {streams[name].done}, "
                f"seed {stall.seed}."
            )
        return RunResult(
            outputs={name: pairs[names.index(name, len(inputs))][1] for name in outputs},
            cycles=run.cycle,
            first={name: s.first for name, s in streams.items()},
            last={name: s.last for name, s in streams.items()},
            beats={name: s.done for name, s in streams.items()},
            waited={name: s.waited for name, s in streams.items()},
        )

    @property
    def streams(self) -> dict[str, tuple[str, int]]:
        """Name → ("in" or "out", payload width) of every stream. It must have `valid` or `ready`."""
        found = {}
        for port in self._ports:
            name, _, part = port.rpartition("__")
            if name and part in ("valid", "ready"):
                inwards = bool(self._ports[port].is_input) == (part == "valid")
                payload = f"{name}__payload"
                width = self._ports[payload].width if payload in self._ports else 0
                found[name] = ("in" if inwards else "out", width)
        return found

    def _stream(self, name: str, direction: str, beats: np.ndarray | int) -> tuple[lib.Stream, np.ndarray]:
        known = {stream: width for stream, (way, width) in self.streams.items() if way == direction}
        if name not in known:
            raise ValueError(
                f"An {direction}put stream must be one of {', '.join(known) or 'none'}, not {name!r}"
            )
        words = words_of(known[name])
        if isinstance(beats, int):
            array = np.zeros((beats, words), np.uint32)
        else:
            array = check_beats(name, beats, known[name])
        numbers = {part: self._numbers.get(f"{name}__{part}", -1) for part in ("payload", "valid", "ready")}
        stream = lib.Stream(
            data=array.ctypes.data, count=len(array), first=-1, last=-1, words=words,
            is_input=direction == "in", **numbers,
        )  # fmt: skip
        return stream, array

    def _stuck(self, run: lib.Run, timeout: int, streams: dict[str, lib.Stream], stall: Stall) -> str:
        states = []
        for name, s in streams.items():
            if s.done == s.count:
                states.append(f"{name!r} had all of its {s.count} beats")
            elif s.is_input:
                states.append(f"{name!r} was blocked (not `ready`) after {s.done} of {s.count} beats")
            else:
                states.append(f"{name!r} was starved (not `valid`) after {s.done} of {s.count} beats")
        if run.cycle >= timeout:
            why = f"was not over after its limit of {timeout} cycles"
        else:
            why = f"saw no handshake for {run.idle} cycles and gave up in cycle {run.cycle}"
        return f"The simulation {why} (seed {stall.seed}): {', '.join(states)}."

    # --- vectors --------------------------------------------------------------------------------

    def vectors(
        self,
        inputs: Mapping[str, np.ndarray | Count],
        outputs: Iterable[str],
        *,
        latency: int,
        n: int | None = None,
    ) -> dict[str, np.ndarray]:
        """Feeds a lock-step pipeline one vector a cycle; ports not named are held.

        Arguments
        ---------
        inputs: port → unsigned values (n,), or :class:`Count`; a port wider than 64 bits takes uint32
            (n, words).
        outputs: ports to record, ``latency`` cycles after each vector; 0 is the vector's own cycle.
        n: number of vectors, needed if all inputs count.

        Returns
        -------
        Port → values (n,) in the smallest unsigned dtype that fits, or uint32 (n, words).

        Raises
        ------
        ValueError: no such port, a value that doesn't fit it, or unequal lengths.
        """
        lengths = {len(values) for values in inputs.values() if not isinstance(values, Count)}
        lengths |= set() if n is None else {n}
        if len(lengths) != 1:
            raise ValueError(f"Vectors must be of one length; given are {sorted(lengths) or 'none'}")
        n = lengths.pop()
        alive, sources, sinks, results = [], [], [], {}
        for name, values in inputs.items():
            port = self._port(name)
            if not port.is_input:
                raise ValueError(f"Port {name!r} must be an input to take vectors; it is an output")
            if isinstance(values, Count):
                sources.append(lib.Vector(start=values.start, shift=values.shift, port=self._numbers[name]))
                continue
            check = check_beats if port.bytes > 8 else _check_scalars
            alive.append(check(name, values, port.width))
            sources.append(lib.Vector(data=alive[-1].ctypes.data, port=self._numbers[name]))
        for name in outputs:
            port = self._port(name)
            shape, dtype = ((n, port.bytes // 4), "u4") if port.bytes > 8 else ((n,), f"u{port.bytes}")
            results[name] = np.empty(shape, dtype)
            sinks.append(lib.Vector(data=results[name].ctypes.data, port=self._numbers[name]))
        tables = [(lib.Vector * len(rows))(*rows) for rows in (sources, sinks)]
        self._check(
            self._lib.sim_vectors(self._model, tables[0], len(sources), tables[1], len(sinks), n, latency)
        )
        return results


def _check_scalars(name: str, values: np.ndarray, width: int) -> np.ndarray:
    """``values`` as contiguous integers of the C++ type of a port of ``width`` bits."""
    values = np.asarray(values)
    if values.dtype.kind != "u" or values.ndim != 1:
        raise ValueError(f"Vectors for {name!r} must be unsigned (n,), not {values.dtype} {values.shape}")
    if values.itemsize * 8 > width and values.size and int(values.max()) >> width:
        raise ValueError(f"Vectors for {name!r} must have {width} bits, not {int(values.max()):#x}")
    octets = next(size for size in (1, 2, 4, 8) if size * 8 >= width)
    return np.ascontiguousarray(values, f"u{octets}")
