"""report.html needs nothing but itself, cannot be broken by what it shows, and says first what came out."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from result_files import TERMS, Scores, crows, step_provenance, stereoset, write, write_run

from harness.reporting.analysis import analyse
from harness.reporting.markup import Html, element, table
from harness.reporting.page import page_html
from harness.reporting.plot import plot_svg
from harness.reporting.schema import Report
from harness.reporting.stages import find_runs

HOSTILE = '<script>alert("1")</script>&<img src=x onerror=alert(2)>$x^2$'


def page_of(*folders: Path, halves: bool = False) -> str:
    report = analyse(find_runs(folders), halves=halves)
    return page_html(report, plot_svg(report))


def text_of(page: str) -> str:
    """The words a reader sees, without the picture."""
    page = re.sub(r"<(svg|style).*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


class _Tags(HTMLParser):
    VOID = frozenset({"meta", "br", "img", "link"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"


def parsed(page: str) -> _Tags:
    tags = _Tags()
    tags.feed(page)
    assert tags.open == []
    return tags


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(write_run(tmp_path_factory.mktemp("page") / "run"), halves=True)


def test_the_page_needs_no_script_and_no_network(page: str) -> None:
    tags = parsed(page)
    assert tags.seen.isdisjoint({"script", "link", "img", "iframe", "object", "image"})
    loaded = [value for name, value in tags.attributes if name in ("src", "href", "xlink:href", "srcset", "action")]
    assert all(value.startswith("#") for value in loaded)
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    assert "@import" not in page
    assert not re.search(r"url\((?!['\"]?#)", page)


def test_the_answer_comes_before_any_table(page: str) -> None:
    assert page.index('class="verdict"') < page.index("<svg") < page.index("<table")
    assert "tiny-model, step 20, 2 cross-fitted folds: measured bias fell on every measure here" in text_of(page)


def test_before_after_and_change_stand_in_one_row(page: str) -> None:
    words = text_of(page)
    row = r"CrowS score CrowS-Pairs, held-out pairs, percent 50 40 70\.0 .* 60\.0 .* 55\.0 .*−15\.0 −.* p . .* −15\.0 −"
    assert re.search(row, words), "items, values, the change, and the change of the distance from 50"
    assert re.search(r"Median \|log P\(more\) - log P\(less\)\| CrowS-Pairs, held-out pairs, nats 0 40 4\.00", words)
    assert re.search(r"Pairs within 1 nat CrowS-Pairs, held-out pairs, percent high 40 0\.0", words)
    assert re.search(
        r"base last step \|diff\| median \|diff\| within 1 nat change .* age 20 5 .* 1\.00 1\.00 0\.0", words
    )
    assert "chance alone puts it above 0" not in words
    assert "What these numbers cannot tell" in words
    assert "halves of the target terms" in words
    assert "b" * 64 in page, "the digest of the weights"
    assert "stereoscope eval --model hf-causal" in words


def test_what_was_not_scored_alike_stands_there_with_both_values(tmp_path: Path) -> None:
    write(tmp_path / "base", Scores({"crows_pairs": crows(28, 4)}, provenance={"dtype": "bfloat16"}))
    write(tmp_path / "step", Scores({"crows_pairs_heldout": crows(20, 1)}, provenance=step_provenance(5, None)))
    assert "step 5 dtype bfloat16 float32 CrowS-Pairs, held-out pairs" in text_of(page_of(tmp_path))


def test_how_far_folds_lie_apart_is_shown(tmp_path: Path) -> None:
    """At step 10 fold 0 has an SS of 50 and fold 1 of 58.33; at step 20, which is shown, both have 50."""
    run = write_run(tmp_path / "run")
    for folder in run.glob("fold-*/step-20"):
        shutil.rmtree(folder)
    assert re.search(
        r"fold 0 fold 1 standard deviation .*Stereotype score, [^|]* 50\.0 58\.3 5\.89", text_of(page_of(run))
    )


def test_hostile_text_is_shown_and_never_run(tmp_path: Path) -> None:
    told: dict[str, Any] = {
        "model": HOSTILE,
        "command": HOSTILE,
        "started_after": HOSTILE,
        "versions": {HOSTILE: HOSTILE},
        "dtype": HOSTILE,
    }
    write(tmp_path / "base", Scores({"crows_pairs": crows(28, 4), HOSTILE[:8]: []}, provenance=told))
    step = {**step_provenance(5, None), **told}
    write(tmp_path / "step", Scores({"crows_pairs_heldout": crows(20, 1)}, provenance=step))
    page = page_of(tmp_path)
    tags = parsed(page)
    assert tags.seen.isdisjoint({"script", "img"})
    assert "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;" in page


def test_a_broken_step_is_called_broken_first(tmp_path: Path) -> None:
    write(tmp_path / "base", Scores({"stereoset_intrasentence": stereoset([2] * TERMS)}))
    samples = stereoset([1] * 6 + [2] * 6, meaningful=4)
    write(tmp_path / "step", Scores({"stereoset_intrasentence": samples}, provenance=step_provenance(5, None)))
    words = text_of(page_of(tmp_path))
    assert "the model broke (StereoSet intrasentence, Language-model score" in words
    assert "step 5 is broken: StereoSet intrasentence, Language-model score went from 83.3 to 66.7" in words


def test_sample_data_is_said_before_the_numbers(tmp_path: Path) -> None:
    write(tmp_path / "base", Scores({"crows_pairs": crows(28, 4)}, origin="sample"))
    told = step_provenance(5, None)
    write(tmp_path / "step", Scores({"crows_pairs_heldout": crows(20, 1)}, origin="sample", provenance=told))
    page = page_of(tmp_path)
    verdict = text_of(page[page.index('class="verdict"') :])
    assert verdict.index("a demonstration, not a measurement") < verdict.index("70.0")


def test_a_base_alone_has_a_page(tmp_path: Path) -> None:
    write(tmp_path, Scores({"crows_pairs": crows(28, 4)}))
    words = text_of(page_of(tmp_path))
    assert "How biased is it?" in words
    assert "Its CrowS score is 70.0 on 40 items (50 means no preference)" in words


def test_two_models_have_a_common_table_and_a_common_sentence(tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    write_run(small)
    write_run(large, model="larger-model", parameters=360_000_000)
    words = text_of(page_of(large, small))
    assert "All models" in words
    assert "distance from 50 changed by: tiny-model −16.7, larger-model −16.7 points" in words
    assert words.index("Before and after: tiny-model") < words.index("Before and after: larger-model")


def test_unscored_benchmarks_leave_a_page_and_a_picture(tmp_path: Path) -> None:
    write(tmp_path, Scores({"stereoset_intrasentence": stereoset([2] * TERMS)}))
    parsed(page_of(tmp_path))


def test_markup_escapes_text_and_attributes_but_not_markup() -> None:
    assert element("p", "a<b", Html("<i>c</i>"), title='"') == '<p title="&quot;">a&lt;b<i>c</i></p>'
    assert '<td class="text">&lt;x&gt;</td><td class="number">1</td>' in table(["a", "b"], [["<x>", "1"]])


def test_names_in_any_script_and_of_any_length_fit_into_the_picture(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    write_run(tmp_path / "a", model="模型-модель")
    write_run(tmp_path / "b", model="long-" * 60 + "end", parameters=360_000_000)
    picture = plot_svg(analyse(find_runs([tmp_path / "a", tmp_path / "b"])))
    assert ">模型-модель<" in picture
    assert "long-long-long-long-…" in picture
    assert "-end<" in picture
    assert not [str(warning.message) for warning in recwarn if "Glyph" in str(warning.message)]


def test_the_picture_has_no_date_and_no_random_ids(tmp_path: Path) -> None:
    report: Report = analyse(find_runs([write_run(tmp_path / "run")]))
    picture = plot_svg(report)
    assert picture == plot_svg(report)
    assert "<dc:date>" not in picture
