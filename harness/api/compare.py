"""Two scored models or stages, item by item."""

from __future__ import annotations

from harness.reporting.compare import Comparison, compare

__all__ = ["Comparison", "compare"]
