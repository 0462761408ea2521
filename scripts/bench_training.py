"""The table of whole trainings on the simulated device, for `scripts/bench`."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

__all__ = ["training_table"]

#: Trained wholly on the device: model, method, epochs.
RUNS = [("mlp", "bdwp", 5), ("cnn", "bdwp", 4), ("resnet", "bdwp", 3)]


def _train(model: str, method: str, epochs: int, *words: str) -> dict[str, Any]:
    """What `sat-hdl train` says of a run on digits."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "sat_hdl",
            "train",
            "--data",
            "digits",
            "--model",
            model,
            "--method",
            method,
        ]
        command += ["--epochs", str(epochs), "-o", folder, "--json", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(
            f"bench: {' '.join(command[2:])} ended with status {done.returncode}:\n{done.stdout}"
        )
    return json.loads(done.stdout)


def training_table(say: Callable[[str], None]) -> list[str]:
    """Every step on the simulated 8 × 8 device; two runs at a time."""
    rows = [
        "| model | method | epochs | cycles | of them forward | accuracy on the test set | all bits equal |",
        "|---|---|---|---|---|---|---|",
    ]

    def one(run: tuple[str, str, int]) -> str:
        model, method, epochs = run
        found = _train(model, method, epochs)
        say(f"{model}, {method}: {found['accuracy']:.2%}")
        cycles = found["cycles"]
        return (
            f"| {model} | {method} | {epochs} | {cycles['total']:,} | {cycles['forward']:,} "
            f"| {found['accuracy']:.1%} | {'yes' if found['bit_exact'] else 'NO'} |"
        )

    with ThreadPoolExecutor(2) as pool:
        # The longest first.
        order = sorted(RUNS, key=lambda run: run[0] == "mlp")
        found = dict(zip(order, pool.map(one, order)))
    return [*rows, *(found[run] for run in RUNS)]
