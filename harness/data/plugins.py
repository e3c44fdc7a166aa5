"""Benchmarks of other packages: what their entry points in the group `stereoscope.benchmarks` give."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

GROUP = "stereoscope.benchmarks"
log = logging.getLogger(__name__)

_LEFT_OUT: dict[str, str] = {}


@cache
def given() -> Mapping[str, object]:
    """What each entry point names, called if it is a function, by package and name; a broken one is left out.

    Loading one imports its package, whose readers then register their data sets (`harness.data.sources.register`).
    """
    found = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        plugin = f"{point.dist.name if point.dist else 'an unnamed package'} ({point.name} = {point.value})"
        try:
            value = point.load()
            found[plugin] = value() if callable(value) else value
        except Exception as error:
            leave_out(plugin, f"{type(error).__name__}: {error}")
    return found


def leave_out(plugin: str, why: str) -> None:
    """Say once that a plugin is broken and what is wrong with it; all others, and what is ours, go on without it."""
    if plugin not in _LEFT_OUT:
        log.warning("benchmarks of the package %s are left out: %s", plugin, why)
    _LEFT_OUT.setdefault(plugin, why)


def left_out() -> Mapping[str, str]:
    """The broken plugins so far, and what is wrong with each."""
    return dict(_LEFT_OUT)


def forget() -> None:
    """Look for entry points again when they are asked for next: packages came or went while the program runs."""
    given.cache_clear()
    _LEFT_OUT.clear()
