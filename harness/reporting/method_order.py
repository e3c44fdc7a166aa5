"""The order of an experiment's methods: that of its file, where a run has kept it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from harness.storage.reading import read_record


class ListedMethod(BaseModel):
    """A method as `experiment.json` lists it; with `scales` it stands for one of each, `NAME_SCALE`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    scales: tuple[float, ...] | None = None


class _Listed(BaseModel):
    methods: tuple[ListedMethod, ...] | None = None


class MethodPlace(NamedTuple):
    """Where a method stands: by its place in the file, by its scale's, and by name where the file does not have it."""

    listed: float
    scale: float
    name: str


def methods_of(run: Path) -> tuple[ListedMethod, ...]:
    """The methods of a run's experiment, in the order of its file; () where it lists none.

    Raises:
        ValueError: the list is none; names the file.
    """
    file = run / "experiment.json"
    return (read_record(file, _Listed, "put the run's own file back").methods or ()) if file.is_file() else ()


def place_of(method: str | None, listed: Sequence[ListedMethod]) -> MethodPlace:
    """What sorts methods; one that is not listed comes after those that are."""
    name = method or ""
    names = [one.name for one in listed]
    if name in names:
        return MethodPlace(names.index(name), 0, name)
    for place, one in enumerate(listed):
        if name.startswith(f"{one.name}_") and (scale := _number(name.removeprefix(f"{one.name}_"))) is not None:
            known = one.scales or ()
            return MethodPlace(place, known.index(scale) if scale in known else len(known) + abs(scale), name)
    return MethodPlace(math.inf, 0, name)


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
