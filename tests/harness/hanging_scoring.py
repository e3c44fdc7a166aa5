"""`stereoscope eval`, of which rank 1 hangs before its first score: launched by the tests of the watch."""

from __future__ import annotations

import os
import time
from typing import Any

import harness.watch
from harness.cli import main
from harness.models.causal import CausalLM

harness.watch.PATIENCE = 5.0
score = CausalLM.loglikelihood


def hang(self: CausalLM, *arguments: Any, **options: Any) -> Any:
    """In rank 1 for ever."""
    while os.environ["RANK"] == "1":
        time.sleep(1)
    return score(self, *arguments, **options)


CausalLM.loglikelihood = hang  # type: ignore[method-assign]
main()
