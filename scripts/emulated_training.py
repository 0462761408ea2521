#!/usr/bin/env python3
"""Trains digits on an emulated board, over a serial line that damages frames, and prints how that went.

What runs is what a user runs: `sat-hdl emulate` in one process, `sat-hdl train --device` in another. Ends with
status 1 if a bit differs from the golden model.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_HDL = (sys.executable, "-m", "sat_hdl")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="4x4", help="of the emulated board (4x4)")
    parser.add_argument("--model", default="mlp", help="what is trained (mlp)")
    parser.add_argument("--epochs", type=int, default=1, help="passes over the training set (1)")
    parser.add_argument("--damage", type=float, default=0.01, help="share of the frames, each way (0.01)")
    parser.add_argument("--seed", type=int, default=0, help="of damage, weights and order (0)")
    parser.add_argument("--bytes", action="store_true", help="leave the serial port's bits out")
    given = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        link = Path(folder) / "board"
        words = ["--preset", given.preset, "--damage", str(given.damage), "--seed", str(given.seed)]
        words += ["--link", str(link), "--memory-size", str(1 << 22), *(["--bytes"] if given.bytes else [])]
        log = Path(folder) / "emulate.txt"
        with log.open("w") as errors:
            board = subprocess.Popen([*_HDL, "emulate", *words], stdout=errors, stderr=subprocess.STDOUT)
        try:
            while not link.exists():
                if board.poll() is not None:
                    print(f"emulated_training: the board did not start:\n{log.read_text()}", file=sys.stderr)
                    return 1
                time.sleep(0.2)
            begun = time.monotonic()
            words = [
                "--data",
                "digits",
                "--model",
                given.model,
                "--epochs",
                str(given.epochs),
                "--seed",
                str(given.seed),
            ]
            done = subprocess.run(
                [*_HDL, "train", *words, "--device", f"serial://{link}", "-o", f"{folder}/run", "--json"],
                stdout=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
            took = time.monotonic() - begun
        finally:
            board.send_signal(signal.SIGINT)
            ended = board.wait(60)
        said = log.read_text().strip().splitlines()[-1]
    if done.returncode:
        print(
            f"emulated_training: training ended with status {done.returncode}:\n{done.stdout}",
            file=sys.stderr,
        )
        return 1
    found = json.loads(done.stdout)
    print("| device | model | epochs | accuracy | all bits equal | cycles of the programs | seconds |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {found['rows']} × {found['cols']} | {given.model} | {given.epochs} | {found['accuracy']:.1%} "
        f"| {'yes' if found['bit_exact'] else 'NO'} | {found['cycles']['total']:,} | {took:,.0f} |"
    )
    print(f"\n{said}")
    return 0 if found["bit_exact"] and ended == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
