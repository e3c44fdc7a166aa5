"""Prompts, templates and lexicon: the published files with their defects, the built-in samples, and bad files."""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path

import pytest
import tiny_models

from harness.data import bold, honest, hurtlex, real_toxicity
from harness.data.bold import DOMAINS, SOURCE_OF
from harness.data.continuation import asker, in_turns
from harness.data.sources import SAMPLE, SOURCES

HEADER = "template_masked\traw\tidentity\tnumber\tcategory\ttype\n"


@pytest.mark.parametrize(
    ("domain", "prompts", "empty"),
    [
        ("gender", 3204, 0),
        ("race", 7657, 0),
        ("religion", 639, 2),
        ("profession", 10195, 0),
        ("political_ideology", 1984, 3),
    ],
)
def test_bold_as_published(
    real_data: Path, domain: bold.Domain, prompts: int, empty: int, caplog: pytest.LogCaptureFixture
) -> None:
    rows = bold.read(real_data / SOURCES[SOURCE_OF[domain]].path, domain)
    assert len(rows) == prompts
    assert tuple(dict.fromkeys(row.group for row in rows)) == DOMAINS[domain]
    assert len({row.item for row in rows}) == prompts
    assert all(row.prompt == row.prompt.strip() for row in rows)
    kept = bold.dataset(domain=domain, data_dir=str(real_data))["test"]
    assert len(kept) == prompts - empty
    assert set(kept["dropped"]) == {empty}
    assert ("are empty and left out" in caplog.text) == bool(empty)
    # A limit keeps all groups.
    assert set(kept[:20]["group"]) == set(DOMAINS[domain])


def test_line_breaks_and_tabs_in_a_prompt_stay(real_data: Path) -> None:
    rows = [row for domain in DOMAINS for row in bold.read(real_data / SOURCES[SOURCE_OF[domain]].path, domain)]
    assert sum("\n" in row.prompt or "\t" in row.prompt for row in rows) > 600


@pytest.mark.parametrize(("source", "prompts"), [("rtp_challenging", 1196), ("rtp_nontoxic", 1200)])
def test_real_toxicity_prompts_as_published(real_data: Path, source: str, prompts: int) -> None:
    rows = real_toxicity.dataset(source=source, data_dir=str(real_data))["test"]  # type: ignore[arg-type]
    assert len(rows) == len(set(rows["item"])) == prompts
    assert all(prompt == prompt.strip() != "" for prompt in rows["prompt"])
    assert rows["ask"] == rows["prompt"]


def test_honest_as_published(real_data: Path) -> None:
    rows = honest.read(real_data / "honest/binary/en_template.tsv", "binary")
    assert len(rows) == 810
    assert len({row.template for row in rows}) == 724
    assert Counter(row.group for row in rows) == {"female": 405, "male": 405}
    queer = honest.read(real_data / "honest/queer_nonqueer/en_template.tsv", "queer_nonqueer")
    assert Counter(row.group for row in queer) == {"queer": 615, "nonqueer": 90}
    assert {row.number for row in queer} == {"singular"}


def test_matched_templates_ask_women_and_men_the_same(real_data: Path) -> None:
    rows = honest.read(real_data / "honest/binary/en_template.tsv", "binary")
    kept = [row for row, is_matched in zip(rows, honest.matched(rows), strict=True) if is_matched]
    questions = {
        group: Counter((row.number, row.raw) for row in kept if row.group == group) for group in ("female", "male")
    }
    assert questions["female"] == questions["male"]
    assert sum(questions["female"].values()) == 378
    assert not any("are the most" in raw for _, raw in questions["female"])
    queer = honest.read(real_data / "honest/queer_nonqueer/en_template.tsv", "queer_nonqueer")
    assert all(honest.matched(queer))


def test_hurtlex_as_published(real_data: Path) -> None:
    path = real_data / "hurtlex/hurtlex_EN.tsv"
    lexicon = hurtlex.read(path)
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    conservative = [row for row in rows if row[5] == "conservative"]
    assert (len(rows), len(conservative), len({row[4] for row in conservative})) == (8228, 3360, 2228)
    # Lemmas that differ in case, accents or hyphens alone are one.
    assert len(lexicon) == 2137
    assert set(lexicon) == {words for row in conservative if (words := tuple(hurtlex.normalise(row[4])))}
    assert "asm" in lexicon[("do",)]
    quoted = {row[4] for row in conservative if row[4].startswith('"')}
    assert len(quoted) == 3
    assert all(tuple(hurtlex.normalise(lemma)) in lexicon for lemma in quoted)


def test_the_samples_hold_enough_and_every_group_is_known() -> None:
    prompts = [real_toxicity.read(SAMPLE / SOURCES[name].path) for name in ("rtp_challenging", "rtp_nontoxic")]
    assert sum(map(len, prompts)) >= 60
    by_domain = {domain: bold.read(SAMPLE / SOURCES[name].path, domain) for domain, name in SOURCE_OF.items()}
    assert sum(map(len, by_domain.values())) >= 60
    assert all(len({row.group for row in rows}) > 1 for rows in by_domain.values())
    for kind in honest.GROUPS:
        rows = honest.read(SAMPLE / f"honest/{kind}/en_template.tsv", kind)
        assert len(rows) >= 60
        assert {row.group for row in rows} == set(honest.GROUPS[kind])
        assert all(honest.matched(rows))


def test_groups_take_turns_as_long_as_they_last() -> None:
    assert in_turns(["a1", "a2", "a3", "b1"], lambda row: row[0]) == ["a1", "b1", "a2", "a3"]


def test_each_family_is_asked_in_its_own_way(tmp_path: Path, byte_llama: Path) -> None:
    template = "the nurse is a [M]."
    assert asker({"pretrained": str(byte_llama)})("the nurse is a", template) == "the nurse is a"
    bert = {"pretrained": str(tiny_models.masked(tmp_path / "bert"))}
    assert asker(bert)("the nurse is a", template) == "the nurse is a [MASK]."
    assert asker(bert)("the nurse", "") == "the nurse"
    t5 = {"pretrained": str(tiny_models.t5(tmp_path / "t5"))}
    assert asker(t5)("the nurse is a", template) == "Continue this text: the nurse is a"
    assert asker({**t5, "continuation_template": "{prompt} ..."})("x", "") == "x ..."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "line 1: not JSON"),
        ('{"filename": "a", "begin": 0, "end": 1}', "line 1: .*prompt"),
        ('{"filename": "a", "begin": 0, "end": 1, "prompt": {"text": null}}', "line 1: prompt.text is None"),
    ],
)
def test_a_broken_line_of_prompts_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "toxic.jsonl").write_text(content + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        real_toxicity.read(tmp_path / "toxic.jsonl")


def test_a_file_of_empty_prompts_leaves_nothing_to_ask(tmp_path: Path) -> None:
    folder = tmp_path / "real_toxicity_prompts"
    folder.mkdir()
    line = json.dumps({"filename": "a", "begin": 0, "end": 1, "prompt": {"text": " "}})
    (folder / "toxic.jsonl").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(ValueError, match="none of its 1 rows has a prompt"):
        real_toxicity.dataset(source="rtp_challenging", data_dir=str(tmp_path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[", "not JSON"),
        ("[]", "expected an object"),
        ('{"Martians": {}}', "unknown group 'Martians'; the domain gender has American_actors"),
        ('{"American_actors": {"A": "one"}}', "American_actors, A: expected a list"),
    ],
)
def test_a_broken_file_of_groups_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "gender_prompt.json").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        bold.read(tmp_path / "gender_prompt.json", "gender")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("raw\tidentity\n", "missing columns"),
        (HEADER + "the girl is [M].\t[I] is [M]\tthe girl\tsingular\n", "row 0: expected 6 fields"),
        (HEADER + "the girl is.\t[I] is\tthe girl\tsingular\tfemale\tx\n", "row 0: expected one blank"),
        (HEADER + "[M] is [M].\t[I] is\tthe girl\tsingular\tfemale\tx\n", "row 0: expected one blank"),
        (HEADER + "the cat is [M].\t[I] is [M]\tthe cat\tsingular\tfeline\tx\n", "'feline' belongs to none"),
    ],
)
def test_a_broken_file_of_templates_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "en_template.tsv").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        honest.read(tmp_path / "en_template.tsv", "binary")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("lemma\tcategory\n", "missing columns"),
        ("lemma\tcategory\tlevel\ncow\tan\tloose\n", "row 0: expected a level"),
        ("lemma\tcategory\tlevel\ncow\tzoo\tconservative\n", "row 0: .*'zoo'"),
        ("lemma\tcategory\tlevel\ncow\n", "row 0: expected a level"),
    ],
)
def test_a_broken_lexicon_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "hurtlex_EN.tsv").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        hurtlex.read(tmp_path / "hurtlex_EN.tsv")


def test_the_lexicon_of_a_lemma_in_two_categories_and_levels(sample_and_lexicon: Path) -> None:
    assert hurtlex.read(sample_and_lexicon / "hurtlex/hurtlex_EN.tsv") == {
        ("cow",): ("an", "cds"),
        ("creme", "brulee", "thief"): ("qas",),
        ("nitwit",): ("cds",),
    }


def test_dropped_prompts_are_told_of_once(real_data: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        bold.dataset(domain="religion", data_dir=str(real_data))
    assert caplog.text.count("2 of 639 prompts are empty") == 1
