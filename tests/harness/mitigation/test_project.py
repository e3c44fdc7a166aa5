"""From text to a folder: what is counted and recorded, the same bytes again, nothing left behind; the command too."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import tiny_models
import torch
from typer.testing import CliRunner

from harness.cli import app
from harness.mitigation import written
from harness.mitigation.grouped import drawn, grouped
from harness.mitigation.kinds import PROJECTIONS
from harness.mitigation.project import project
from harness.mitigation.word_list import word_list
from harness.models.any import load_lm
from harness.storage.projections import RECORD_FILE, ProjectionRecord, Settings
from harness.storage.reading import read_record

PLACES = (
    "town",
    "harbour",
    "valley",
    "market",
    "school",
    "garden",
    "forest",
    "castle",
    "mill",
    "bridge",
    "river",
    "inn",
)
TEXT = [f"{who} walked to the {place} today." for who in ("He", "The queen") for place in PLACES]
TEXT += [f"It rained on the {place} again." for place in PLACES] + ["He saw her in the old town."]


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "text.txt"
    file.write_text("\n".join(TEXT) + "\n")
    return file


def digests(folder: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()}


@pytest.mark.parametrize("kind", PROJECTIONS)
def test_the_folder_is_a_model_with_its_tokenizer_and_a_record_of_how_it_was_made(
    kind: str, byte_llama: Path, text: Path, tmp_path: Path
) -> None:
    told = project(str(byte_llama), kind, tmp_path / "out", texts=text, settings=Settings(rounds=2))
    assert read_record(tmp_path / "out" / RECORD_FILE, ProjectionRecord) == told
    assert told.found == {"gender": {"male": 12, "female": 12, "no group": 12}}
    assert told.used["gender"]["no group"] == (12 if kind == "inlp" else 0)
    assert (told.written_into, told.width, told.shift) == ("lm_head", 32, False)
    assert told.removed in (range(2, 7) if kind == "inlp" else (1,))
    lm = load_lm(str(tmp_path / "out"))
    assert lm.tokenizer.bos_token == "<s>"
    assert lm.whole_model.config.tie_word_embeddings is False
    assert int(torch.linalg.matrix_rank(lm.whole_model.lm_head.weight.double(), rtol=1e-6)) == 32 - told.removed


def test_the_same_inputs_give_the_same_bytes_and_another_seed_another_draw(
    byte_llama: Path, text: Path, tmp_path: Path
) -> None:
    for name, seed in (("first", 0), ("second", 0), ("third", 1)):
        settings = Settings(sentences=10, seed=seed)
        project(str(byte_llama), "leace", tmp_path / name, texts=text, settings=settings)
    first, second, third = (digests(tmp_path / name) for name in ("first", "second", "third"))
    assert first == second
    assert first["model.safetensors"] != third["model.safetensors"]


def test_a_masked_model_gets_the_shift_of_leace_and_two_bias_types_one_after_the_other(tmp_path: Path) -> None:
    base = tiny_models.masked(tmp_path / "base", "bert")
    (tmp_path / "base" / "LICENSE.txt").write_text("as is")
    faiths = [
        f"The {one} stands in the {place} there." for one in ("church", "mosque", "synagogue") for place in PLACES
    ]
    text = tmp_path / "text.txt"
    text.write_text("\n".join(TEXT + faiths))
    told = project(str(base), "leace", tmp_path / "out", texts=text, bias_types=("gender", "religion"))
    assert (told.shift, told.removed, told.written_into) == (True, 3, "cls.predictions.transform.dense")
    assert told.found["religion"] == {"christian": 12, "jewish": 12, "muslim": 12, "no group": 37}
    assert (tmp_path / "out" / "LICENSE.txt").read_text() == "as is"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": "leaze"}, "no projection 'leaze'; there are sentence_debias, inlp, leace; did you mean 'leace'"),
        ({"bias_types": ("gendre",)}, "no words for bias type 'gendre'.* did you mean 'gender'"),
        ({"bias_types": ()}, "bias types are none"),
        ({"bias_types": ("race",)}, "text.txt: too few sentences .* 'race': black 0, white 0, asian 0, no group 37"),
        ({"pretrained": "nowhere/at/all"}, "no such folder"),
        ({"settings": Settings(components=99)}, "components=99: .* differ in"),
    ],
)
def test_what_cannot_be_projected_is_refused_and_nothing_is_left(
    changed: dict[str, object], message: str, byte_llama: Path, text: Path, tmp_path: Path
) -> None:
    given = {"pretrained": str(byte_llama), "kind": "sentence_debias", "output": tmp_path / "out", "texts": text}
    with pytest.raises(ValueError, match=message):
        project(**(given | changed))  # type: ignore[arg-type]
    assert [file.name for file in tmp_path.iterdir()] == ["text.txt"]


def test_a_folder_that_holds_something_is_left_alone(byte_llama: Path, text: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="thesis holds something else than this model"):
        project(str(byte_llama), "leace", tmp_path / "thesis", texts=text)


def test_a_model_that_loads_otherwise_than_it_was_written_is_not_left_behind(
    byte_llama: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written, "write_into", lambda *_: None)
    with pytest.raises(RuntimeError, match="models of type llama, loaded again, do not read the projection"):
        project(str(byte_llama), "leace", tmp_path / "out", texts=text)
    assert [file.name for file in tmp_path.iterdir()] == ["text.txt"]


def test_the_sentences_drawn_are_of_each_group_and_in_the_texts_order() -> None:
    found = grouped(TEXT, word_list("gender"), "a text")
    used = drawn(found, 5, seed=0, neutral=True)
    assert [len(one) for one in (*used.groups, used.neutral)] == [5, 5, 10]
    assert [TEXT.index(one) for one in used.groups[1]] == sorted(TEXT.index(one) for one in used.groups[1])
    assert used == drawn(found, 5, seed=0, neutral=True) != drawn(found, 5, seed=1, neutral=True)
    assert ("He walked to the town today.", "She walked to the town today.") in found.versions()


def test_the_command_writes_the_folder_and_lists_its_files(byte_llama: Path, text: Path, tmp_path: Path) -> None:
    options = [
        "--model",
        str(byte_llama),
        "--output",
        str(tmp_path / "out"),
        "--text",
        str(text),
        "--bias-type",
        "gender",
    ]
    outcome = CliRunner().invoke(
        app, ["project", "sentence_debias", *options, "--components", "2", "--sentences", "11"]
    )
    assert outcome.exit_code == 0, outcome.output
    assert str(tmp_path / "out" / "model.safetensors") in outcome.output.split()
    record = json.loads((tmp_path / "out" / RECORD_FILE).read_text())
    assert (record["removed"], record["settings"]["components"]) == (2, 2)
    assert record["used"] == {"gender": {"male": 11, "female": 11, "no group": 0}}


def test_the_help_of_the_command_names_every_kind() -> None:
    told = CliRunner().invoke(app, ["project", "--help"]).output
    assert all(kind in told for kind in PROJECTIONS)
