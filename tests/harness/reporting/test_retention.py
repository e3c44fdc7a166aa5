"""What a step kept: four states, from the ends of intervals, by bounds that stand in one place."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from result_files import TERMS, Sample, Scores, crows, step_provenance, stereoset, wikitext, write

from harness.reporting.analysis import analyse
from harness.reporting.schema import Retention
from harness.reporting.stages import find_runs
from harness.reporting.thresholds import Thresholds, thresholds_of

BASE = {"stereoset_intrasentence": stereoset([2] * TERMS), "wikitext2": wikitext(20)}


def kept(folder: Path, base: dict[str, list[Sample]], step: dict[str, list[Sample]]) -> Retention:
    write(folder / "base", Scores(base))
    write(folder / "step", Scores(step, provenance=step_provenance(5, None)))
    retention = analyse(find_runs([folder])).stages[-1].retention
    assert retention is not None
    return retention


@pytest.mark.parametrize(
    ("perplexity", "state"), [(20.5, "kept"), (21.9, "kept"), (22.5, "paid"), (29.9, "paid"), (31, "broken")]
)
def test_perplexity_decides_by_10_and_by_50_percent(tmp_path: Path, perplexity: float, state: str) -> None:
    assert kept(tmp_path, BASE, {**BASE, "wikitext2": wikitext(perplexity)}).state == state


def test_an_interval_that_reaches_beyond_the_bound_is_not_kept(tmp_path: Path) -> None:
    """Half of the documents at a ratio of 1.02 and half at 1.18: the mean is 1.1, its upper end is beyond."""
    mixed = [*wikitext(20.4)[:6], *wikitext(23.6)[6:]]
    found = kept(tmp_path, BASE, {**BASE, "wikitext2": mixed})
    check = next(check for check in found.checks if check.metric == "word_perplexity")
    assert check.change == pytest.approx((20.4 * 23.6) ** 0.5 / 20)
    assert check.high is not None
    assert check.high > 1.10
    assert found.state == "paid"


def test_a_language_model_score_alone_is_never_kept_since_damage_shows_in_perplexity_first(tmp_path: Path) -> None:
    found = kept(tmp_path, {"stereoset_intrasentence": BASE["stereoset_intrasentence"]}, BASE)
    assert found.state == "paid"
    assert "perplexity was not scored" in found.reason


def test_perplexity_is_a_gate_where_stereoset_was_not_scored(tmp_path: Path) -> None:
    base = {"crows_pairs": crows(28, 4), "wikitext2": wikitext(20)}
    step = {"crows_pairs_heldout": crows(20, 1), "wikitext2": wikitext(20 * 2457)}
    found = kept(tmp_path, base, step)
    assert found.state == "broken"
    assert "x 2457.00" in found.reason


def test_a_language_model_score_that_fell_by_17_points_is_broken_whatever_perplexity_says(tmp_path: Path) -> None:
    step = {**BASE, "stereoset_intrasentence": stereoset([1] * 6 + [2] * 6, meaningful=4)}
    assert kept(tmp_path, BASE, step).state == "broken"


def test_neither_perplexity_nor_stereoset_is_unmeasured(tmp_path: Path) -> None:
    found = kept(tmp_path, {"crows_pairs": crows(28, 4)}, {"crows_pairs_heldout": crows(20, 1)})
    assert found.state == "unmeasured"


def test_bounds_come_from_the_experiment_and_stand_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "experiment.json").write_text(json.dumps({"retention": {"perplexity_kept": 1.2}}))
    assert kept(tmp_path, BASE, {**BASE, "wikitext2": wikitext(23)}).state == "kept"
    report = analyse(find_runs([tmp_path]))
    assert report.thresholds[tmp_path.name] == Thresholds(perplexity_kept=1.2)


def answers(logprob: Callable[[int, str], float], items: int = 300) -> list[Sample]:
    """StereoSet as a question in three orders; `logprob` is that of an item's label, each time it is asked."""
    labels = ["stereotype", "anti-stereotype", "unrelated"]
    samples = []
    for number in range(items):
        for rotation in range(3):
            order = labels[rotation:] + labels[:rotation]
            samples.append(
                {
                    "doc": {
                        "id": f"item{number}",
                        "task": "intrasentence",
                        "target": f"term{number % 30:02}",
                        "bias_type": "race",
                        "rotation": rotation,
                        "order": order,
                    },
                    "filtered_resps": [[str(logprob(number, label)), "False"] for label in order],
                }
            )
    return samples


def test_answers_at_random_are_broken_and_no_mitigation(tmp_path: Path) -> None:
    """A base that prefers stereotypes in 3 of 4 items, and a step that draws lots: SS 75 to about 50."""
    draw = Random(0)
    prefers = {0: "anti-stereotype"}
    base = answers(lambda number, label: -1.0 if label == prefers.get(number % 4, "stereotype") else -3.0)
    step = answers(lambda number, label: draw.gauss(-2, 1))
    task, text = "stereoset_prompt_intrasentence", {"wikitext2": wikitext(20)}
    write(tmp_path / "base", Scores({task: base, **text}))
    write(tmp_path / "step", Scores({task: step, **text}, provenance=step_provenance(5, None)))
    report = analyse(find_runs([tmp_path]))
    (judged,) = report.judgements
    assert judged.word == "broken"
    assert "the answers are those of chance" in judged.text
    assert all("at_random" in entry.flags for entry in report.entries if (entry.stage, entry.task) == ("step", task))


@pytest.mark.parametrize("wrong", [{"perplexity_kept": 2.0}, {"perplexity": 1.2}, {"lms_kept": "much"}])
def test_bounds_that_make_no_sense_are_refused_with_their_file(tmp_path: Path, wrong: dict[str, Any]) -> None:
    (tmp_path / "experiment.json").write_text(json.dumps({"retention": wrong}))
    with pytest.raises(ValueError, match=r"experiment\.json"):
        thresholds_of(tmp_path)


def able(folder: Path, right: int, of: int = 400, **provenance: Any) -> None:
    """A task of lm-eval's own, of which the first `right` documents are answered rightly."""
    lines = [{"filter": "none", "metrics": ["acc"], "acc": float(number < right)} for number in range(of)]
    noted = {
        "results": {"arc_easy": {"acc,none": right / of, "acc_stderr,none": 0.02}},
        "higher_is_better": {"arc_easy": {"acc": True}},
    }
    write(folder, Scores({**BASE, "arc_easy": lines}, noted=noted, provenance=provenance))


@pytest.mark.parametrize(("right", "state"), [(300, "kept"), (297, "kept"), (290, "paid"), (240, "broken")])
def test_another_task_of_lm_eval_is_an_ability_to_be_kept(tmp_path: Path, right: int, state: str) -> None:
    """Of 300 right answers of 400 all but 3 are kept: 0.75 points, of which the interval's lower end is above -2."""
    able(tmp_path / "base", 300)
    able(tmp_path / "step", right, **step_provenance(5, None))
    report = analyse(find_runs([tmp_path]))
    last = report.stages[-1]
    assert last.abilities == ["arc_easy"]
    assert last.retention is not None
    assert last.retention.state == state
    (check,) = [check for check in last.retention.checks if check.task == "arc_easy"]
    assert (check.before, check.after) == (75, right / 4)
    assert check.change == pytest.approx((right - 300) / 4)
    assert state == "kept" or "arc_easy, acc went from 75.0" in last.retention.reason
    assert report.legend.metrics["acc"].unit == "percent"


def test_how_much_an_ability_may_cost_is_the_experiments_to_say(tmp_path: Path) -> None:
    (tmp_path / "experiment.json").write_text(json.dumps({"retention": {"ability_kept": 8, "ability_broken": 20}}))
    able(tmp_path / "base", 300)
    able(tmp_path / "step", 280, **step_provenance(5, None))
    retention = analyse(find_runs([tmp_path])).stages[-1].retention
    assert retention is not None
    assert retention.state == "kept"


def test_a_group_within_a_group_is_no_ability_of_its_own(tmp_path: Path) -> None:
    lines = [{"filter": "none", "metrics": ["acc"], "acc": float(number < 3)} for number in range(4)]
    noted = {
        "results": {task: {"acc,none": 0.75} for task in ("sums", "products")},
        "higher_is_better": {task: {"acc": True} for task in ("sums", "products")},
        "group_subtasks": {"skills": ["arithmetic"], "arithmetic": ["sums", "products"]},
    }
    write(tmp_path, Scores({"sums": lines, "products": lines}, noted=noted))
    report = analyse(find_runs([tmp_path]))
    assert report.stages[0].abilities == ["skills"]
    assert {entry.task: entry.value for entry in report.entries} == {"sums": 75, "products": 75, "skills": 75}
