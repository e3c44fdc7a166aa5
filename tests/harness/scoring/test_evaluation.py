"""`stereoscope eval` and result folders: what is written, what is recomputed from it, and what a failure leaves."""

from __future__ import annotations

import json
import logging
import re
import resource
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_models

from harness.data import crows_pairs
from harness.data.sources import locate
from harness.data.split import SPLIT_FILE, Split
from harness.metrics.benchmarks import BENCHMARKS
from harness.models.causal import CausalLM
from harness.scoring.eval_command import run
from harness.scoring.evaluation import score, write_scored
from harness.storage.results import PROVENANCE_KEY, Scored, find_scored

LIKELIHOOD = ["crows_pairs", "stereoset", "wikitext2"]


@pytest.fixture(autouse=True)
def built_in_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREOSCOPE_DATA", "sample")


@pytest.fixture(scope="module")
def scored(byte_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Scored:
    folder = tmp_path_factory.mktemp("scored")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STEREOSCOPE_DATA", "sample")
        score(CausalLM(str(byte_llama)), LIKELIHOOD, folder, model="tiny", limits={"crows_pairs": 40})
    (found,) = find_scored(folder)
    return found


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow beyond 40 kB, as on a disk that fills up while it is written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def evaluate(arguments: str) -> None:
    run(shlex.split(arguments))


def table(output: str) -> dict[str, list[str]]:
    """The cells behind each metric in the table that was printed of one task."""
    rows = [re.split(r"  +", line) for line in output.splitlines() if line and line[0] not in "-"]
    return {cells[1]: cells[2:] for cells in rows if len(cells) == 5}


@pytest.mark.parametrize("task", ["crows_pairs", "stereoset_intrasentence", "stereoset_intersentence", "wikitext2"])
def test_every_number_can_be_recomputed_from_the_samples_file(scored: Scored, task: str) -> None:
    benchmark = BENCHMARKS[task]
    records = [benchmark.record(sample) for sample in scored.samples(task)]
    results = {key.removesuffix(",none"): value for key, value in scored.results["results"][task].items()}
    recomputed = benchmark.metrics(records)
    assert recomputed == pytest.approx({key: results[key] for key in recomputed})


def test_both_forms_together_give_the_pooled_stereoset_score(scored: Scored) -> None:
    pooled = BENCHMARKS["stereoset"]
    records = [pooled.record(sample) for task in pooled.pools for sample in scored.samples(task)]
    assert len(records) == 128
    assert scored.results["results"]["stereoset"]["icat,none"] == pytest.approx(pooled.metrics(records)["icat"])


def test_the_results_say_where_they_come_from(scored: Scored, byte_llama: Path) -> None:
    provenance = scored.provenance
    assert (provenance.model, provenance.pretrained, provenance.stage) == ("tiny", str(byte_llama), "base")
    assert (provenance.started_after, provenance.started_after_id, provenance.dtype) == ("<s>", 256, "float32")
    assert provenance.tasks["crows_pairs"].origin == "sample"
    assert provenance.tasks["crows_pairs"].n == 40
    assert provenance.weights_sha256 == CausalLM(str(byte_llama)).weights_sha256


def test_samples_hold_no_copies_of_what_the_row_says(scored: Scored) -> None:
    for line in scored.samples("crows_pairs"):
        assert len(json.dumps(line)) < 2500


def test_a_limit_beyond_the_documents_means_all_of_them(byte_llama: Path, tmp_path: Path) -> None:
    written = score(CausalLM(str(byte_llama)), ["wikitext2"], tmp_path, model="tiny", limits={"wikitext2": 99})
    assert written is not None
    (scored,) = find_scored(tmp_path)
    assert len(list(scored.samples("wikitext2"))) == 6


def test_a_checkpoint_is_scored_on_the_pairs_it_never_saw_and_no_others(byte_llama: Path, tmp_path: Path) -> None:
    data = locate("crows_pairs", "sample")
    names = [pair.pair_id for pair in crows_pairs.read(data.path)]
    split = Split(data_sha256=data.sha256, folds=3, fold=0, train=tuple(names[30:]), held_out=tuple(names[:30]))
    (tmp_path / SPLIT_FILE).write_text(split.model_dump_json(), encoding="utf-8")
    checkpoint = tiny_models.lora(byte_llama, tmp_path / "checkpoint-1")
    lm = CausalLM(str(byte_llama))
    lm.use_adapter(checkpoint)
    score(lm, ["crows_pairs_heldout"], tmp_path / "out", model="tiny", stage="step", checkpoint=str(checkpoint))
    (found,) = find_scored(tmp_path / "out")
    assert [line["doc"]["pair_id"] for line in found.samples("crows_pairs_heldout")] == names[:30]
    assert found.provenance.weights_sha256 == lm.weights_sha256


def test_a_full_disk_is_an_error_and_leaves_the_earlier_files(scored: Scored, tmp_path: Path, small_disk: None) -> None:
    samples = {task: list(scored.samples(task)) for task in ("wikitext2", "crows_pairs")}
    for lines in samples.values():
        for line in lines:
            line["arguments"] = [list(arguments.values()) for arguments in line["arguments"].values()]
    few = {"samples": {"wikitext2": samples["wikitext2"]}, "results": {}}
    earlier = write_scored(tmp_path, few, None)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(OSError, match="large"):
        write_scored(tmp_path, {"samples": samples, "results": {}}, None)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert earlier in before


def test_eval_scores_prints_and_writes_with_this_projects_defaults(
    byte_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    evaluate(f"--model_args pretrained={byte_llama} --tasks crows_pairs --limit 20 --output_path {tmp_path}")
    (found,) = find_scored(tmp_path)
    assert found.provenance.model == byte_llama.name
    assert found.provenance.command.startswith("stereoscope eval --model_args")
    assert found.results["config"]["model"] == "hf-any"
    assert len(list(found.samples("crows_pairs"))) == 20
    assert "scoring in float32" in caplog.text
    value = found.results["results"]["crows_pairs"]["crows_score,none"]
    printed = capsys.readouterr().out
    assert list(table(printed)) == ["metric", "crows_score", "abs_logprob_diff"]
    shown, interval, n = table(printed)["crows_score"]
    low, high = map(float, interval.split(" to "))
    assert (shown, n) == (f"{value:.2f}", "20")
    assert 0 <= low < value < high <= 100
    assert f"stereoscope report {found.file.parent}" in printed


def test_eval_takes_lm_evals_configuration_file(byte_llama: Path, tmp_path: Path) -> None:
    config = tmp_path / "eval.yaml"
    config.write_text(
        f"model_args: {{pretrained: {byte_llama}}}\ntasks: [wikitext2]\noutput_path: {tmp_path / 'out'}\nlimit: 2\n",
        encoding="utf-8",
    )
    evaluate(f"--config {config}")
    (found,) = find_scored(tmp_path)
    assert len(list(found.samples("wikitext2"))) == 2


def test_eval_names_the_results_file_as_asked(byte_llama: Path, tmp_path: Path) -> None:
    out = tmp_path / "tiny.json"
    evaluate(f"--model_args pretrained={byte_llama} --tasks wikitext2 --limit 1 --output_path {out}")
    (written,) = tmp_path.glob("tiny_*.json")
    assert PROVENANCE_KEY in json.loads(written.read_text(encoding="utf-8"))


@pytest.mark.parametrize("token", ["</s>", "257"])
def test_the_other_start_token_is_scored_beside_the_first(
    byte_llama: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], token: str
) -> None:
    evaluate(
        f"--model_args pretrained={byte_llama} --tasks crows_pairs --limit 20 --output_path {tmp_path} "
        f"--compare_start_token {token}"
    )
    first, second = find_scored(tmp_path)
    assert (first.provenance.started_after, second.provenance.started_after) == ("<s>", "</s>")
    assert second.file.parent == first.file.parent / "start_token_257"
    gaps = [item.results["results"]["crows_pairs"]["abs_logprob_diff,none"] for item in (first, second)]
    row = f"| crows_pairs | abs_logprob_diff | {gaps[0]:.4f} | {gaps[1]:.4f} | {abs(gaps[0] - gaps[1]):.4f} |"
    assert row in capsys.readouterr().out
    alone = CausalLM(str(byte_llama), prefix_token_id=257)
    written = score(alone, ["crows_pairs"], tmp_path / "alone", model="tiny", limits={"crows_pairs": 20})
    assert written is not None
    results = json.loads(written.read_text(encoding="utf-8"))
    assert results["results"]["crows_pairs"]["abs_logprob_diff,none"] == pytest.approx(gaps[1])


@pytest.mark.parametrize(
    ("token", "complaint"), [("<|nope|>", "no such token"), ("<s>", "already"), ("9999", "no such")]
)
def test_a_start_token_that_compares_nothing_is_refused(byte_llama: Path, token: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        evaluate(f"--model_args pretrained={byte_llama} --tasks crows_pairs --compare_start_token '{token}'")


def test_cached_answers_of_one_model_are_never_given_for_another(
    byte_llama: Path, other_byte_llama: Path, tmp_path: Path
) -> None:
    gaps = []
    for number, model in enumerate([byte_llama, other_byte_llama, byte_llama]):
        out = tmp_path / str(number)
        evaluate(
            f"--model_args pretrained={model} --tasks crows_pairs --limit 10 --output_path {out} "
            f"--use_cache {tmp_path / 'cache'}"
        )
        (found,) = find_scored(out)
        gaps.append(found.results["results"]["crows_pairs"]["abs_logprob_diff,none"])
    assert gaps[0] == gaps[2] != gaps[1]
    assert len(list(tmp_path.glob("cache_*.db"))) == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("--tasks crows_pairs", "pretrained=MODEL"),
        ("--model_args pretrained={model}", "--tasks"),
        ("--model_args pretrained={model} --tasks crows_pairs --cache_requests true", "--cache-requests"),
        ("--model_args pretrained={model} --tasks crows_pairs_heldout", "split"),
        ("--model_args pretrained={model} --tasks crow_pairs", "did you mean 'crows_pairs'"),
        ("--model_args pretrained={model} --tasks x --metadata permutation=1", "did you mean 'permutations'"),
        ("--model_args pretrained={t5} --tasks crows_pairs", "stereoset_prompt"),
    ],
)
def test_bad_input_is_one_clear_error(byte_llama: Path, tmp_path: Path, arguments: str, complaint: str) -> None:
    if "{t5}" in arguments:
        tiny_models.byte_t5(tmp_path / "t5")
    with pytest.raises(ValueError, match=complaint):
        evaluate(arguments.format(model=byte_llama, t5=tmp_path / "t5"))


def test_secrets_do_not_reach_the_results(byte_llama: Path, tmp_path: Path) -> None:
    evaluate(
        f"--model_args pretrained={byte_llama},prefix_token_id=257 --metadata token=hf_abc "
        f"--tasks wikitext2 --limit 1 --output_path {tmp_path}"
    )
    (found,) = find_scored(tmp_path)
    assert "hf_abc" not in found.provenance.command
    assert "prefix_token_id=257" in found.provenance.command
