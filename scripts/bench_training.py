"""Tables of whole trainings for `scripts/bench`: on the simulated device, and over seeds in the golden model."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

__all__ = ["accuracy_table", "training_table"]

#: Trained wholly on the device: model, method, epochs.
RUNS = [("mlp", "bdwp", 5), ("cnn", "bdwp", 4), ("resnet", "bdwp", 3)]
METHODS = ("dense", "bdwp")
SEEDS = 3


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


def accuracy_table(say: Callable[[str], None]) -> list[str]:
    """Accuracies after the default number of epochs, by the golden model, whose bits are the device's."""
    from sat_hdl.compiler.graph import build
    from sat_hdl.compiler.models import MODELS, model
    from sat_hdl.sim.golden.data import load_digits
    from sat_hdl.sim.golden.engine import GoldenEngine
    from sat_hdl.sim.golden.images import load_digit_images
    from sat_hdl.sim.golden.network_train import NetworkConfig, train_network

    rows = [
        "| model | dense, by seed | mean | BDWP 2:8, by seed | mean | difference |",
        "|---|---|---|---|---|---|",
    ]
    for name in MODELS:
        graph = build(model(name))
        data = load_digits() if graph.input_shape[:2] == (1, 1) else load_digit_images()
        cells, means = [], []
        for method in METHODS:
            scores = []
            for seed in range(SEEDS):
                config = NetworkConfig(method=method, seed=seed)
                scores.append(train_network(graph, data, config, GoldenEngine()).accuracy)
                say(f"{name}, {method}, seed {seed}: {scores[-1]:.2%}")
            means.append(float(np.mean(scores)))
            cells += [", ".join(f"{100 * score:.1f}" for score in scores), f"{means[-1]:.2%}"]
        rows.append(f"| {name} | {' | '.join(cells)} | {100 * (means[1] - means[0]):+.2f} points |")
    return rows
