"""Streams in cocotb benches: coroutines that put and take beats under random stalls, never forever."""

import random
from collections.abc import Iterable
from typing import Any

from cocotb.triggers import ReadOnly, RisingEdge

from sat_hdl.sim.run import NONE, ProtocolError, SimulationTimeout, Stall

__all__ = ["reset", "stream_get", "stream_put"]


async def reset(dut: Any, cycles: int = 2):
    """Holds ``rst`` for some cycles of ``clk`` with every stream of ``dut`` idle."""
    for handle in dut:
        if handle._name.endswith(("__valid", "__ready")):
            try:
                handle.value = 0
            except TypeError:  # the design drives this one
                continue
    dut.rst.value = 1
    for _ in range(cycles):
        await RisingEdge(dut.clk)
    dut.rst.value = 0


def _signal(dut: Any, stream: str, part: str) -> Any:
    return getattr(dut, f"{stream}__{part}")


async def stream_put(
    dut: Any, stream: str, beats: Iterable[int], *, stall: Stall = NONE, timeout: int = 10_000
):
    """Offers ``beats``, as integers, in order.

    ``valid`` never waits for ``ready``; while it is low the payload is random.

    Arguments
    ---------
    stall: its ``input`` is the probability, per cycle, of offering nothing.
    timeout: cycles that one beat may wait to be accepted.

    Raises
    ------
    SimulationTimeout: with the stream, the beat and the seed.
    """
    rng = random.Random(f"{stream} {stall.seed}")
    valid, ready = _signal(dut, stream, "valid"), _signal(dut, stream, "ready")
    payload = _signal(dut, stream, "payload")
    width = len(payload)
    for number, beat in enumerate(beats):
        while rng.random() < stall.input:
            valid.value, payload.value = 0, rng.getrandbits(width)
            await RisingEdge(dut.clk)
        valid.value, payload.value = 1, beat
        for _ in range(timeout):
            await ReadOnly()
            accepted = ready.value == 1
            await RisingEdge(dut.clk)
            if accepted:
                break
        else:
            raise SimulationTimeout(
                f"Stream {stream!r} was blocked (not `ready`) for {timeout} cycles at beat {number}, "
                f"seed {stall.seed}."
            )
    valid.value, payload.value = 0, rng.getrandbits(width)


async def stream_get(
    dut: Any, stream: str, count: int, *, stall: Stall = NONE, timeout: int = 10_000
) -> list[int]:
    """Takes ``count`` beats and returns them as integers. What is on offer must stay until it is taken.

    Arguments
    ---------
    stall: its ``output`` is the probability, per cycle, of not being ready.
    timeout: cycles that one beat may take to come.

    Raises
    ------
    SimulationTimeout, ProtocolError: with the stream, the beat and the seed.
    """
    rng = random.Random(f"{stream} {stall.seed}")
    valid, ready = _signal(dut, stream, "valid"), _signal(dut, stream, "ready")
    payload = _signal(dut, stream, "payload")
    beats: list[int] = []
    offered: int | None = None
    idle = 0
    while len(beats) < count:
        willing = rng.random() >= stall.output
        ready.value = int(willing)
        await ReadOnly()
        beat = int(payload.value) if valid.value == 1 else None
        if offered is not None and beat != offered:
            broken = "withdrew `valid`" if beat is None else "changed its payload"
            raise ProtocolError(
                f"Stream {stream!r} {broken} before the beat was accepted, beat {len(beats)}, "
                f"seed {stall.seed}."
            )
        idle = 0 if beat is not None else idle + 1
        if idle > timeout:
            raise SimulationTimeout(
                f"Stream {stream!r} was starved (not `valid`) for {timeout} cycles at beat {len(beats)} of "
                f"{count}, seed {stall.seed}."
            )
        if beat is not None and willing:
            beats.append(beat)
            offered = None
        else:
            offered = beat
        await RisingEdge(dut.clk)
    ready.value = 0
    return beats
