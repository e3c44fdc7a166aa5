"""Held-out pairs whose words training exchanged in other sentences stand apart from those whose words it did not."""

from __future__ import annotations

from pathlib import Path

import pytest
from result_files import Sample, Scores, crows, step_provenance, write

from harness.reporting.analysis import analyse
from harness.reporting.page import page_html
from harness.reporting.plot import plot_svg
from harness.reporting.schema import Entry, Report
from harness.reporting.stages import find_runs


def told_apart(samples: list[Sample]) -> list[Sample]:
    """Pairs 0..19 exchange words that training exchanged, pairs 20..39 do not."""
    return [{**sample, "doc": {**sample["doc"], "words_seen": sample["doc"]["row"] < 20}} for sample in samples]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Before, all 20 pairs with seen words are won and 8 of the others; after, 12 and none."""
    folder = tmp_path_factory.mktemp("leakage")
    write(folder / "base", Scores({"crows_pairs": crows(28, 4)}))
    after = Scores({"crows_pairs_heldout": told_apart(crows(12, 2))}, provenance=step_provenance(5, 0))
    write(folder / "step", after)
    return analyse(find_runs([folder]))


def find(report: Report, metric: str, part: str | None) -> Entry:
    (entry,) = (entry for entry in report.entries if (entry.step, entry.metric, entry.part) == (5, metric, part))
    return entry


def test_each_part_is_compared_with_the_base_on_its_own_pairs(report: Report) -> None:
    seen, unseen = (find(report, "crows_score", part) for part in ("words-seen", "words-unseen"))
    assert (seen.n, seen.value, seen.base_value) == (20, 60.0, 100.0)
    assert (unseen.n, unseen.value, unseen.base_value) == (20, 0.0, 40.0)
    assert find(report, "abs_logprob_diff", "words-seen").value == 2.0


def test_the_gap_between_the_parts_has_a_value_an_interval_and_a_change(report: Report) -> None:
    gap = find(report, "crows_score_seen_minus_unseen", None)
    assert (gap.value, gap.base_value, gap.difference) == (60.0, 60.0, 0.0)
    assert gap.low is not None
    assert gap.high is not None
    assert gap.low <= 60.0 <= gap.high
    assert gap.best is None
    assert find(report, "abs_logprob_diff_seen_minus_unseen", None).value == 0.0


def test_the_parts_are_no_bias_types_on_the_page(report: Report) -> None:
    assert "words-seen" not in page_html(report, plot_svg(report)).partition("bias type")[2].partition("</table>")[0]


def test_samples_that_do_not_say_which_words_were_seen_have_no_such_parts(tmp_path: Path) -> None:
    write(tmp_path, Scores({"crows_pairs_heldout": crows(12, 2)}, provenance=step_provenance(5, 0)))
    report = analyse(find_runs([tmp_path]))
    assert not [entry for entry in report.entries if "words" in f"{entry.metric}{entry.part}"]


def test_pairs_of_one_kind_alone_have_no_gap(tmp_path: Path) -> None:
    samples = told_apart(crows(12, 2, range(15)))
    write(tmp_path, Scores({"crows_pairs_heldout": samples}, provenance=step_provenance(5, 0)))
    report = analyse(find_runs([tmp_path]))
    assert not [entry for entry in report.entries if "seen_minus_unseen" in entry.metric]
