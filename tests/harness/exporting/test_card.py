"""The model card: the hub reads it, it says what was trained and measured, and keeps what a user wrote."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import yaml
from hostile import HOSTILE, acting
from huggingface_hub import ModelCard
from huggingface_hub._eval_results import parse_eval_result_entries
from result_files import TERMS, Scores, crows, step_provenance, stereoset, wikitext, write

from harness.cli import app
from harness.data.split import Split, bind
from harness.exporting.card import write_card
from harness.storage.weights import weights_sha256
from training.checkpoints import is_complete, seal

BASE = "b" * 64


def checkpoint(folder: Path, fold: int = 0) -> Path:
    """A sealed adapter with the template that PEFT leaves in its README.md."""
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(f"weights of fold {fold}".encode())
    (folder / "README.md").write_text(
        "---\nbase_model: org/base\nlibrary_name: peft\nlicense: mit\n---\n\n# Template\n"
    )
    held_out = tuple(f"pair{number:02}" for number in range(fold, 40, 2))
    train = tuple(f"pair{number:02}" for number in range(1 - fold, 40, 2))
    bind(folder, Split(data_sha256="d" * 64, folds=2, fold=fold, train=train, held_out=held_out), "org/base", BASE)
    (folder.parent / "run.json").write_text(json.dumps({"objective": "balance", "lora_r": 16, "max_steps": -1}))
    seal(folder)
    return folder


def scored(run: Path, folders: list[Path], **more: str) -> Path:
    """A base and one step of each folder's weights: SS 66.67 at the base, 50 and 58.33 of folds 0 and 1."""
    base = {"crows_pairs": crows(28, 4), "stereoset_intrasentence": stereoset([2] * TERMS), "wikitext2": wikitext(20)}
    write(run / "base", Scores(base, provenance=more))
    for fold, folder in enumerate(folders):
        digest = hashlib.sha256(f"{BASE}\n{weights_sha256(folder)}".encode()).hexdigest()
        told = step_provenance(
            10, fold, weights_sha256=digest, base_weights_sha256=BASE, trained_on={"crows_pairs": 20}
        )
        samples = {
            "crows_pairs_heldout": crows(24, 2, range(fold, 40, 2)),
            "stereoset_intrasentence": stereoset([1] * (6 - 3 * fold) + [2] * (6 + 3 * fold)),
            "wikitext2": wikitext(20.4),
        }
        write(run / f"fold-{fold}", Scores(samples, provenance={**told, **more}))
    return run


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [checkpoint(tmp_path / f"fold-{fold}" / "checkpoint-10", fold) for fold in (0, 1)]


def test_the_hub_reads_the_scores_of_this_checkpoint(tmp_path: Path, folders: list[Path]) -> None:
    run = scored(tmp_path / "run", folders)
    written = write_card(folders[1], run)
    card = ModelCard.load(written.readme)
    assert (card.data.base_model, card.data.library_name, card.data.license) == ("org/base", "peft", "mit")
    assert card.data.model_name == "tiny-model"
    found = {(one.dataset_config, one.metric_type): one for one in card.data.eval_results or []}
    assert found["stereoset_intrasentence", "ss"].metric_value == pytest.approx(100 * 7 / 12)
    assert found["crows_pairs_heldout", "crows_score"].metric_value == 60
    assert found["crows_pairs_heldout", "crows_score"].dataset_type == "nyu-mll/crows_pairs"
    assert found["wikitext2", "word_perplexity"].metric_value == pytest.approx(20.4)


@pytest.mark.parametrize("base", ["/home/me/models/base", "models/base", "../base"])
def test_a_folder_of_this_machine_is_no_base_model_for_the_hub(
    tmp_path: Path, folders: list[Path], base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models" / "base").mkdir(parents=True)
    (folders[0] / "README.md").write_text(f"---\nbase_model: {base}\n---\n", encoding="utf-8")
    written = write_card(folders[0], force=True)
    assert ModelCard.load(written.readme).data.base_model is None


def test_the_text_says_what_was_trained_measured_and_concluded(tmp_path: Path, folders: list[Path]) -> None:
    run = scored(tmp_path / "run", folders)
    text = write_card(folders[0], run).readme.read_text(encoding="utf-8")
    assert "Made from org/base. Fine-tuned on 20 pairs of CrowS-Pairs" in text
    assert "fold 0 of 2; 20 pairs were held out" in text
    assert "objective balance, lora\\_r 16" in text or "objective balance, lora_r 16" in text
    assert "max_steps" not in text
    assert "mean over the checkpoints of 2 folds, of which this is fold 0" in text
    assert "tiny-model, step 10" in text.partition("## Verdict")[2]
    assert "low_n" in text.partition("## Limits")[2] or "low\\_n" in text.partition("## Limits")[2]


def test_the_draft_is_of_the_hubs_format_and_says_what_to_do_first(tmp_path: Path, folders: list[Path]) -> None:
    written = write_card(folders[0], scored(tmp_path / "run", folders))
    assert written.draft == folders[0] / ".eval_results" / "stereoset.yaml"
    text = written.draft.read_text(encoding="utf-8")
    assert "only if the benchmark's data set is registered" in text
    (entry,) = parse_eval_result_entries(yaml.safe_load(text))
    assert (entry.dataset_id, entry.task_id) == ("McGill-NLP/stereoset", "stereoset_intrasentence")
    assert entry.value == pytest.approx(500 / 6)  # LMS 83.33 and SS 50


def test_scores_on_other_data_are_no_results_for_the_hub(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    told = {"weights_sha256": weights_sha256(folder)}
    write(
        tmp_path / "run", Scores({"stereoset_intrasentence": stereoset([2] * TERMS)}, origin="sample", provenance=told)
    )
    written = write_card(folder, tmp_path / "run")
    assert written.draft is None
    assert ModelCard.load(written.readme).data.eval_results is None
    assert "sample\\_data" in (text := written.readme.read_text(encoding="utf-8")) or "sample_data" in text


def test_a_part_of_the_items_is_no_result_for_a_leaderboard(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    told = {"weights_sha256": weights_sha256(folder)}
    write(tmp_path / "run", Scores({"stereoset_intrasentence": stereoset([2] * TERMS)}, provenance=told, of=2106))
    written = write_card(folder, tmp_path / "run")
    assert written.draft is None
    assert len(ModelCard.load(written.readme).data.eval_results or []) == 3


def test_a_checkpoint_stays_complete(tmp_path: Path, folders: list[Path]) -> None:
    assert is_complete(folders[0])
    write_card(folders[0])
    assert is_complete(folders[0])


def test_what_a_user_wrote_is_kept_unless_forced(tmp_path: Path, folders: list[Path]) -> None:
    readme = folders[0] / "README.md"
    write_card(folders[0])
    write_card(folders[0])  # nobody changed the card
    changed = readme.read_text(encoding="utf-8").replace("## Limits", "## My own words\n\n## Limits")
    readme.write_text(changed, encoding="utf-8")
    with pytest.raises(ValueError, match=r"README\.md: somebody wrote or changed this file.*--force.*--output"):
        write_card(folders[0])
    assert readme.read_text(encoding="utf-8") == changed
    app(["card", str(folders[0]), "--output", str(tmp_path / "card.md")], standalone_mode=False)
    assert (tmp_path / "card.md").is_file()
    assert readme.read_text(encoding="utf-8") == changed
    write_card(folders[0], force=True)
    assert "My own words" not in readme.read_text(encoding="utf-8")


def test_weights_that_were_not_scored_have_no_scores_of_others(tmp_path: Path, folders: list[Path]) -> None:
    run = scored(tmp_path / "run", folders[:1])
    with pytest.raises(ValueError, match=r"its weights \(sha256 .*\) were not scored in .*run"):
        write_card(folders[1], run)
    assert "# Template" in (folders[1] / "README.md").read_text(encoding="utf-8")


def test_a_folder_without_records_or_report_says_that_nothing_is_known(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"weights")
    written = write_card(folder)
    text = written.readme.read_text(encoding="utf-8")
    assert written.draft is None
    assert "No file in this folder says how these weights were made" in text
    assert "No report was given" in text
    assert ModelCard.load(written.readme).data.eval_results is None


def test_hostile_names_and_metadata_act_on_nobody(tmp_path: Path, folders: list[Path]) -> None:
    run = scored(tmp_path / "run", folders, model=HOSTILE, started_after=HOSTILE)
    (folders[0] / "README.md").write_text("---\n: [\n---\n", encoding="utf-8")
    written = write_card(folders[0], run, force=True)
    text = written.readme.read_text(encoding="utf-8")
    assert acting(text) == []
    assert "\n# head" not in text
    assert ModelCard.load(written.readme).data.eval_results
