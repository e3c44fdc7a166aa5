"""Effects and bias against size: known slopes, families, what is left out, and where nothing can be told."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hostile import HOSTILE, acting
from result_files import TERMS, Scores, crows, step_provenance, stereoset, wikitext, write

from harness.reporting.analysis import analyse
from harness.reporting.build import build_report
from harness.reporting.scale_schema import Scale, SizeFit
from harness.reporting.scale_text import told
from harness.reporting.schema import Report
from harness.reporting.stages import find_runs

BIASED = [2] * TERMS


def model(
    folder: Path,
    name: str,
    size: int | None,
    fewer: int,
    gap: float = 2,
    kind: str = "gpt2",
    perplexity: float = 20.2,
    method: str | None = None,
) -> None:
    """A base with SS 66.7 and gaps of 4, and a step that answers one item less in `fewer` terms, with gaps of `gap`."""
    weights = name.encode().hex().ljust(64, "0")[:64]
    shared: dict[str, Any] = {"model": name, "parameters": size, "base_weights_sha256": weights}
    shared["lineage"] = {"shape": {"model_type": kind}}
    base = {"crows_pairs": crows(28, 4), "stereoset_intrasentence": stereoset(BIASED), "wikitext2": wikitext(20)}
    write(folder / name / "base", Scores(base, provenance={**shared, "weights_sha256": weights}))
    pro = [1] * fewer + [2] * (TERMS - fewer)
    step = {
        "crows_pairs_heldout": crows(28, gap),
        "stereoset_intrasentence": stereoset(pro),
        "wikitext2": wikitext(perplexity),
    }
    own = step_provenance(10, None, method=method, weights_sha256=f"{method}{name}".encode().hex().ljust(64, "1")[:64])
    write(folder / name / f"step-{len(method or '')}", Scores(step, provenance={**own, **shared}))


def report(folder: Path) -> Report:
    return analyse(find_runs([folder]))


def scale(found: Report, metric: str, of: str = "effect", method: str | None = None) -> Scale:
    (one,) = (one for one in found.scale if (one.of, one.metric, one.method) == (of, metric, method))
    return one


def family(found: Scale, name: str | None) -> SizeFit:
    (one,) = (fit for fit in found.fits if fit.architecture == name)
    return one


def test_an_effect_that_halves_with_every_tenfold_is_found(tmp_path: Path) -> None:
    """SS comes 16.7, 8.3 and 0 points nearer; what is left of the gaps is a quarter, a half and all, without spread."""
    for name, size, fewer, gap in (("s", 10**8, 6, 1), ("m", 10**9, 3, 2), ("l", 10**10, 0, 4)):
        model(tmp_path, name, size, fewer, gap)
    found = report(tmp_path)
    points = scale(found, "ss")
    assert [(point.parameters, point.value) for point in points.points] == [
        (10**8, pytest.approx(-16.666667)),
        (10**9, pytest.approx(-8.333333)),
        (10**10, 0),
    ]
    fit = family(points, None)
    assert (fit.models, fit.slope, fit.at_largest) == (3, pytest.approx(8.333333), pytest.approx(0, abs=1e-5))
    assert fit.low is not None
    assert fit.low < 8.333333, "on a line by luck, and each point has an interval"
    gaps = family(scale(found, "abs_logprob_diff"), None)
    assert (gaps.slope, gaps.low, gaps.high, gaps.at_largest) == pytest.approx((2, 2, 2, 4 / 4))
    assert gaps.trend == "rises"
    assert "With every tenfold of parameters what training leaves of |d| is multiplied by 2.00 (2.00 to 2.00; 3 models)"
    assert "the larger the model, the less it takes off" in scale(found, "abs_logprob_diff").text


def test_the_slope_is_that_of_least_squares_over_the_logarithm_of_size(tmp_path: Path) -> None:
    sizes, fewer = (124_000_000, 355_000_000, 774_000_000, 1_500_000_000), (6, 5, 3, 4)
    for place, (size, terms) in enumerate(zip(sizes, fewer, strict=True)):
        model(tmp_path, f"m{place}", size, terms)
    fit = family(scale(report(tmp_path), "ss"), None)
    x, y = [math.log10(size) for size in sizes], [-terms * 100 / 36 for terms in fewer]
    middle = sum(x) / 4, sum(y) / 4
    slope = sum((a - middle[0]) * (b - middle[1]) for a, b in zip(x, y, strict=True)) / sum(
        (a - middle[0]) ** 2 for a in x
    )
    assert fit.slope == pytest.approx(slope, abs=1e-5)


def test_two_models_cannot_tell_and_it_is_said(tmp_path: Path) -> None:
    model(tmp_path, "s", 10**8, 6)
    model(tmp_path, "l", 10**9, 3)
    found = report(tmp_path)
    fit = family(scale(found, "ss"), None)
    assert (fit.slope, fit.low, fit.trend) == (pytest.approx(8.333333), None, "cannot tell")
    assert "The effect of training on |SS − 50| against size: cannot tell from 2 models." in found.verdict


def test_models_of_one_size_have_no_line(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        model(tmp_path, name, 10**8, 6)
    found = scale(report(tmp_path), "ss")
    assert (found.fits[0].slope, found.fits[0].at_largest) == (None, None)
    assert "cannot tell from 3 models of one size" in found.text


def test_families_have_lines_of_their_own_where_there_are_several(tmp_path: Path) -> None:
    """Within each family nothing changes with size; over both it seems to, since the larger ones are of one family."""
    for name, size, fewer, kind in (
        ("g1", 10**8, 6, "gpt2"), ("g2", 3 * 10**8, 6, "gpt2"), ("g3", 10**9, 6, "gpt2"),
        ("l1", 3 * 10**9, 1, "llama"), ("l2", 10**10, 1, "llama"),
    ):  # fmt: skip
        model(tmp_path, name, size, fewer, kind=kind)
    found = scale(report(tmp_path), "ss")
    assert [fit.architecture for fit in found.fits] == [None, "gpt2", "llama"]
    assert family(found, "gpt2").slope == pytest.approx(0, abs=1e-5)
    assert (family(found, "llama").models, family(found, "llama").low) == (2, None)
    assert (family(found, None).slope or 0) > 5
    assert "Within llama: the effect of training on |SS − 50| against size: cannot tell from 2 models." in found.text


def test_what_has_no_size_or_broke_is_left_out_by_name(tmp_path: Path) -> None:
    model(tmp_path, "unknown", None, 6)
    model(tmp_path, "broken", 10**10, 6, perplexity=90)
    model(tmp_path, "s", 10**8, 6)
    found = report(tmp_path)
    effect, bases = scale(found, "ss"), scale(found, "ss", "base")
    assert [point.model for point in effect.points] == ["s"]
    assert {one.model: one.why for one in effect.left_out} == {"unknown": "parameters not known", "broken": "broken"}
    assert {point.model for point in bases.points} == {"s", "broken"}, "a base is none the worse for its step"
    assert effect.text.endswith("Left out: unknown (parameters not known), broken (broken).")


def test_one_model_in_two_runs_counts_once(tmp_path: Path) -> None:
    for run in ("a", "b"):
        model(tmp_path / run, "s", 10**8, 6)
    model(tmp_path / "a", "l", 10**9, 6)
    found = scale(analyse(find_runs([tmp_path / "a", tmp_path / "b"])), "ss")
    assert (len(found.points), [one.why for one in found.left_out]) == (2, ["stands here more than once"])


def test_each_method_has_its_own_line_and_the_bases_theirs(tmp_path: Path) -> None:
    for name, size in (("s", 10**8), ("m", 10**9), ("l", 10**10)):
        for method, fewer in (("weak", 1), ("strong", 6)):
            model(tmp_path, name, size, fewer, method=method)
    found = report(tmp_path)
    assert [one.method for one in found.scale if one.metric == "ss"] == ["strong", "weak", None]
    bases = family(scale(found, "ss", "base"), None)
    assert (bases.models, bases.slope) == (3, 0)
    assert "|SS − 50| of the bases changes by 0.0 points" in scale(found, "ss", "base").text
    strong = scale(found, "ss", method="strong").text
    assert "cannot tell whether it changes with size; at the largest size here the line is still a fall" in strong
    assert "cannot tell whether it holds as models grow" in scale(found, "ss", method="weak").text


def test_one_model_alone_has_no_scale(tmp_path: Path) -> None:
    model(tmp_path, "s", 10**8, 6)
    folder = build_report([tmp_path])
    assert json.loads((folder / "report.json").read_text(encoding="utf-8"))["scale"] == []
    assert "As models grow" not in (folder / "report.html").read_text(encoding="utf-8")
    assert not (folder / "scale.svg").exists()


def test_every_file_shows_it_and_hostile_names_do_nothing(tmp_path: Path) -> None:
    for place, (size, fewer) in enumerate(((10**8, 6), (10**9, 3), (10**10, 0))):
        model(tmp_path, f"m{place}", size, fewer, gap=1 + place, kind=HOSTILE, method=HOSTILE)
    folder = build_report([tmp_path])
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "As models grow" in page
    assert acting(page) == []
    assert page.count("<svg") == 2
    drawn = ET.fromstring((folder / "scale.svg").read_text(encoding="utf-8"))
    assert not {element.tag.rpartition("}")[2] for element in drawn.iter()} & {"script", "foreignObject", "image", "a"}


@pytest.mark.parametrize(
    ("trend", "ends", "words"),
    [
        ("rises", (0.1, 1.5), "the larger the model, the less it takes off"),
        ("falls", (-1.5, -0.1), "the larger the model, the more it takes off"),
        ("cannot tell", (-0.3, 1.9), "cannot tell whether it holds as models grow"),
    ],
)
def test_the_sentence_follows_from_the_interval(trend: Any, ends: tuple[float, float], words: str) -> None:
    low, high = ends
    fit = SizeFit(
        architecture=None, models=4, slope=0.8, low=low, high=high, at_largest=-1, at_largest_low=-2, at_largest_high=1,
        trend=trend,
    )  # fmt: skip
    found = Scale(
        of="effect", method="balance", metric="ss", is_factor=False, points=[], fits=[fit], left_out=[], text=""
    )
    assert told(found).startswith("With every tenfold of parameters the effect of balance on |SS − 50| changes by +0.8")
    assert told(found).endswith(f"4 models): {words}.")
