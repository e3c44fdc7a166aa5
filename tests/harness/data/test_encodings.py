"""Files as spreadsheets and editors save them: read, or refused with the place and the way out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.data import bold, crows_pairs, honest, hurtlex, real_toxicity, sources, stereoset, wikitext
from harness.data.prompt import choose_template
from harness.storage.files import read_yaml
from training.config import from_settings
from training.run import train

CROWS = ",sent_more,sent_less,stereo_antistereo,bias_type,annotations,anon_writer,anon_annotators\n"
PAIRS = CROWS + '0,"One\nline.",Other.,stereo,age,[],w0,[]\n1,A café.,A bar.,stereo,age,[],w0,[]\n'
HONEST = "template_masked\traw\tidentity\tnumber\tcategory\ttype\n"
SENTENCES = [
    {"sentence": f"A {word} café.", "gold_label": label}
    for word, label in (("good", "stereotype"), ("bad", "anti-stereotype"), ("blue", "unrelated"))
]
ITEM = {"id": "a", "target": "x", "bias_type": "gender", "context": "A BLANK café.", "sentences": SENTENCES}
STEREOSET = json.dumps({"data": {"intrasentence": [ITEM]}}, ensure_ascii=False, indent=1)
PROMPT = json.dumps({"filename": "f", "begin": 0, "end": 1, "prompt": {"text": "The café"}}, ensure_ascii=False)
LEXICON = "id\tpos\tcategory\tstereotype\tlemma\tlevel\nX0\tn\tan\tno\tcafé\tconservative\n"

Read = Callable[[Path], Any]
READERS: dict[str, tuple[Read, str, str]] = {
    "pairs.csv": (crows_pairs.read, PAIRS, "row 1 (line 4)"),
    "hurtlex.tsv": (hurtlex.read, LEXICON, "row 0 (line 2)"),
    "dev.json": (lambda path: stereoset.read(path, "intrasentence"), STEREOSET, "line 8"),
    "bold.json": (
        lambda path: bold.read(path, "gender"),
        '{"American_actors":\n{"A": ["The café"]}}',
        "line 2",
    ),
    "toxic.jsonl": (real_toxicity.read, f"{PROMPT}\n", "line 1"),
    "wiki.raw": (wikitext.read, " = Title = \n A café . \n", "line 2"),
    "template.txt": (lambda path: choose_template(str(path), "", ["prompt"]), "Café:\n{prompt}", "line 1"),
    "experiment.yaml": (read_yaml, "name: café\n", "line 1"),
}


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", list(READERS))
def test_a_byte_order_mark_changes_nothing(name: str, tmp_path: Path) -> None:
    read, text, _ = READERS[name]
    marked = read(written(tmp_path, name, text.encode("utf-8-sig")))
    assert marked == read(written(tmp_path, name, text.encode()))


@pytest.mark.parametrize("name", list(READERS))
def test_windows_1252_is_refused_with_the_place_and_the_way_out(name: str, tmp_path: Path) -> None:
    read, text, place = READERS[name]
    path = written(tmp_path, name, text.encode("cp1252"))
    with pytest.raises(ValueError, match="byte 0xe9 is not UTF-8") as refused:
        read(path)
    assert str(refused.value).startswith(f"{path}, {place}: ")
    assert "af\u00e9" in str(refused.value)
    assert f"iconv -f CP1252 -t UTF-8 {path} > {path}.utf8" in str(refused.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("name", list(READERS))
def test_wide_encodings_are_named(name: str, encoding: str, tmp_path: Path) -> None:
    read, text, _ = READERS[name]
    path = written(tmp_path, name, text.encode(encoding))
    wide = {"utf-16-le": "UTF-16LE", "utf-16-be": "UTF-16BE"}.get(encoding, encoding.upper())
    if encoding == "utf-32":
        wide = "UTF-32"
    with pytest.raises(ValueError, match=f"the file is in {wide}, expected UTF-8.*iconv -f {wide} ") as refused:
        read(path)
    assert str(refused.value).startswith(str(path))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("pairs.csv", "", "missing columns"),
        ("pairs.csv", CROWS, "no rows"),
        ("hurtlex.tsv", LEXICON.partition("\n")[0], "no rows"),
        ("dev.json", '{"data": {"intrasentence": []}}', "no items"),
        ("dev.json", "", "not JSON"),
        ("bold.json", "{}", "no rows"),
        ("toxic.jsonl", "\n", "no rows"),
        ("wiki.raw", "", "no ` = Title = ` heading"),
    ],
)
def test_a_file_without_rows_is_refused_in_a_sentence(name: str, content: str, said: str, tmp_path: Path) -> None:
    from harness.data.continuation import without_empty

    path = written(tmp_path, name, content.encode())

    def prompts() -> Any:
        rows = READERS[name][0](path)
        return without_empty(path, rows, lambda row: str(row)) if name in ("bold.json", "toxic.jsonl") else rows

    with pytest.raises(ValueError, match=said) as refused:
        prompts()
    assert str(refused.value).startswith(str(path))


def test_templates_without_rows_are_refused(tmp_path: Path) -> None:
    header = "\t".join(honest._COLUMNS) + "\n"
    with pytest.raises(ValueError, match="no rows below its header"):
        honest.read(written(tmp_path, "en_template.tsv", header.encode("utf-8-sig")), "binary")


def test_training_refuses_the_same_file_in_the_same_words(byte_llama: Path, tmp_path: Path) -> None:
    (tmp_path / "crows_pairs").mkdir()
    path = written(tmp_path / "crows_pairs", "crows_pairs_anonymized.csv", PAIRS.encode("cp1252"))
    settings = {"model_name_or_path": str(byte_llama), "output_dir": str(tmp_path / "out"), "data_dir": str(tmp_path)}
    with pytest.raises(ValueError, match=r"row 1 \(line 4\): byte 0xe9 is not UTF-8") as refused:
        train(*from_settings(settings))
    assert str(path) in str(refused.value)


def test_repeated_pairs_and_equal_sentences_are_counted_and_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(sources.TOLD, raising=False)
    rows = [("A b.", "A c."), ("Same.", "Same. "), ("A c.", "A b."), ("A b.", "A d."), ("A b.", "A c.")]
    lines = [f"{number},{more},{less},stereo,age,[],w0,[]\n" for number, (more, less) in enumerate(rows)]
    (tmp_path / "crows_pairs").mkdir()
    written(tmp_path / "crows_pairs", "crows_pairs_anonymized.csv", (CROWS + "".join(lines)).encode())
    assert crows_pairs.scored_pairs("crows_pairs", {"data_dir": str(tmp_path)}, False).words_seen is None
    assert "2 of 5 are repeated pairs; each counts as often as it stands there (rows from 0: 2, 4)" in caplog.text
    assert "1 of 5 are pairs of two equal sentences" in caplog.text


def test_the_published_file_is_not_complained_about(
    real_data: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(sources.TOLD, raising=False)
    asked = crows_pairs.scored_pairs("crows_pairs", {"data_dir": str(real_data)}, False)
    assert crows_pairs.odd_pairs(asked.pairs) == ((1502,), ())
    assert not caplog.text
