"""Noise with a known autocorrelation, for the tests of curves."""

import numpy as np


def correlated_noise(generator: np.random.Generator, num: int, correlation: float, std: float) -> np.ndarray:
    values = np.empty(num)
    state = generator.standard_normal() * std
    for place in range(num):
        state = correlation * state + generator.standard_normal() * std * np.sqrt(1 - correlation**2)
        values[place] = state
    return values
