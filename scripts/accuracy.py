#!/usr/bin/env python3
"""Trains the model presets on digits in the golden model, and prints accuracies and multiply-accumulates.

Usage: scripts/accuracy.py [MODEL …], by default all of them.
"""

import argparse

import numpy as np

from sat_hdl.compiler.graph import NETWORK_METHODS, build
from sat_hdl.compiler.models import MODELS, model
from sat_hdl.sim.golden.engine import GoldenEngine
from sat_hdl.sim.golden.images import load_digit_images
from sat_hdl.sim.golden.network_train import NetworkConfig, train_network


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", default=list(MODELS))
    parser.add_argument("--methods", nargs="+", default=["dense", "bdwp"], choices=NETWORK_METHODS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=NetworkConfig.epochs)
    arguments = parser.parse_args()
    data = load_digit_images()
    print("| model | method | test accuracy by seed | mean | MMAC an epoch: FF, BP, WU |")
    print("| --- | --- | --- | --- | --- |")
    for name in arguments.models:
        for method in arguments.methods:
            scores, macs = [], ""
            for seed in range(arguments.seeds):
                engine = GoldenEngine()
                config = NetworkConfig(method=method, epochs=arguments.epochs, seed=seed)
                scores.append(train_network(build(model(name)), data, config, engine).accuracy)
                counts = [engine.macs[stage] / 1e6 / arguments.epochs for stage in ("ff", "bp", "wu")]
                macs = " + ".join(f"{count:.1f}" for count in counts) + f" = {sum(counts):.1f}"
            by_seed = ", ".join(f"{score:.2%}" for score in scores)
            print(f"| {name} | {method} | {by_seed} | {np.mean(scores):.2%} | {macs} |", flush=True)


if __name__ == "__main__":
    main()
