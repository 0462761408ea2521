"""A float64 perceptron written as the formulas read, to check the golden model's gradients by.

It takes the effective weights of each product and the selections as given, so that no rounding decides
which entries are kept or which units are active.
"""

from dataclasses import dataclass

import numpy as np


def loss(x, labels, weights, biases, masks):
    """Mean softmax cross-entropy; ``weights`` are those of FF, ``masks`` ReLU's by hidden layer."""
    return _forward(x, labels, weights, biases, masks)[0]


def _forward(x, labels, weights, biases, masks):
    inputs = []
    for number, (w, b) in enumerate(zip(weights, biases)):
        inputs.append(x)
        x = x @ w + b
        if number < len(masks):
            x = x * masks[number]
    probability = np.exp(x - x.max(axis=1, keepdims=True))
    probability /= probability.sum(axis=1, keepdims=True)
    rows = np.arange(len(x))
    return -np.log(probability[rows, labels]).mean(), inputs, probability


@dataclass
class Selection:
    """What SDGP kept of a layer's dY: a mask (batch, channels)."""

    mask: np.ndarray

    def apply(self, dy):
        kept = dy * self.mask
        return kept * (np.abs(dy).sum(axis=1) / np.abs(kept).sum(axis=1))[:, None]


def gradients(x, labels, ff, bp, biases, masks, selections):
    """[(dW, db)] of each layer; ``bp``: BP's effective weights, (Cin, Cout); ``selections``: by layer."""
    _, inputs, dy = _forward(x, labels, ff, biases, masks)
    dy[np.arange(len(x)), labels] -= 1
    dy /= len(x)
    result = []
    for number in reversed(range(len(ff))):
        result.append((inputs[number].T @ dy, dy.sum(axis=0)))
        if number:
            seen = dy if selections[number] is None else selections[number].apply(dy)
            dy = (seen @ bp[number].T) * masks[number - 1]
    return result[::-1]
