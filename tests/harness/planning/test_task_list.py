"""`stereoscope tasks` agrees with what the tasks themselves accept and with the files that are there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.data.sources import SAMPLE, SOURCES
from harness.metrics.benchmarks import BENCHMARKS
from harness.planning.task_list import groups, state, table, tasks
from harness.scoring.task_files import Selection, leaves, select
from harness.storage.shipped import shipped


def test_every_task_file_is_listed_and_nothing_else() -> None:
    files = {path.stem for path in shipped("tasks").rglob("*.yaml")}
    assert {task.name for task in tasks()} | set(groups()) == files


def test_a_group_stands_for_what_lm_eval_takes_it_for() -> None:
    known = {task.name for task in tasks()}
    manager = select(["crows_pairs"], {}).manager
    for group, members in groups().items():
        apart = leaves(Selection(manager, list(members)))
        assert sorted(apart) == sorted(leaves(select([group], {})))
        assert set(apart) <= known


@pytest.mark.parametrize(
    ("task", "families"),
    [
        ("crows_pairs_heldout", ("causal", "masked", "seq2seq")),
        ("crows_pairs_pll_heldout", ("masked",)),
        ("stereoset_prompt_generate_intersentence", ("causal", "seq2seq")),
        ("honest_binary", ("causal", "masked", "seq2seq")),
    ],
)
def test_families_are_those_that_the_task_takes(task: str, families: tuple[str, ...]) -> None:
    (found,) = [one for one in tasks() if one.name == task]
    assert found.families == families


def test_the_data_is_called_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREOSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("STEREOSCOPE_DATA", raising=False)
    assert (state("crows_pairs"), state("hurtlex")) == ("sample", "absent")
    shutil.copytree(SAMPLE, tmp_path / "data")
    monkeypatch.setenv("STEREOSCOPE_DATA", str(tmp_path / "data"))
    assert (state("crows_pairs"), state("hurtlex")) == ("altered", "absent")


def test_published_data_is_called_published(real_data: Path) -> None:
    at_hand = [name for name, source in SOURCES.items() if (real_data / source.path).is_file()]
    assert len(at_hand) > 15
    assert {state(name) for name in at_hand} == {"published"}


def test_the_table_names_every_task_and_group() -> None:
    printed = table()
    for name in (name for name, benchmark in BENCHMARKS.items() if not benchmark.pools):
        assert f"\n{name} " in printed
    for group in groups():
        assert f"\n{group} " in printed
