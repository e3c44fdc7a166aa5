"""How far scores moved when something was chosen otherwise that says nothing about the model, in a results file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from harness.storage.files import atomic_write
from harness.storage.reading import read_object

SENSITIVITY_KEY = "stereoscope_sensitivity"


class Sensitivity(BaseModel):
    """One metric of a task on a sample of its items: `as_scored`, and `otherwise` by the name of another choice."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    metric: str
    items: int
    as_scored: float
    otherwise: dict[str, float] = Field(min_length=1)

    @property
    def moved(self) -> float:
        """How far the choice that matters most moves the metric, in its unit."""
        return max(abs(value - self.as_scored) for value in self.otherwise.values())


def add_sensitivity(file: Path, found: Sequence[Sensitivity]) -> None:
    """Put what was found into a results file, in place of what an earlier check of it found."""
    results = read_object(file)
    results[SENSITIVITY_KEY] = [one.model_dump(mode="json") for one in found]
    atomic_write(file, json.dumps(results, indent=2, ensure_ascii=False))


def read_sensitivity(results: Mapping[str, Any]) -> list[Sensitivity]:
    """What a results file that was read says of it; nothing where nobody checked."""
    return [Sensitivity.model_validate(one) for one in results.get(SENSITIVITY_KEY, ())]
