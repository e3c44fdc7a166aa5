"""Stereoscope's measuring side: bias benchmarks for language models on top of lm-eval, experiments, reports.

    from harness import score

    score("models/smollm2-135m", "crows_pairs,stereoset")

The names in `__all__` are for everybody; what they need is imported when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = [
    "Checkpoint",
    "Report",
    "Scores",
    "__version__",
    "finetune",
    "report",
    "run",
    "score",
]

if TYPE_CHECKING:
    from harness.api.checkpoint import Checkpoint
    from harness.api.finetune import finetune
    from harness.api.report import Report, report
    from harness.api.run import run
    from harness.api.score import score
    from harness.api.scores import Scores

_PLACES = {
    "Checkpoint": "harness.api.checkpoint",
    "Report": "harness.api.report",
    "Scores": "harness.api.scores",
    "finetune": "harness.api.finetune",
    "report": "harness.api.report",
    "run": "harness.api.run",
    "score": "harness.api.score",
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_PLACES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
