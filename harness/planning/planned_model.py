"""A model of an experiment with all its settings merged: what planning, preflight and the stages read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.machine.strategy import Strategy


@dataclass(frozen=True)
class PlannedModel:
    """What is scored, and how it is trained; made once, when the experiment file is read.

    `tasks` are those of the base and, held-out pairs in place of all, of its checkpoints. `training` holds settings of
    `python -m training` alone. `accelerate_config` is the launch of the training, None one process; `strategy` says
    how that spreads it.
    """

    name: str
    pretrained: str
    tasks: tuple[str, ...]
    training: Mapping[str, Any]
    accelerate_config: Path | None
    strategy: Strategy
    revision: str = "main"
    start_token_id: int | None = None
    model_args: Mapping[str, Any] = field(default_factory=dict)
