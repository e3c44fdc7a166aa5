"""Libraries as they log and draw once they are imported: taken over by the program's own log and its choice of bars."""

from __future__ import annotations

import logging
from typing import Any

from harness.terminal.bars import bars_wanted

_WITH_HANDLERS = ("transformers", "datasets", "huggingface_hub", "lm_eval")


def take_over_libraries() -> None:
    """In a program, after their import: they log through the root's handler, and draw bars only where ours are drawn.

    They bring handlers with formats of their own.
    """
    for name in _WITH_HANDLERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    if not bars_wanted():
        _draw_no_bars()


def _draw_no_bars() -> None:
    """For bars whose program says `disable=False`, as lm-eval does, which wins over tqdm's environment variable."""
    from tqdm import tqdm

    class_: Any = tqdm
    draw = class_.__init__

    def silent(bar: Any, *arguments: Any, **options: Any) -> None:
        draw(bar, *arguments, **{**options, "disable": True})

    class_.__init__ = silent
