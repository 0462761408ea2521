"""Runs random programs on the simulated device: good ones must leave the memory that the emulator leaves, damaged
ones must end in time, break no rule of the bus, and leave a device that a reset mends."""

import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Annotated

import typer

from sat_hdl.sim.fuzz.runner import BLOCK, CONFIGS, FuzzFailure, run_block


def main(
    count: Annotated[int, typer.Option(help="Programs, half of them damaged.", min=1)] = 10_000,
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 1,
    block: Annotated[int | None, typer.Option(help="Run this block of programs alone.", min=0)] = None,
    jobs: Annotated[int, typer.Option(help="Blocks that run at once.", min=1)] = 1,
):
    """Ends with status 1 at the first failure, and says how to see it again."""
    blocks = [block] if block is not None else list(range(-(-count // BLOCK)))
    started = time.monotonic()
    ended: Counter[tuple[str, str]] = Counter()
    print(f"{len(blocks) * BLOCK:,} programs on {', '.join(CONFIGS)}, seed {seed}")
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        running = {pool.submit(run_block, seed, number): number for number in blocks}
        for future in as_completed(running):
            try:
                ended += future.result()
            except FuzzFailure as failure:
                pool.shutdown(wait=False, cancel_futures=True)
                print(f"\n{failure}\nAgain: {sys.argv[0]} --seed {seed} --block {running[future]}")
                raise typer.Exit(1) from None
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            print(f"\r{ended.total():,} in {time.monotonic() - started:,.0f} s", end="", flush=True)
    print()
    for damage in sorted({damage for damage, _ in ended}):
        ways = sorted(((way, n) for (d, way), n in ended.items() if d == damage), key=lambda pair: -pair[1])
        print(f"{damage:>12}: " + ", ".join(f"{way} {n:,}" for way, n in ways))
    codes: Counter[str] = Counter()
    for (damage, way), n in ended.items():
        codes[way if damage != "good" else "good"] += n
    print(f"{'all':>12}: " + ", ".join(f"{way} {n:,}" for way, n in codes.most_common()))


if __name__ == "__main__":
    typer.run(main)
