"""The ready experiments: what `stereoscope experiments` tells of them, the copies that `stereoscope init` writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.experiments.experiment_file import load
from harness.experiments.ready import listing, purpose, write_copy
from harness.storage.shipped import shipped, shipped_names


def test_every_experiment_is_listed_with_its_purpose_models_and_data() -> None:
    told = "\n".join(listing())
    for name in shipped_names("experiments"):
        assert f"{name}: " in told
    assert "demo: The main job in minutes: a real 135M model" in told
    assert "models: models/smollm2-135m" in told
    assert "data:   the built-in samples" in told
    assert "google/flan-t5-large" in told


def test_the_purpose_is_the_first_sentence_of_the_leading_comment() -> None:
    assert purpose("# Does it\n# work with x.yaml? Yes.\nname: a\n# no\n") == "Does it work with x.yaml?"


@pytest.mark.parametrize("name", shipped_names("experiments"))
def test_a_copy_means_what_the_original_means_under_a_name_of_its_own(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    copy = load(write_copy(name, Path("mine.yaml")))
    original = load(shipped("experiments") / f"{name}.yaml")
    assert copy.name == "mine"
    assert {**copy.written, "name": name} == original.written
    assert (shipped("experiments") / f"{name}.yaml").read_text().splitlines()[0] in Path("mine.yaml").read_text()


def test_a_copy_names_the_keys_that_it_could_set_too(tmp_path: Path) -> None:
    text = write_copy("demo", tmp_path / "mine.yaml").read_text()
    assert "#   restarts: 3\n" in text
    assert '#   scoring.batch_size: "auto"\n' in text
    assert "scoring.limits: {}" not in text


def test_a_copy_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("years of work")
    with pytest.raises(FileExistsError, match="is there already"):
        write_copy("demo", tmp_path / "mine.yaml")
    assert (tmp_path / "mine.yaml").read_text() == "years of work"


def test_an_unknown_experiment_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no experiment dmeo; .* demo, "):
        write_copy("dmeo", tmp_path / "mine.yaml")
