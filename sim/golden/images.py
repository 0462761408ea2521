"""Digits as images: one scale for all pixels, as convolutions want it."""

from dataclasses import replace

import numpy as np

from sat_hdl.sim.golden.data import TEST_SHARE, Dataset, load_digits, stratified_split

__all__ = ["load_digit_images"]


def load_digit_images(seed: int = 0) -> Dataset:
    """scikit-learn's digits with the split of :func:`~sat_hdl.sim.golden.data.load_digits`, but standardised by the
    mean and standard deviation of all pixels of the training set.

    Pixel by pixel, hardly varying pixels at the edges would be blown up, and a kernel would meet the same stroke at
    another scale in each place. Inputs are (samples, 64): rows of 8 pixels, one channel.
    """
    from sklearn.datasets import load_digits as digits  # slow to import, and needed here alone

    x, y = digits(return_X_y=True)
    train, test = stratified_split(y, TEST_SHARE, seed)
    x = ((x - x[train].mean()) / x[train].std()).astype(np.float32)
    return replace(load_digits(seed), x_train=x[train], x_test=x[test])
