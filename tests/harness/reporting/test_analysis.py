"""Numbers in the report, counted by hand from the small folders that `result_files` describes."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import pytest
from result_files import PAIRS, TERMS, Scores, crows, step_provenance, stereoset, wikitext, write, write_run
from scipy import stats

from harness.reporting.analysis import analyse
from harness.reporting.index import Index
from harness.reporting.schema import Entry, Report
from harness.reporting.scores import term_half
from harness.reporting.stages import find_runs


def report_of(*folders: Path, halves: bool = False) -> Report:
    return analyse(find_runs(folders), halves=halves)


def find(report: Report, step: int | None, task: str, metric: str, part: str | None = None) -> Entry:
    found = [
        entry
        for entry in report.entries
        if (entry.step, entry.task, entry.metric, entry.part) == (step, task, metric, part)
    ]
    assert len(found) == 1, f"{len(found)} entries for {step} {task} {metric} {part}"
    return found[0]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return report_of(write_run(tmp_path_factory.mktemp("analysis") / "run"), halves=True)


def test_held_out_pairs_of_all_folds_stand_as_one_set(report: Report) -> None:
    entry = find(report, 20, "crows_pairs_heldout", "crows_score")
    assert (entry.value, entry.n, entry.clusters, entry.folds) == (55.0, PAIRS, 10, [0, 1])
    assert entry.fold_values is None


def test_held_out_pairs_are_compared_with_the_base_on_the_same_pairs(report: Report) -> None:
    """28 of 40 won before, 22 after: six of ten writers lose one of four pairs, so p is a t test's over writers."""
    entry = find(report, 20, "crows_pairs_heldout", "crows_score")
    assert (entry.base_value, entry.difference) == (70.0, -15.0)
    assert entry.p_value == pytest.approx(stats.ttest_1samp([-25.0] * 6 + [0.0] * 4, 0).pvalue, rel=1e-5)
    assert entry.difference_low is not None
    assert entry.difference_high is not None
    assert entry.difference_low < -15 < entry.difference_high < 0


def test_the_base_is_also_reported_on_the_held_out_pairs(report: Report) -> None:
    assert find(report, None, "crows_pairs_heldout", "crows_score").value == 70.0
    assert find(report, None, "crows_pairs", "crows_score").value == 70.0


def test_base_is_cut_down_to_the_pairs_of_the_only_fold(tmp_path: Path) -> None:
    """Base wins pairs 0..27; of the even pairs it wins 14 of 20."""
    write(tmp_path / "base", Scores({"crows_pairs": crows(28, 4)}))
    even = range(0, PAIRS, 2)
    write(tmp_path / "step", Scores({"crows_pairs_heldout": crows(22, 1, even)}, provenance=step_provenance(20, 0)))
    report = report_of(tmp_path)
    entry = find(report, 20, "crows_pairs_heldout", "crows_score")
    assert (entry.value, entry.base_value, entry.n) == (55.0, 70.0, 20)
    assert find(report, None, "crows_pairs_heldout", "crows_score").n == 20
    assert find(report, None, "crows_pairs", "crows_score").n == PAIRS


def test_a_base_scored_with_a_limit_is_not_compared(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "base", Scores({"crows_pairs": crows(28, 4, range(30))}))
    write(tmp_path / "step", Scores({"crows_pairs_heldout": crows(22, 1)}, provenance=step_provenance(20, 0)))
    report = report_of(tmp_path)
    assert find(report, 20, "crows_pairs_heldout", "crows_score").base_value is None
    assert {entry.task for entry in report.entries if entry.stage == "base"} == {"crows_pairs"}
    assert "the base model was not scored on 10 of a step's held-out pairs" in caplog.text


def test_magnitude_ratio_is_after_over_before(report: Report) -> None:
    entry = find(report, 20, "crows_pairs_heldout", "abs_logprob_diff")
    assert (entry.value, entry.base_value, entry.difference) == (1.0, 4.0, -3.0)
    assert (entry.ratio, entry.ratio_low, entry.ratio_high) == (0.25, 0.25, 0.25)
    assert find(report, 20, "crows_pairs_heldout", "crows_score").ratio is None


def test_a_magnitude_is_its_own_distance(report: Report) -> None:
    entry = find(report, 20, "crows_pairs_heldout", "abs_logprob_diff")
    assert (entry.distance_change, entry.distance_p) == (entry.difference, entry.p_value)
    assert find(report, 20, "crows_pairs_heldout", "abs_logprob_diff_median").distance_change == -3.0


def test_the_median_has_a_value_but_no_interval(report: Report) -> None:
    entry = find(report, 10, "crows_pairs_heldout", "abs_logprob_diff_median")
    assert (entry.value, entry.difference, entry.low, entry.p_value) == (2.0, -2.0, None, None)


def test_other_tasks_are_the_mean_over_folds(report: Report) -> None:
    """Fold 0 keeps one win in 6 of 12 terms, SS 50; fold 1 in 3 of 12, SS 58.33."""
    entry = find(report, 10, "stereoset_intrasentence", "ss")
    assert entry.fold_values == pytest.approx([50, 58.333333])
    assert entry.value == pytest.approx(54.166667)
    assert entry.base_value == pytest.approx(66.666667)
    assert entry.difference == pytest.approx(-12.5)
    assert (entry.n, entry.clusters) == (36, TERMS)


def test_folds_are_resampled_together(tmp_path: Path) -> None:
    """Five identical folds say no more than one: the interval is the same."""
    intervals = []
    for folds in (1, 5):
        folder = tmp_path / str(folds)
        pro = [1] * 4 + [2] * 8
        for fold in range(folds):
            write(
                folder / f"{fold}",
                Scores({"stereoset_intrasentence": stereoset(pro)}, provenance=step_provenance(5, fold)),
            )
        entry = find(report_of(folder), 5, "stereoset_intrasentence", "ss")
        intervals.append((entry.low, entry.high))
    assert intervals[0] == intervals[1]


def test_an_interval_says_whether_it_covers_training(report: Report) -> None:
    assert find(report, None, "stereoset_intrasentence", "ss").covers == "items"
    assert find(report, 10, "stereoset_intrasentence", "ss").covers == "items and training"
    assert find(report, 10, "crows_pairs_heldout", "crows_score").covers == "items and training"
    assert find(report, 10, "crows_pairs_heldout", "abs_logprob_diff_median").covers is None


def test_folds_that_lie_apart_widen_the_interval_of_their_mean(tmp_path: Path) -> None:
    """Three folds win one item of 0, 6 and 12 terms less: the same mean as three that win one of 6 less."""
    widths = []
    for name, fewer in (("alike", (6, 6, 6)), ("apart", (0, 6, 12))):
        write(tmp_path / name / "base", Scores({"stereoset_intrasentence": stereoset([2] * TERMS)}))
        for fold, terms in enumerate(fewer):
            samples = stereoset([1] * terms + [2] * (TERMS - terms))
            told = step_provenance(5, fold)
            write(tmp_path / name / f"{fold}", Scores({"stereoset_intrasentence": samples}, provenance=told))
        entry = find(report_of(tmp_path / name), 5, "stereoset_intrasentence", "ss")
        assert entry.difference == pytest.approx(-50 / 3)
        assert entry.difference_low is not None
        assert entry.difference_high is not None
        widths.append(entry.difference_high - entry.difference_low)
    assert widths[1] > 3 * widths[0]


def test_past_the_ideal_is_no_fall_of_bias(tmp_path: Path) -> None:
    """From 60 to 40: a clear change of the score, and none of its distance from 50."""
    write(tmp_path / "base", Scores({"crows_pairs": crows(24, 4)}))
    write(tmp_path / "step", Scores({"crows_pairs_heldout": crows(16, 4)}, provenance=step_provenance(5, None)))
    entry = find(report_of(tmp_path), 5, "crows_pairs_heldout", "crows_score")
    assert (entry.base_value, entry.value, entry.difference, entry.distance_change) == (60, 40, -20, 0)
    assert entry.p_value is not None
    assert entry.p_value < 0.01
    assert entry.distance_p is not None
    assert entry.distance_p > 0.9


def test_icat_near_50_is_flagged_as_too_low(report: Report) -> None:
    assert "biased_near_50" in find(report, 20, "stereoset_intrasentence", "icat").flags
    assert "biased_near_50" not in find(report, 20, "stereoset_intrasentence", "ss").flags
    assert "biased_near_50" not in find(report, None, "stereoset_intrasentence", "icat").flags


def test_a_missing_interval_has_its_reason(report: Report) -> None:
    religion = find(report, 20, "stereoset_intrasentence", "ss", "religion")
    assert (religion.low, religion.difference_low) == (None, None)
    assert "fewer than 6 cannot tell" in str(religion.no_interval)
    assert "median" in str(find(report, 20, "crows_pairs_heldout", "abs_logprob_diff_median").no_interval)
    assert find(report, 20, "stereoset_intrasentence", "ss").no_interval is None


def test_perplexity_has_the_interval_of_its_ratio(tmp_path: Path) -> None:
    """Documents that become 2, 4, ..., 24% more perplexing: the mean of their logarithms, by a t test."""
    rises = [1 + 0.02 * number for number in range(1, 13)]
    after = wikitext(20)
    for sample, rise in zip(after, rises, strict=True):
        sample["filtered_resps"] = [str(-100 * math.log(20 * rise))]
    write(tmp_path / "base", Scores({"wikitext2": wikitext(20)}))
    write(tmp_path / "step", Scores({"wikitext2": after}, provenance=step_provenance(5, None)))
    entry = find(report_of(tmp_path), 5, "wikitext2", "word_perplexity")
    logarithms = [math.log(rise) for rise in rises]
    low, high = stats.ttest_1samp(logarithms, 0).confidence_interval(0.95)
    found = (entry.ratio, entry.ratio_low, entry.ratio_high)
    assert found == pytest.approx((math.exp(sum(logarithms) / 12), math.exp(low), math.exp(high)), rel=1e-5)


def test_both_stereoset_tasks_are_pooled_by_term(report: Report) -> None:
    entry = find(report, 20, "stereoset", "icat")
    assert (entry.value, entry.n, entry.clusters) == (83.333333, 72, TERMS)
    assert find(report, None, "stereoset", "ss").value == pytest.approx(66.666667)


def test_perplexity_and_its_ratio(report: Report) -> None:
    assert find(report, 20, "wikitext2", "word_perplexity").value == pytest.approx(21)
    kept = report.stages[-1].retention
    assert kept is not None
    assert kept.perplexity_ratio == pytest.approx(1.05)
    assert (kept.lms_task, kept.lms_change, kept.state) == ("stereoset", 0.0, "kept")


def test_bias_types_are_corrected_for_each_other(report: Report) -> None:
    """Base wins gender pairs 1, 3..27 (14 of 20), step 20 pairs 1..21 (11): three of five writers lose one of four."""
    p = stats.ttest_1samp([-25.0] * 3 + [0.0] * 2, 0).pvalue
    for part in ("age", "gender"):
        entry = find(report, 20, "crows_pairs_heldout", "crows_score", part)
        assert (entry.value, entry.base_value, entry.n) == (55.0, 70.0, 20)
        assert (entry.p_value, entry.p_holm) == pytest.approx((p, 2 * p), rel=1e-5)
    assert find(report, 20, "crows_pairs_heldout", "crows_score").p_holm is None


def test_three_terms_are_flagged_and_prove_nothing(report: Report) -> None:
    entry = find(report, 20, "stereoset_intrasentence", "ss", "religion")
    assert (entry.n, entry.clusters) == (9, 3)
    assert "low_n" in entry.flags
    assert entry.p_value is not None
    assert entry.p_value >= 0.25
    assert "low_n" not in find(report, 20, "stereoset_intrasentence", "ss").flags


def test_halves_split_the_terms_for_good(report: Report) -> None:
    assert [term_half(term) for term in ("actor", "Norweigan", "grandmother", "Eriteria")] == ["A", "B", "A", "B"]
    halves = [find(report, 20, "stereoset", "ss", f"half-{half}") for half in "AB"]
    assert sum(half.n for half in halves) == 72
    assert sum(half.clusters for half in halves) == TERMS
    assert all(half.p_holm is None for half in halves)


def test_halves_are_left_out_unless_asked_for(tmp_path: Path) -> None:
    assert not [entry for entry in report_of(write_run(tmp_path / "run")).entries if "half" in str(entry.part)]


def test_a_fall_of_more_than_5_points_in_one_fold_breaks_the_step(tmp_path: Path) -> None:
    """LMS 83.3 before; fold 0 keeps it and fold 1 falls to 66.7, while its SS comes nearer to 50."""
    write(tmp_path / "base", Scores({"stereoset_intrasentence": stereoset([2] * TERMS)}))
    for fold, meaningful in ((0, 5), (1, 4)):
        samples = stereoset([1] * 6 + [2] * 6, meaningful=meaningful)
        write(tmp_path / f"{fold}", Scores({"stereoset_intrasentence": samples}, provenance=step_provenance(5, fold)))
    report = report_of(tmp_path)
    kept = report.stages[-1].retention
    assert kept is not None
    assert kept.state == "broken"
    assert "Language-model score went from 83.3 to 75.0" in kept.reason
    assert kept.lms_change == pytest.approx(-8.333333)
    assert all("broken" in entry.flags for entry in report.entries if entry.stage == "step")
    assert not any("broken" in entry.flags for entry in report.entries if entry.stage == "base")
    assert report.judgements[0].word == "broken"
    assert "so its bias scores show nothing about debiasing" in report.verdict


def test_without_a_language_model_score_nothing_is_called_sound(tmp_path: Path) -> None:
    write(tmp_path / "base", Scores({"crows_pairs": crows(28, 4)}))
    write(tmp_path / "step", Scores({"crows_pairs_heldout": crows(10, 1)}, provenance=step_provenance(5, None)))
    report = report_of(tmp_path)
    kept = report.stages[-1].retention
    assert kept is not None
    assert kept.state == "unmeasured"
    assert report.judgements[0].word == "unmeasured"
    assert "whether the model still works was not measured" in report.verdict


def test_undefined_is_null_and_flagged(tmp_path: Path) -> None:
    """Pairs of one direction only: the score of the other direction has nothing in its denominator."""
    stereo = [sample for sample in crows(28, 4) if sample["doc"]["direction"] == "stereo"]
    write(tmp_path, Scores({"crows_pairs": stereo}))
    report = report_of(tmp_path)
    entry = find(report, None, "crows_pairs", "antistereo_score")
    assert (entry.value, entry.low, entry.high) == (None, None, None)
    assert "undefined" in entry.flags
    assert "NaN" not in report.to_json()


def test_few_items_are_flagged(tmp_path: Path) -> None:
    write(tmp_path, Scores({"crows_pairs": crows(10, 4, range(29))}))
    assert "low_n" in find(report_of(tmp_path), None, "crows_pairs", "crows_score").flags


@pytest.mark.parametrize(("origin", "sha256", "flags"), [
    ("local", None, []),
    ("fetched", None, []),
    ("sample", "1" * 64, ["sample_data"]),
    ("local", "1" * 64, ["altered_data"]),
])  # fmt: skip
def test_data_is_flagged_by_where_it_comes_from(
    tmp_path: Path, origin: str, sha256: str | None, flags: list[str]
) -> None:
    write(tmp_path, Scores({"crows_pairs": crows(28, 4)}, origin=origin, sha256=sha256))
    assert find(report_of(tmp_path), None, "crows_pairs", "crows_score").flags == flags


def test_a_contaminated_model_is_flagged_with_evidence(tmp_path: Path) -> None:
    told: dict[str, Any] = {"model": "google/flan-t5-base"}
    write(tmp_path, Scores({"crows_pairs": crows(28, 4), "wikitext2": wikitext(20, 40)}, provenance=told))
    report = report_of(tmp_path)
    assert "contaminated" in find(report, None, "crows_pairs", "crows_score").flags
    assert "contaminated" not in find(report, None, "wikitext2", "word_perplexity").flags
    assert [(item.benchmark, item.status) for item in report.contamination] == [
        ("crows_pairs", "contaminated"),
        ("stereoset", "contaminated"),
    ]
    assert "316" in report.contamination[0].evidence


def test_a_step_scored_on_pairs_it_was_trained_on_is_flagged(tmp_path: Path) -> None:
    for folder, told in (("base", {}), ("step", step_provenance(5, None))):
        write(tmp_path / folder, Scores({"crows_pairs": crows(28, 4)}, provenance=told))
    report = report_of(tmp_path)
    assert find(report, None, "crows_pairs", "crows_score").flags == []
    assert find(report, 5, "crows_pairs", "crows_score").flags == ["contaminated"]


def test_a_pair_held_out_in_two_folds_is_an_error(tmp_path: Path) -> None:
    for fold in (0, 1):
        samples = crows(28, 4, range(20 * fold, 21 + 19 * fold))
        write(tmp_path / f"{fold}", Scores({"crows_pairs_heldout": samples}, provenance=step_provenance(5, fold)))
    with pytest.raises(ValueError, match="pair pair20 is held out twice at step 5, in fold 0 and in fold 1"):
        report_of(tmp_path)


def test_a_pair_that_the_file_repeats_counts_twice(tmp_path: Path) -> None:
    """The published file holds one pair twice; both rows are in one fold, and in the base."""
    twice = [*crows(28, 4), *crows(28, 4, [3])]
    write(tmp_path / "base", Scores({"crows_pairs": twice}))
    write(tmp_path / "step", Scores({"crows_pairs_heldout": twice}, provenance=step_provenance(5, 0)))
    assert find(report_of(tmp_path), 5, "crows_pairs_heldout", "crows_score").n == PAIRS + 1


def test_other_items_than_the_base_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "base", Scores({"stereoset_intrasentence": stereoset([2] * 11)}))
    write(
        tmp_path / "step",
        Scores({"stereoset_intrasentence": stereoset([2] * 12)}, provenance=step_provenance(5, None)),
    )
    with pytest.raises(
        ValueError, match=r"the base model has 33 scored items and a step 36; not in both: intra.*-11-0"
    ):
        report_of(tmp_path)


def test_folds_with_other_items_are_an_error_even_without_a_base(tmp_path: Path) -> None:
    for fold in (0, 1):
        samples = stereoset([2] * (11 + fold))
        write(tmp_path / f"{fold}", Scores({"stereoset_intrasentence": samples}, provenance=step_provenance(5, fold)))
    with pytest.raises(ValueError, match="one fold has 33 scored items and another 36"):
        report_of(tmp_path)


def test_other_data_than_the_base_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "base", Scores({"wikitext2": wikitext(20)}))
    write(
        tmp_path / "step",
        Scores({"wikitext2": wikitext(21)}, sha256="2" * 64, provenance=step_provenance(5, None)),
    )
    with pytest.raises(
        ValueError, match="wikitext2: the base model was scored on data 173c87a53759 and a step on 2222"
    ):
        report_of(tmp_path)


def test_a_samples_line_of_another_shape_names_file_and_line(tmp_path: Path) -> None:
    samples = crows(28, 4)
    del samples[4]["doc"]["writer"]
    write(tmp_path, Scores({"crows_pairs": samples}))
    with pytest.raises(
        ValueError, match=r"samples_crows_pairs_.*, line 5: not what crows_pairs writes .*KeyError: 'writer'"
    ):
        report_of(tmp_path)


def test_empty_samples_are_an_error(tmp_path: Path) -> None:
    file = write(tmp_path, Scores({"crows_pairs": crows(28, 4)}, provenance={"samples": {}}))
    next(file.parent.glob("samples_*")).write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"samples_crows_pairs_.*: no samples in it"):
        report_of(tmp_path)


def test_without_a_base_values_stand_alone(tmp_path: Path) -> None:
    write(tmp_path, Scores({"crows_pairs_heldout": crows(28, 4)}, provenance=step_provenance(5, 0)))
    report = report_of(tmp_path)
    entry = find(report, 5, "crows_pairs_heldout", "crows_score")
    assert (entry.value, entry.base_value, entry.difference, entry.p_value) == (70.0, None, None, None)
    assert report.stages[0].retention is None
    assert "no base model was scored" in report.verdict


def test_a_task_without_metrics_is_named_and_passed_over(tmp_path: Path) -> None:
    write(tmp_path, Scores({"crows_pairs": crows(28, 4), "lambada": [{"doc": {}}]}))
    report = report_of(tmp_path)
    assert report.stages[0].tasks_without_metrics == ["lambada"]
    assert {entry.task for entry in report.entries} == {"crows_pairs"}


def test_two_start_tokens_are_kept_apart(tmp_path: Path) -> None:
    other: dict[str, Any] = {"started_after": "<|endoftext|>", "started_after_id": 0}
    write(tmp_path / "bos", Scores({"crows_pairs": crows(28, 4)}))
    write(tmp_path / "eos", Scores({"crows_pairs": crows(24, 4)}, provenance=other))
    report = report_of(tmp_path)
    scores = {e.started_after: e.value for e in report.entries if e.metric == "crows_score" and e.part is None}
    assert scores == {"<|endoftext|>": 60.0, "<|im_start|>": 70.0}
    index = Index.of(report)
    assert [index.name(stage) for stage in report.stages] == [
        "tiny-model after <|endoftext|>",
        "tiny-model after <|im_start|>",
    ]


def test_models_are_ordered_by_size(tmp_path: Path) -> None:
    for name, size in (("large", 2_000), ("small", 10)):
        told: dict[str, Any] = {"model": name, "parameters": size}
        write(tmp_path / name, Scores({"crows_pairs": crows(28, 4)}, provenance=told))
    assert [stage.model for stage in report_of(tmp_path).stages] == ["small", "large"]


def test_the_report_does_not_depend_on_the_order_of_sample_lines(tmp_path: Path) -> None:
    first = report_of(write_run(tmp_path / "a" / "run", samples={}))
    folder = write_run(tmp_path / "b" / "run", samples={})
    for file in folder.rglob("samples_*.jsonl"):
        lines = file.read_text(encoding="utf-8").splitlines()
        file.write_text("\n".join(reversed(lines)), encoding="utf-8")
    assert report_of(folder) == first


def test_analysis_is_silent(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        report_of(write_run(tmp_path / "run"))
    assert caplog.records == []
