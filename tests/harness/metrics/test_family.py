"""What may be claimed: known decisions on small families."""

from __future__ import annotations

import pytest

from harness.metrics.family import Measure, decide


def measure(name: str, change: float | None, p_value: float | None) -> Measure:
    return Measure(name, change, None, None, p_value, 1.5)


def test_measures_are_corrected_for_each_other() -> None:
    """0.01, 0.03, 0.2 become 0.03, 0.06, 0.2: what would be shown alone is not shown in company."""
    decided = decide([measure("ss", -4, 0.03), measure("crows_score", 2, 0.01), measure("abs_logprob_diff", -1, 0.2)])
    assert [one.outcome for one in decided] == ["not shown", "rose", "not shown"]
    assert [one.p_holm for one in decided] == pytest.approx([0.06, 0.03, 0.2])
    assert decide([measure("ss", -4, 0.03)])[0].outcome == "fell"


def test_a_measure_without_a_p_value_still_counts_as_looked_at() -> None:
    decided = decide([measure("ss", -4, 0.03), measure("crows_score", None, None)])
    assert [one.outcome for one in decided] == ["not shown", "not shown"]
    assert decided[0].smallest == 1.5


def test_a_family_has_each_measure_once_and_may_be_empty() -> None:
    assert decide([]) == ()
    with pytest.raises(ValueError, match="each once"):
        decide([measure("ss", -4, 0.03), measure("ss", -4, 0.03)])
