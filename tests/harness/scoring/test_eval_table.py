"""What `stereoscope eval` prints of a model's results."""

from __future__ import annotations

from typing import Any

import pytest

from harness.metrics import crows_pairs
from harness.scoring.eval_table import Line, lines, print_scores, printed


def sample(number: int, more: float, less: float, bias_type: str) -> dict[str, Any]:
    doc = {"pair_id": str(number), "bias_type": bias_type, "direction": "stereo", "writer": f"A{number % 10}"}
    doc |= {"tokens_more": 5, "tokens_less": 5}
    return {"doc": doc, "filtered_resps": [[more, False], [less, False]], "filter": "none", "doc_id": number}


@pytest.fixture
def results() -> dict[str, Any]:
    """Thirty of forty pairs are won by 2 nats, ten are lost by 2; a task of lm-eval; an empty group."""
    kinds = ("gender", "age")
    samples = [sample(n, -10.0, -12.0 if n % 4 else -8.0, kinds[n % 2]) for n in range(40)]
    values = crows_pairs.metrics([crows_pairs.record(line) for line in samples])
    ours = {f"{name},none": value for name, value in values.items()}
    theirs = {
        "alias": "arc_easy",
        "acc,none": 0.5,
        "acc_stderr,none": 0.05,
        "f1,strict": 0.25,
        "f1_stderr,strict": "N/A",
    }
    return {
        "results": {"crows_pairs": {"alias": "crows_pairs", **ours}, "arc_easy": theirs, "group": {"alias": "group"}},
        "samples": {"crows_pairs": samples},
        "n-samples": {"arc_easy": {"original": 9, "effective": 7}},
    }


def by_metric(found: list[Line], task: str) -> dict[str, Line]:
    return {line.metric: line for line in found if line.task == task}


def test_a_task_of_ours_shows_its_headline_metrics_with_intervals(results: dict[str, Any]) -> None:
    shown = by_metric(list(lines(results)), "crows_pairs")
    assert list(shown) == ["crows_score", "abs_logprob_diff"]
    score, distance = shown.values()
    assert (score.value, score.n) == (75.0, 40)
    assert score.interval is not None
    assert 40 < score.interval.low < 75 < score.interval.high < 100
    # Each pair is 2 nats apart, so no resample gives another mean.
    assert (distance.value, distance.interval) == (2.0, (2.0, 2.0))


def test_all_metrics_come_with_those_of_each_part(results: dict[str, Any]) -> None:
    shown = by_metric(list(lines(results, everything=True)), "crows_pairs")
    # Every fourth pair is lost, all of them of the even ones: half of gender, none of age.
    assert (shown["crows_score/gender"].value, shown["crows_score/gender"].n) == (50.0, 20)
    assert shown["crows_score/age"].value == 100.0
    assert shown["abs_logprob_diff_median"].interval is None
    assert {"ties", "within_one_nat"} < set(shown)


def test_a_task_of_lm_eval_has_the_interval_of_its_standard_error(results: dict[str, Any]) -> None:
    shown = by_metric(list(lines(results)), "arc_easy")
    assert list(shown) == ["acc", "f1 (strict)"]
    assert shown["acc"].interval == pytest.approx((0.5 - 1.96 * 0.05, 0.5 + 1.96 * 0.05), abs=1e-4)
    assert (shown["f1 (strict)"].interval, shown["acc"].n) == (None, 7)


def test_the_table_is_short_and_says_where_the_rest_is(
    results: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    print_scores(results, None, everything=False, limit=40)
    told = capsys.readouterr().out
    assert len(told.splitlines()) < 12
    for said in ("first 40 documents of each task", "--verbose", "--output-path FOLDER", "stereoscope report FOLDER"):
        assert said in told
    assert "N/A" not in told


def test_a_value_that_is_undefined_is_a_dash() -> None:
    assert printed([Line("task", "ss", None, None, 0, 2)]).splitlines()[-1].split() == ["task", "ss", "–", "–", "0"]
