"""Methods beside each other: what is ranked, what shares a rank, on which items, and what stands in the table."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from result_files import PAIRS, TERMS, Sample, Scores, crows, step_provenance, stereoset, wikitext, write, write_run

from harness.reporting.analysis import analyse
from harness.reporting.build import build_report
from harness.reporting.compared_schema import MeasureChange, MethodComparison, MethodDifference, Treatment
from harness.reporting.methods_page import rows
from harness.reporting.methods_plot import points_of
from harness.reporting.plot_labels import spread_apart
from harness.reporting.stages import find_runs

BIASED, LEVEL = [2] * TERMS, [1, 2] * (TERMS // 2)
Tasks = dict[str, list[Sample]]


def tasks(pro: list[int], perplexity: float, won: int | None = None, gap: float = 4, meaningful: int = 5) -> Tasks:
    pairs = {} if won is None else {"crows_pairs_heldout": crows(won, gap)}
    scored = stereoset(pro, meaningful=meaningful)
    return {"stereoset_intrasentence": scored, "wikitext2": wikitext(perplexity), **pairs}


def base(folder: Path, **more: Any) -> None:
    scored = {"crows_pairs": crows(28, 4), **tasks(BIASED, 20)}
    write(folder / "base", Scores(scored, provenance=more))


def step(folder: Path, method: str, scored: Tasks, fold: int | None = None, number: int = 10, **more: Any) -> None:
    weights = f"{method}{number}{fold}".encode().hex().ljust(64, "0")[:64]
    told = step_provenance(number, fold, method=method, weights_sha256=weights, **more)
    write(folder / method / f"fold-{fold}", Scores(scored, provenance=told))


def compared(folder: Path) -> MethodComparison:
    (found,) = analyse(find_runs([folder])).comparisons
    return found


def treatment(found: MethodComparison, method: str, control: str | None = None) -> Treatment:
    (one,) = (one for one in found.treatments if (one.method, one.control) == (method, control))
    return one


def change(found: MethodComparison, method: str, metric: str) -> MeasureChange:
    (one,) = (one for one in treatment(found, method).measures if one.metric == metric)
    return one


def ranks(found: MethodComparison, metric: str = "ss") -> dict[str, list[int]]:
    return {
        one.method: its.ranks
        for one in found.treatments
        for its in one.measures
        if one.control is None and its.metric == metric
    }


def difference(found: MethodComparison, metric: str, one: str, other: str) -> MethodDifference:
    (item,) = (item for item in found.differences if (item.metric, item.one, item.other) == (metric, one, other))
    return item


def test_methods_that_answer_alike_share_a_rank_and_one_that_did_nothing_is_behind(tmp_path: Path) -> None:
    """SS 66.7 before; 50 under the first two, which differ from the third in six of twelve terms by 33.3 points."""
    base(tmp_path)
    for method, pro in (("one", LEVEL), ("two", LEVEL), ("none", BIASED)):
        step(tmp_path, method, tasks(pro, 20.2))
    found = compared(tmp_path)
    assert ranks(found) == {"none": [2], "one": [1], "two": [1]}
    assert change(found, "one", "ss").change == pytest.approx(-16.666667)
    apart, alike = difference(found, "ss", "none", "one"), difference(found, "ss", "one", "two")
    assert (apart.difference, apart.n) == (pytest.approx(16.666667), 36)
    assert apart.low is not None
    assert apart.low > 0
    assert (alike.difference, alike.p_value, alike.p_holm) == (0, 1, 1)
    assert apart.p_value is not None
    assert apart.p_holm == pytest.approx(3 * apart.p_value, rel=1e-4), "three comparisons, this one with the least p"
    assert "On |SS − 50| one comes first (−16.7 points), ahead of none; not told from it: two." in found.text


def test_every_measure_s_comparisons_are_corrected_together(tmp_path: Path) -> None:
    base(tmp_path)
    for method, pro, won in (("one", LEVEL, 20), ("none", BIASED, 28)):
        step(tmp_path, method, tasks(pro, 20.2, won))
    found = compared(tmp_path)
    assert [item.metric for item in found.differences] == ["ss", "crows_score", "abs_logprob_diff"]
    least = min(item.p_value for item in found.differences if item.p_value is not None)
    assert min(item.p_holm for item in found.differences) == pytest.approx(3 * least, rel=1e-4)


def test_nothing_told_apart_is_said_and_shown_as_one_rank(tmp_path: Path) -> None:
    base(tmp_path)
    for method, pro in (("one", [1] + [2] * 11), ("two", [2] * 11 + [1])):
        step(tmp_path, method, tasks(pro, 20.2))
    found = compared(tmp_path)
    assert ranks(found) == {"one": [1], "two": [1]}
    assert "On |SS − 50| no method can be told from another." in found.text


def test_what_broke_the_model_or_knows_the_items_has_no_rank(tmp_path: Path) -> None:
    """Perplexity x 4; LMS 33 points up with perplexity as it was; trained on the pairs that it is scored on."""
    write(tmp_path / "base", Scores({"crows_pairs": crows(28, 4), **tasks(BIASED, 20, meaningful=3)}))
    step(tmp_path, "broken", tasks(LEVEL, 80, meaningful=3))
    step(tmp_path, "learned", tasks(LEVEL, 20, meaningful=5))
    seen = {"crows_pairs": crows(20, 1), **tasks(LEVEL, 20.2, meaningful=3)}
    step(tmp_path, "seen", seen, trained_on={"crows_pairs": 40})
    step(tmp_path, "sound", tasks(LEVEL, 20.2, 22, 2, meaningful=3))
    found = compared(tmp_path)
    reasons = {one.method: one.not_ranked for one in found.treatments}
    assert reasons == {"broken": "broken", "learned": "suspect", "seen": None, "sound": None}
    assert ranks(found) == {"broken": [], "learned": [], "seen": [1], "sound": [1]}
    assert (change(found, "seen", "crows_score").ranks, change(found, "sound", "crows_score").ranks) == ([], [1])
    assert "Not ranked: broken (broken), learned (suspect)." in found.text
    assert {point.treatment.method for point in points_of(found, "ss")} == {"learned", "seen", "sound"}


def test_two_methods_are_paired_on_the_pairs_that_both_held_out(tmp_path: Path) -> None:
    """Gaps of 1 on all 40 pairs and of 3 on the even ones, which five writers wrote, too few for an interval."""
    base(tmp_path)
    step(tmp_path, "all", {**tasks(BIASED, 20.2), "crows_pairs_heldout": crows(20, 1)})
    step(tmp_path, "half", {**tasks(BIASED, 20.2), "crows_pairs_heldout": crows(20, 3, range(0, PAIRS, 2))}, fold=0)
    found = compared(tmp_path)
    item = difference(found, "abs_logprob_diff", "all", "half")
    assert (item.n, item.difference, item.low, item.p_value) == (20, -2, None, 2 * 0.5**5)
    assert (change(found, "all", "abs_logprob_diff").n, change(found, "half", "abs_logprob_diff").n) == (40, 20)
    table = rows(found)
    assert table[1][table[0].index("|d|")].startswith("−3.00")


def test_without_an_item_in_common_nothing_is_told_apart(tmp_path: Path) -> None:
    base(tmp_path)
    for method, fold, gap in (("even", 0, 1), ("odd", 1, 3)):
        pairs = {"crows_pairs_heldout": crows(20, gap, range(fold, PAIRS, 2))}
        step(tmp_path, method, {**tasks(BIASED, 20.2), **pairs}, fold=fold)
    found = compared(tmp_path)
    item = difference(found, "abs_logprob_diff", "even", "odd")
    assert (item.n, item.difference, item.p_value, item.p_holm, item.covers) == (None, None, None, 1, None)
    assert ranks(found, "abs_logprob_diff") == {"even": [1], "odd": [1]}


def test_folds_are_paired_by_fold_and_one_method_without_training_stands_against_all(tmp_path: Path) -> None:
    """Fold by fold both are 33.3 and 0 points from the base in one half of the terms: what training varies cancels."""
    base(tmp_path)
    half = [1] * 6 + [2] * 6
    for fold, before, after in ((0, BIASED, half), (1, half, [1] * 12)):
        step(tmp_path, "left", tasks(before, 20.2), fold)
        step(tmp_path, "right", tasks(after, 20.2), fold)
    step(tmp_path, "edited", tasks(BIASED, 20.2))
    found = compared(tmp_path)
    told = {(item.one, item.other): item for item in found.differences if item.metric == "ss"}
    assert {item.covers for item in told.values()} == {"items and training"}
    # The mean of SS 66.7 and 50 is 8.3 from 50, that of 50 and 33.3 as far on the other side.
    assert told["left", "right"].difference == pytest.approx(0, abs=1e-6)
    assert told["edited", "left"].difference == pytest.approx(16.666667 - 8.333333, abs=1e-5)


def test_a_projection_scored_on_all_pairs_is_paired_with_what_was_held_out(tmp_path: Path) -> None:
    base(tmp_path)
    step(tmp_path, "balance", {**tasks(BIASED, 20.2), "crows_pairs_heldout": crows(20, 1, range(20))})
    step(tmp_path, "leace", {**tasks(BIASED, 20.2), "crows_pairs": crows(28, 3)}, trained_on={})
    item = difference(compared(tmp_path), "abs_logprob_diff", "balance", "leace")
    assert (item.n, item.difference) == (20, -2)


def test_a_placebo_stands_behind_its_method_without_a_rank(tmp_path: Path) -> None:
    base(tmp_path)
    for method in ("one", "two"):
        step(tmp_path, method, tasks(LEVEL, 20.2))
    noise = {"stage": "control", "control": "noise", "matched_by": "perplexity", "seed": 0, "method": "one"}
    write(tmp_path / "noise", Scores(tasks(BIASED, 21), provenance={**noise, "weights_sha256": "d" * 64}))
    found = compared(tmp_path)
    assert [(one.method, one.control) for one in found.treatments] == [("one", None), ("one", "noise"), ("two", None)]
    placebo = treatment(found, "one", "noise")
    assert (placebo.word, placebo.not_ranked, placebo.measures[0].ranks) == (None, "placebo", [])
    assert (change(found, "one", "ss").beyond, change(found, "two", "ss").beyond) == (pytest.approx(-16.666667), None)
    assert [row[0] for row in rows(found)[1:]] == ["one", "placebo of one (noise)", "two"]


def test_time_and_passes_come_from_the_records_and_the_order_from_the_experiment(tmp_path: Path) -> None:
    run = tmp_path / "elsewhere"
    base(run)
    for fold, seconds in ((0, 10), (1, 20)):
        place = run / "m" / "methods" / "zeta" / "training" / f"fold-{fold}"
        place.mkdir(parents=True)
        (place / "trained.json").write_text(json.dumps({"checkpoints": {"checkpoint-10": 1.0}, "seconds": seconds}))
        where = f"/gone/runs/x/m/methods/zeta/training/fold-{fold}/checkpoint-10"
        step(run, "zeta", tasks(LEVEL, 20.2), fold, checkpoint=where)
    step(
        run,
        "alpha",
        tasks(LEVEL, 20.2),
        checkpoint=None,
        recipe={"kind": "self_debias", "prefixes": ["y"], "passes": 2},
    )
    assert [one.method for one in compared(run).treatments] == ["alpha", "zeta"]
    (run / "experiment.json").write_text(json.dumps({"methods": [{"name": "zeta", "kind": "dpo"}, {"name": "alpha"}]}))
    found = compared(run)
    assert [(one.method, one.making_seconds, one.passes) for one in found.treatments] == [
        ("zeta", 15, 1),
        ("alpha", None, 2),
    ]
    assert rows(found)[1][-2:] == ["15 s", "1"]
    assert rows(found)[2][-2:] == ["–", "2"]


def test_one_method_alone_is_compared_with_nothing(tmp_path: Path) -> None:
    base(tmp_path)
    step(tmp_path, "one", tasks(LEVEL, 20.2))
    assert analyse(find_runs([tmp_path])).comparisons == []


def test_a_report_without_methods_says_nothing_of_them(tmp_path: Path) -> None:
    folder = build_report([write_run(tmp_path / "run")])
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["comparisons"] == []
    assert "methods" not in (folder / "leaderboard.md").read_text(encoding="utf-8")
    assert "Methods beside each other" not in (folder / "report.html").read_text(encoding="utf-8")
    assert not (folder / "methods.svg").exists()


def test_every_file_of_the_report_has_the_comparison(tmp_path: Path) -> None:
    base(tmp_path)
    for method, pro in (("one", LEVEL), ("none", BIASED)):
        step(tmp_path, method, tasks(pro, 20.2))
    folder = build_report([tmp_path])
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    assert "Every two methods (1 comparison)" in page
    assert "| one " in (folder / "leaderboard.md").read_text(encoding="utf-8").partition("verdict")[2]
    board = json.loads((folder / "leaderboard.json").read_text(encoding="utf-8"))
    told = {one["config_general"]["method"]: one["config_general"]["method_ranks"] for one in board}
    assert told == {None: {}, "none": {"ss": [2]}, "one": {"ss": [1]}}
    drawn = (folder / "methods.svg").read_text(encoding="utf-8")
    assert drawn.startswith("<?xml")
    assert folder == build_report([tmp_path])
    assert drawn == (folder / "methods.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize("wanted", [[0.5] * 6, [0.0, 0.01, 0.9, 0.91, 0.92], [0.3], [-1.0, 2.0]])
def test_labels_are_at_least_a_line_apart_and_inside(wanted: list[float]) -> None:
    places = spread_apart(wanted, 0.1, 0.03, 0.97)
    assert all(after - before > 0.0999 for before, after in itertools.pairwise(places))
    assert min(places) >= 0.03 - 1e-9
    assert max(places) <= 0.97 + 1e-9
