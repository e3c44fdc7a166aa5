"""The intervals that were measured beside the ones in use: percentile, BCa, studentised and wild cluster bootstraps.

For a statistic that is one sum over clusters divided by another, [experiments, clusters] each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from scipy.stats import norm

from harness.metrics.statistics import Array

RESAMPLES = 999
Ends: TypeAlias = tuple[Array, Array]
Ratio: TypeAlias = Callable[[Array, Array, np.random.Generator], Ends]
_TAILS = (0.025, 0.975)


def percentile(top: Array, bottom: Array, random: np.random.Generator) -> Ends:
    """The middle 95% of resampled values."""
    drawn = _resampled(top, bottom, random)[0]
    low, high = np.quantile(drawn, _TAILS, axis=1)
    return low, high


def bca(top: Array, bottom: Array, random: np.random.Generator) -> Ends:
    """Bias-corrected and accelerated (Efron 1987)."""
    drawn = np.sort(_resampled(top, bottom, random)[0], axis=1)
    value = top.sum(axis=1) / bottom.sum(axis=1)
    left_out = (top.sum(axis=1, keepdims=True) - top) / (bottom.sum(axis=1, keepdims=True) - bottom)
    apart = left_out.mean(axis=1, keepdims=True) - left_out
    acceleration = (apart**3).sum(axis=1) / np.maximum(6 * (apart**2).sum(axis=1) ** 1.5, 1e-18)
    below = (drawn < value[:, None]).mean(axis=1) + (drawn == value[:, None]).mean(axis=1) / 2
    bias = norm.ppf(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES))
    ends = []
    for tail in _TAILS:
        z = bias + norm.ppf(tail)
        places = (norm.cdf(bias + z / (1 - acceleration * z)) * RESAMPLES).astype(int).clip(0, RESAMPLES - 1)
        ends.append(drawn[np.arange(len(drawn)), places])
    return ends[0], ends[1]


def studentised(top: Array, bottom: Array, random: np.random.Generator) -> Ends:
    """Bootstrap-t: each resample's distance from the value in standard errors of its own."""
    drawn, errors = _resampled(top, bottom, random)
    value, error = top.sum(axis=1) / bottom.sum(axis=1), _error(top, bottom)
    t = (drawn - value[:, None]) / np.maximum(errors, 1e-9)
    low, high = np.quantile(t, _TAILS, axis=1)
    return value - high * error, value - low * error


def wild(top: Array, bottom: Array, random: np.random.Generator) -> Ends:
    """Wild cluster bootstrap-t (Cameron, Gelbach and Miller 2008), symmetric, with Webb's six weights."""
    half = np.sqrt([1.5, 1.0, 0.5])
    weights = random.choice(np.concatenate([half, -half]), size=(RESAMPLES, top.shape[1]))
    value, error, total = top.sum(axis=1) / bottom.sum(axis=1), _error(top, bottom), bottom.sum(axis=1)
    residual = top - value[:, None] * bottom
    moved = residual @ weights.T / total[:, None]
    crossed = (residual * bottom) @ weights.T
    squares = (residual**2) @ (weights**2).T - 2 * moved * crossed + moved**2 * (bottom**2).sum(axis=1)[:, None]
    t = np.abs(moved) / np.sqrt(np.maximum(squares, 1e-18)) * total[:, None]
    reach = np.quantile(t, 0.95, axis=1) * error
    return value - reach, value + reach


METHODS: dict[str, Ratio] = {"percentile": percentile, "BCa": bca, "studentised": studentised, "wild": wild}


def _resampled(top: Array, bottom: Array, random: np.random.Generator) -> tuple[Array, Array]:
    """Values and standard errors of each resample, [experiments, resamples]; all experiments share their resamples."""
    clusters = top.shape[1]
    weights = random.multinomial(clusters, np.full(clusters, 1 / clusters), size=RESAMPLES).T.astype(float)
    total = bottom @ weights
    drawn = (top @ weights) / total
    squares = (top**2) @ weights - 2 * drawn * ((top * bottom) @ weights) + drawn**2 * ((bottom**2) @ weights)
    return drawn, np.sqrt(np.maximum(squares, 0)) / total


def _error(top: Array, bottom: Array) -> Array:
    value = top.sum(axis=1, keepdims=True) / bottom.sum(axis=1, keepdims=True)
    error: Array = np.sqrt(((top - value * bottom) ** 2).sum(axis=1)) / bottom.sum(axis=1)
    return error
