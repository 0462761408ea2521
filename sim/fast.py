"""The fast harness: a component compiled once, its clock and all its streams driven in C++.

with Simulation(component) as sim:
    result = sim.run({"west": west, "north": north}, {"result": 64}, stall=HEAVY)
    result.outputs["result"], result.cycles
"""

import ctypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np
from amaranth.lib import wiring

from sat_hdl.sim import _library as lib
from sat_hdl.sim.build import build_library
from sat_hdl.sim.packing import words_of
from sat_hdl.sim.verilog import emit

__all__ = [
    "HEAVY", "LIGHT", "NONE", "Count", "ProtocolError", "RunResult", "Simulation", "SimulationError",
    "SimulationTimeout", "Stall",
]  # fmt: skip

#: Cycles that one call of the library simulates, so that Ctrl-C is answered.
_SLICE = 1 << 20


class SimulationError(RuntimeError):
    """The simulated design misbehaved. The text says how, in which cycle, under which seed."""


class SimulationTimeout(SimulationError):
    """The design did not finish in time. The text says which streams waited."""


class ProtocolError(SimulationError):
    """A stream of the design broke the handshake rules."""


@dataclass(frozen=True, kw_only=True)
class Stall:
    """Back-pressure: probabilities per cycle that a source offers nothing and that a sink is not ready."""

    input: float = 0.0
    output: float = 0.0
    seed: int = 0

    def __post_init__(self):
        for name, value in (("input", self.input), ("output", self.output)):
            if not 0 <= value < 1:
                raise ValueError(f"A stall's {name} must be a probability from 0 to below 1, not {value!r}")

    def with_seed(self, seed: int) -> "Stall":
        return replace(self, seed=seed)


NONE = Stall()
LIGHT = Stall(input=0.1, output=0.1)
HEAVY = Stall(input=0.6, output=0.6)


@dataclass(frozen=True, kw_only=True)
class Count:
    """An input of :meth:`Simulation.vectors` that counts: vector i gets (start + i) >> shift, cut to the port."""

    start: int = 0
    shift: int = 0


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a run did. Cycles count from 0 at its start; keys are names of streams.

    Attributes
    ----------
    outputs: beats that arrived, uint32 (n, words).
    cycles: length of the run.
    first, last: cycles of a stream's first and last handshake, -1 if it had none.
    beats: handshakes of each stream.
    waited: cycles in which the harness was willing and the design was not.
    """

    outputs: dict[str, np.ndarray]
    cycles: int
    first: dict[str, int]
    last: dict[str, int]
    beats: dict[str, int]
    waited: dict[str, int]


class Simulation:
    """A compiled model of ``design``. It starts reset; one object is one independent instance.

    Arguments
    ---------
    design: a component, or the text of a Verilog design.
    name: the top module's name.
    extra_sources: Verilog text that a component needs beside its own.

    Raises
    ------
    ToolError, BuildError: see :func:`sat_hdl.sim.build.build_library`.
    """

    def __init__(
        self, design: wiring.Component | str, name: str = "top", *, extra_sources: Iterable[str] = ()
    ):
        text = design if isinstance(design, str) else emit(design, name, extra_sources=extra_sources)
        self._lib = lib.load(build_library(text, name))
        self._model = self._lib.sim_new()
        rows = self._lib.sim_ports(self._model)
        ports = [rows[i] for i in range(self._lib.sim_port_count(self._model))]
        self._numbers = {port.name.decode(): i for i, port in enumerate(ports)}
        self._ports = ports
        self.reset()

    def __enter__(self) -> "Simulation":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None):
        self.close()

    def __del__(self):
        self.close()

    def close(self):
        """Frees the model. Allowed twice."""
        model, self._model = getattr(self, "_model", None), None
        if model:
            self._lib.sim_delete(model)

    # --- plain ports ----------------------------------------------------------------------------

    @property
    def ports(self) -> dict[str, tuple[str, int]]:
        """Name → ("in" or "out", width) of every port, clock and reset included."""
        return {
            name: ("in" if (p := self._port(name)).is_input else "out", p.width) for name in self._numbers
        }

    def _port(self, name: str) -> "lib.Port":
        if name not in self._numbers:
            raise ValueError(f"A port must be one of {', '.join(self._numbers)}, not {name!r}")
        return self._ports[self._numbers[name]]

    def set(self, port: str, value: int):
        """Drives an input, from the next cycle on. A negative value is taken modulo 2**width."""
        p = self._port(port)
        if not p.is_input:
            raise ValueError(f"Port {port!r} must be an input to be set; it is an output")
        if not -(1 << p.width) // 2 <= value < 1 << p.width:
            raise ValueError(f"A value for port {port!r} must fit {p.width} bits, not {value!r}")
        octets = (value & ((1 << p.width) - 1)).to_bytes(p.bytes, "little")
        ctypes.memmove(p.data, octets, p.bytes)

    def get(self, port: str) -> int:
        """Value of a port, inputs settled through, before the clock edge."""
        p = self._port(port)
        self._lib.sim_settle(self._model)
        return int.from_bytes(ctypes.string_at(p.data, p.bytes), "little")

    def step(self, cycles: int = 1):
        """Clocks the design, all inputs held."""
        self._check(self._lib.sim_step(self._model, cycles))

    def reset(self):
        """Drives every input to 0 and holds the reset for two cycles."""
        for name, p in zip(self._numbers, self._ports):
            if p.is_input:
                self.set(name, 0)
        if "rst" in self._numbers:
            self.set("rst", 1)
            self.step(2)
            self.set("rst", 0)
        self._lib.sim_settle(self._model)

    def _check(self, status: int):
        if status == lib.STOPPED:
            raise SimulationError(f"The design ended the simulation: {self._lib.sim_stop_reason().decode()}.")

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
        for port in self._numbers:
            name, _, part = port.rpartition("__")
            if name and part in ("valid", "ready"):
                inwards = bool(self._port(port).is_input) == (part == "valid")
                payload = f"{name}__payload"
                width = self._port(payload).width if payload in self._numbers else 0
                found[name] = ("in" if inwards else "out", width)
        return found

    def _stream(self, name: str, direction: str, beats: np.ndarray | int) -> tuple["lib.Stream", np.ndarray]:
        known = {stream: width for stream, (way, width) in self.streams.items() if way == direction}
        if name not in known:
            raise ValueError(
                f"An {direction}put stream must be one of {', '.join(known) or 'none'}, not {name!r}"
            )
        words = words_of(known[name])
        array = (
            np.zeros((beats, words), np.uint32)
            if isinstance(beats, int)
            else _beats(name, beats, known[name])
        )
        numbers = {part: self._numbers.get(f"{name}__{part}", -1) for part in ("payload", "valid", "ready")}
        stream = lib.Stream(
            data=array.ctypes.data, count=len(array), first=-1, last=-1, words=words,
            is_input=direction == "in", **numbers,
        )  # fmt: skip
        return stream, array

    def _stuck(self, run: "lib.Run", timeout: int, streams: "dict[str, lib.Stream]", stall: Stall) -> str:
        states = []
        for name, s in streams.items():
            if s.done == s.count:
                states.append(f"{name!r} had all of its {s.count} beats")
            elif s.is_input:
                states.append(f"{name!r} was blocked (not `ready`) after {s.done} of {s.count} beats")
            else:
                states.append(f"{name!r} was starved (not `valid`) after {s.done} of {s.count} beats")
        why = (
            f"reached its limit of {timeout} cycles"
            if run.cycle >= timeout
            else f"saw no handshake for {run.idle}"
        )
        return (
            f"The simulation {why} and stopped in cycle {run.cycle}, seed {stall.seed}: {', '.join(states)}."
        )

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
        inputs: port → unsigned values (n,), or :class:`Count`; ports wider than 64 bits take uint32 (n, words).
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
            p, number = self._port(name), self._numbers[name]
            if not p.is_input:
                raise ValueError(f"Port {name!r} must be an input to take vectors; it is an output")
            if isinstance(values, Count):
                sources.append(lib.Vector(start=values.start, shift=values.shift, port=number))
            else:
                alive.append(_beats(name, values, p.width) if p.bytes > 8 else _scalars(name, values, p))
                sources.append(lib.Vector(data=alive[-1].ctypes.data, port=number))
        for name in outputs:
            p = self._port(name)
            shape, dtype = ((n, p.bytes // 4), "u4") if p.bytes > 8 else ((n,), f"u{p.bytes}")
            results[name] = np.empty(shape, dtype)
            sinks.append(lib.Vector(data=results[name].ctypes.data, port=self._numbers[name]))
        self._check(
            self._lib.sim_vectors(
                self._model, (lib.Vector * len(sources))(*sources), len(sources),
                (lib.Vector * len(sinks))(*sinks), len(sinks), n, latency,
            )
        )  # fmt: skip
        return results


def _beats(name: str, beats: np.ndarray, width: int) -> np.ndarray:
    """``beats`` as contiguous uint32 (n, words), checked against a payload of ``width`` bits."""
    words = words_of(width)
    beats = np.asarray(beats)
    if beats.ndim == 1 and words == 1:
        beats = beats.reshape(-1, 1)
    if beats.dtype != np.uint32 or beats.ndim != 2 or beats.shape[1] != words:
        raise ValueError(
            f"Beats for {name!r} ({width} bits) must be uint32 (n, {words}), not {beats.dtype} {beats.shape}"
        )
    spare = 32 * words - width
    if spare and beats.size and int(beats[:, -1].max()) >> (32 - spare):
        raise ValueError(f"Beats for {name!r} must have {width} bits, but bits above are set")
    return np.ascontiguousarray(beats)


def _scalars(name: str, values: np.ndarray, port: "lib.Port") -> np.ndarray:
    """``values`` as contiguous integers of the port's C++ width."""
    values = np.asarray(values)
    if values.dtype.kind != "u" or values.ndim != 1:
        raise ValueError(f"Vectors for {name!r} must be unsigned (n,), not {values.dtype} {values.shape}")
    if values.itemsize * 8 > port.width and values.size and int(values.max()) >> port.width:
        raise ValueError(f"Vectors for {name!r} must have {port.width} bits, not {int(values.max()):#x}")
    return np.ascontiguousarray(values, f"u{port.bytes}")
