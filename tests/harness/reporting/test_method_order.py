"""Methods stand in the order of the experiment's file, scaled ones by their scales, and unlisted ones last."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.reporting.method_order import methods_of, place_of

LISTED = [{"name": "zeta", "kind": "dpo"}, {"name": "negate", "kind": "negate"}, {"name": "zeta_2", "kind": "ipo"}]


def ordered(run: Path, names: list[str]) -> list[str]:
    listed = methods_of(run)
    return sorted(names, key=lambda name: place_of(name, listed))


def test_the_file_s_order_holds_and_names_decide_what_it_does_not_list(tmp_path: Path) -> None:
    names = ["alpha", "beta", "negate_-0.25", "negate_-0.5", "negate_-1", "negate_x", "zeta", "zeta_2"]
    assert ordered(tmp_path, names) == sorted(names), "without a file, by name"
    (tmp_path / "experiment.json").write_text(json.dumps({"methods": LISTED}))
    listed = ["zeta", "negate_-0.25", "negate_-0.5", "negate_-1", "zeta_2"]
    assert ordered(tmp_path, names) == [*listed, "alpha", "beta", "negate_x"]


def test_scales_stand_as_they_are_listed(tmp_path: Path) -> None:
    (tmp_path / "experiment.json").write_text(json.dumps({"methods": [{**LISTED[1], "scales": [-1, 0.5]}]}))
    assert ordered(tmp_path, ["negate_0.5", "negate_-1"]) == ["negate_-1", "negate_0.5"]


def test_a_list_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "experiment.json").write_text('{"methods": [{"kind": "dpo"}]}')
    with pytest.raises(ValueError, match=r"experiment\.json.*name"):
        methods_of(tmp_path)
