"""`stereoscope eval` of models behind an API: equal to the same model here, whatever fails, and with nothing lost."""

from __future__ import annotations

import importlib.util
import json
import logging
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import stand_in_server
from stand_in_server import KEY, StandIn

from harness.judging.saved_texts import reclassify
from harness.reporting.build import build_report
from harness.scoring.eval_command import run
from harness.storage.results import Scored, find_scored

pytest.importorskip("tenacity", reason="needs the extra `api`")

LIKELIHOODS = "crows_pairs,stereoset,stereoset_prompt_intrasentence,crows_pairs_prompt,wikitext2"
# The model's window is 256 tokens; the prompt forms do not fit into it with long sentences.
SENTENCES = "crows_pairs,stereoset"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEREOSCOPE_DATA", "sample")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def server(byte_llama: Path) -> Iterator[StandIn]:
    with stand_in_server.serving(byte_llama) as running:
        yield running


def evaluate(server: StandIn, tasks: str, more: str = "", chat: bool = False, arguments: str = "") -> None:
    model = "local-chat-completions" if chat else "local-completions"
    told = f"model=tiny,base_url={server.url(chat)}{arguments}"
    run(shlex.split(f"--model {model} --model-args {told} --tasks {tasks} {more}"))


def scored_in(folder: Path) -> Scored:
    (found,) = find_scored(folder)
    return found


def answers(scored: Scored, task: str) -> list[Any]:
    return [sample["filtered_resps"] for sample in scored.samples(task)]


def texts(scored: Scored, task: str) -> list[list[str]]:
    return [[entry[0] for entry in sample["filtered_resps"][0]] for sample in scored.samples(task)]


TOXICITY = "--metadata toxicity_classifier=demonstration,k=3"


@pytest.mark.parametrize("more", ["", ",num_concurrent=8", ",batch_size=7"])
def test_likelihoods_are_those_of_the_same_model_here(
    server: StandIn, byte_llama: Path, tmp_path: Path, more: str
) -> None:
    evaluate(
        server,
        SENTENCES,
        f"--limit 8 --output-path {tmp_path}/api",
        arguments=f",tokenizer={byte_llama},max_length=256{more}",
    )
    run(
        shlex.split(f"--model-args pretrained={byte_llama} --tasks {SENTENCES} --limit 8 --output-path {tmp_path}/here")
    )
    served, here = scored_in(tmp_path / "api"), scored_in(tmp_path / "here")
    for task in ("crows_pairs", "stereoset_intrasentence", "stereoset_intersentence"):
        found = [[float(logprob) for logprob, _ in line] for line in answers(served, task)]
        expected = [[float(logprob) for logprob, _ in line] for line in answers(here, task)]
        for one, other in zip(found, expected, strict=True):
            assert one == pytest.approx(other, abs=1e-4)
        assert [[greedy for _, greedy in line] for line in answers(served, task)] == [
            [greedy for _, greedy in line] for line in answers(here, task)
        ]
    assert served.provenance.started_after == here.provenance.started_after == "<s>"


def test_perplexity_is_that_of_the_same_windows_here(server: StandIn, byte_llama: Path, tmp_path: Path) -> None:
    """The API's windows are two tokens shorter: one is generated, one is the context."""
    evaluate(
        server,
        "wikitext2",
        f"--limit 2 --output-path {tmp_path}/api",
        arguments=f",tokenizer={byte_llama},max_length=256",
    )
    here_too = f"--model-args pretrained={byte_llama},max_length=254 --tasks wikitext2 --limit 2"
    run(shlex.split(f"{here_too} --output-path {tmp_path}/here"))
    served, here = scored_in(tmp_path / "api"), scored_in(tmp_path / "here")
    assert served.results["results"]["wikitext2"]["token_perplexity,none"] == pytest.approx(
        here.results["results"]["wikitext2"]["token_perplexity,none"], rel=1e-5
    )


def test_every_prompt_and_repeat_has_a_seed_of_its_own_and_the_same_one_next_time(
    server: StandIn, tmp_path: Path
) -> None:
    task = "toxicity_rtp_nontoxic"
    evaluate(server, task, f"--limit 5 {TOXICITY} --output-path {tmp_path}/one")
    first = [one["seed"] for one in server.asked]
    assert len(first) == len(set(first)) == 15
    assert all(0 <= seed < 1 << 31 for seed in first)
    assert all(one["temperature"] == 1 and one["top_p"] == 0.9 for one in server.asked)
    assert all(one["top_k"] == -1 and one["min_p"] == 0 for one in server.asked)
    evaluate(server, task, f"--limit 5 {TOXICITY} --output-path {tmp_path}/two", arguments=",num_concurrent=4")
    assert texts(scored_in(tmp_path / "one"), task) == texts(scored_in(tmp_path / "two"), task)
    prompts = {one["seed"]: one["prompt"] for one in server.asked}
    for sample in scored_in(tmp_path / "two").samples(task):
        for ((text, *_),) in zip(sample["filtered_resps"][0], strict=True):
            assert prompts[int(text.split()[-1])] == sample["doc"]["ask"]
    evaluate(server, task, f"--limit 5 {TOXICITY} --seed 7")
    assert not {one["seed"] for one in server.asked[30:]} & set(first)


@pytest.mark.parametrize("chat", [False, True])
def test_saved_texts_are_judged_and_can_be_judged_again(server: StandIn, tmp_path: Path, chat: bool) -> None:
    task = "toxicity_rtp_nontoxic"
    evaluate(server, task, f"--limit 4 {TOXICITY} --output-path {tmp_path}", chat=chat)
    scored = scored_in(tmp_path)
    assert scored.provenance.is_judged
    assert scored.results["results"][task]["n,none"] == 4
    assert scored.provenance.generations[task].k == 3
    assert len(reclassify(tmp_path, "demonstration", "hate", None, False)) == 1


def test_chat_gets_messages_and_no_chosen_letter_is_lost(server: StandIn, tmp_path: Path) -> None:
    task = "stereoset_prompt_generate_intrasentence"
    evaluate(server, task, f"--limit 4 --output-path {tmp_path}", chat=True)
    assert all(one["messages"][-1]["role"] == "user" and one["temperature"] == 0 for one in server.asked)
    assert scored_in(tmp_path).provenance.tasks[task].n == 4
    report = json.loads((build_report([tmp_path]) / "report.json").read_text(encoding="utf-8"))
    assert [stage["prompt"] for stage in report["stages"]] == ["chat template server's"]


@pytest.mark.parametrize(
    ("chat", "tasks", "refused", "able"),
    [
        (True, "crows_pairs,toxicity_rtp_nontoxic", "crows_pairs", "toxicity_rtp_nontoxic"),
        (True, "stereoset_prompt", "stereoset_prompt_intrasentence", "stereoset_prompt_generate_intrasentence"),
        (False, "crows_pairs_pll,crows_pairs", "crows_pairs_pll", "crows_pairs"),
        (False, "crows_pairs_heldout,wikitext2", "crows_pairs_heldout", "wikitext2"),
    ],
)
def test_what_an_api_cannot_be_asked_is_refused_by_name_before_any_request(
    chat: bool, tasks: str, refused: str, able: str
) -> None:
    with stand_in_server.serving() as server, pytest.raises(ValueError, match="cannot be asked") as error:
        evaluate(server, tasks, chat=chat)
    assert f"cannot be asked {refused} (" in str(error.value)
    assert f"It can be asked {able}" in str(error.value)
    assert not server.asked


def test_a_server_that_ignores_echo_is_found_out_before_any_task(byte_llama: Path) -> None:
    with (
        stand_in_server.serving(echoes=False) as server,
        pytest.raises(ValueError, match=r"no log-probabilities of given text, which crows_pairs ask for"),
    ):
        evaluate(server, "toxicity_rtp_nontoxic,crows_pairs", arguments=f",tokenizer={byte_llama}")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "fault",
    [
        stand_in_server.too_many,
        stand_in_server.broken_inside,
        stand_in_server.cut_connection,
        stand_in_server.no_json,
        stand_in_server.another_json,
    ],
)
@pytest.mark.parametrize("chat", [False, True])
def test_a_failure_that_passes_leaves_no_trace(
    server: StandIn, tmp_path: Path, fault: Any, chat: bool, caplog: pytest.LogCaptureFixture
) -> None:
    task = "toxicity_rtp_nontoxic"
    evaluate(server, task, f"--limit 3 {TOXICITY} --output-path {tmp_path}/sound", chat=chat)
    server.faults = {len(server.asked) + 2: fault}
    evaluate(server, task, f"--limit 3 {TOXICITY} --output-path {tmp_path}/failing", chat=chat)
    assert len(server.asked) == 9 + 10
    assert texts(scored_in(tmp_path / "failing"), task) == texts(scored_in(tmp_path / "sound"), task)


@pytest.mark.parametrize("tasks", ["crows_pairs", "toxicity_rtp_nontoxic"])
def test_a_server_that_dies_midway_loses_nothing_that_was_answered(
    server: StandIn, byte_llama: Path, tmp_path: Path, tasks: str
) -> None:
    arguments = f",tokenizer={byte_llama},max_length=256,max_retries=2"
    judged = "" if tasks == "crows_pairs" else TOXICITY
    more = f"--limit 5 {judged} --output-path {tmp_path}/results"
    server.dies_at = 8
    with pytest.raises(ConnectionError, match=r"no usable answer after 2 attempts.*the same command goes on"):
        evaluate(server, tasks, more, arguments=arguments)
    server.dies_at, before = None, server.asked[:8]
    evaluate(server, tasks, more, arguments=arguments)
    probe = [json.dumps(one) for one in before[:1]] if tasks == "crows_pairs" else []
    times = Counter(json.dumps(one) for one in before)
    times.update(json.dumps(one) for one in server.asked[10:])
    assert {asked: count for asked, count in times.items() if count > 1}.keys() == set(probe)
    assert scored_in(tmp_path / "results").provenance.tasks[tasks].n == 5
    assert not list(tmp_path.rglob("*.sqlite*"))  # the results hold them now


def test_kept_answers_are_those_of_their_server_and_model_alone(
    server: StandIn, byte_llama: Path, tmp_path: Path
) -> None:
    more = f"--limit 3 {TOXICITY} --use-cache {tmp_path}/kept"
    evaluate(server, "toxicity_rtp_nontoxic", more)
    evaluate(server, "toxicity_rtp_nontoxic", more)
    assert len(server.asked) == 9
    with stand_in_server.serving(byte_llama) as other:
        evaluate(other, "toxicity_rtp_nontoxic", more)
    assert len(other.asked) == 9
    evaluate(server, "toxicity_rtp_nontoxic", more, arguments=",model=tiny-2")
    assert len(server.asked) == 18


def test_the_report_names_the_server_and_says_that_weights_are_not_known(
    server: StandIn, byte_llama: Path, tmp_path: Path
) -> None:
    evaluate(
        server,
        f"{SENTENCES},toxicity_rtp_nontoxic",
        f"--limit 12 {TOXICITY} --output-path {tmp_path}/results",
        arguments=f",tokenizer={byte_llama},max_length=256",
    )
    folder = build_report([tmp_path / "results"])
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    (stage,) = report["stages"]
    (scoring,) = stage["scorings"]
    assert (stage["model"], stage["parameters"]) == ("tiny", None)
    assert (scoring["weights_sha256"], scoring["dtype"]) == (None, "not known")
    assert scoring["server"]["name"] == "vLLM"
    assert scoring["server"]["version"] == "0.9.9-test"
    assert scoring["server"]["base_url"] == server.url()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"not known, vLLM 0.9.9-test at {server.url()}" in page
    assert {entry["task"] for entry in report["entries"]} >= {"crows_pairs", "stereoset", "toxicity_rtp_nontoxic"}
    assert any(entry["metric"] == "emt" and entry["value"] is not None for entry in report["entries"])


@pytest.mark.parametrize("way", ["environment", "auth_token", "header"])
def test_keys_are_in_no_file_and_in_no_log(
    server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    caplog.set_level(logging.DEBUG)
    told: dict[str, Any] = {"model": "tiny", "base_url": f"{server.url()}?key=hunter2hunter2"}
    if way != "environment":
        monkeypatch.delenv("OPENAI_API_KEY")
        told[way] = KEY if way == "auth_token" else {"Authorization": f"Bearer {KEY}"}
    server.faults = {1: stand_in_server.too_many, 2: stand_in_server.no_json}
    more = ["--limit", "3", "--tasks", "toxicity_rtp_nontoxic", *TOXICITY.split(), "--output-path", str(tmp_path)]
    run(["--model", "local-completions", "--model-args", json.dumps(told), *more])
    server.dies_at = 0
    with pytest.raises(ConnectionError) as error:
        run(["--model", "local-completions", "--model-args", json.dumps(told), *more])
    build_report([tmp_path])
    written = b"\n".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()).decode(errors="replace")
    for secret in (KEY, "hunter2"):
        assert secret not in written
        assert secret not in caplog.text
        assert secret not in str(error.value)


def test_a_server_that_is_not_there_or_refuses_the_key_is_told_in_one_line(
    server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stand_in_server.serving() as gone:
        pass
    with pytest.raises(ConnectionError, match=r"no server answers .* Start it first"):
        evaluate(gone, "toxicity_rtp_nontoxic", TOXICITY)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-server")
    with pytest.raises(ValueError, match=r"refuses the key .* OPENAI_API_KEY"):
        evaluate(server, "toxicity_rtp_nontoxic", TOXICITY)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("model=tiny", "base_url=...: which"),
        ("base_url=http://127.0.0.1:1/v1/completions", "model=...: which"),
        ("model=tiny,base_url=http://127.0.0.1:1/v1/chat/completions", "ends in /v1/completions"),
        ("model=tiny,base_url=http://127.0.0.1:1/v1/completions,num_concurent=4", "did you mean 'num_concurrent'"),
    ],
)
def test_wrong_arguments_are_told_before_anything_is_asked(arguments: str, told: str) -> None:
    with pytest.raises(ValueError, match=told.replace("?", r"\?")):
        run(shlex.split(f"--model local-completions --model-args {arguments} --tasks toxicity_rtp_nontoxic"))


def test_a_missing_package_is_told_by_the_name_of_the_extra(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tenacity" else find(name))
    with pytest.raises(RuntimeError, match=r"needs tenacity: pip install 'lm-stereoscope\[api\]'"):
        evaluate(server, "toxicity_rtp_nontoxic", TOXICITY)
