"""Whatever lies in a data file, its reader gives rows or one ValueError that names the file."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from any_file import Form, Reader, check_any

from harness.data import bbq, bold, crows_pairs, honest, hurtlex, real_toxicity, stereoset, wikitext
from harness.data.families import family, read_config
from harness.data.model_place import require_model
from harness.data.prompt import choose_template
from harness.data.sources import SAMPLE, SOURCES
from harness.data.split import Split, find_split, read_split

HURTLEX = (
    "id\tpos\tcategory\tstereotype\tlemma\tlevel\nX0\tn\tan\tno\tcow\tconservative\nX1\tn\tps\tno\tgoose\tinclusive\n"
)
TEMPLATE = "Which is likelier?\n{first}\n{second}\n"
SPLIT = Split(data_sha256="0" * 64, folds=2, fold=0, train=("a", "b"), held_out=("c",))
MANIFEST = {"adapter_model.safetensors": "0" * 64, "config.json": "1" * 64, "global_step2/state.pt": "2" * 64}
CONFIG = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_layer": 2, "n_embd": 8, "vocab_size": 300}


def _template(file: Path) -> str:
    return choose_template(str(file), "", ("first", "second"))


def _config(file: Path) -> str:
    return family(read_config({"pretrained": str(file.parent)}))


def _adapter_for_a_model(file: Path) -> None:
    """The message says which base model the file names, whatever stands there."""
    with pytest.raises(ValueError, match="an adapter, expected a model"):
        require_model({"pretrained": str(file.parent)})


TABLES: dict[str, tuple[str, Form, Reader]] = {
    "crows_pairs": ("crows_pairs", "csv", crows_pairs.read),
    "stereoset, intrasentence": ("stereoset", "json", partial(stereoset.read, task="intrasentence")),
    "stereoset, intersentence": ("stereoset", "json", partial(stereoset.read, task="intersentence")),
    "bbq": ("bbq_ses", "lines", partial(bbq.read, category="SES")),
    "bold": ("bold_gender", "json", partial(bold.read, domain="gender")),
    "real_toxicity": ("rtp_challenging", "lines", real_toxicity.read),
    "honest": ("honest_binary", "tsv", partial(honest.read, kind="binary")),
    "wikitext": ("wikitext2", "text", wikitext.read),
}


@pytest.mark.parametrize("name", TABLES)
def test_any_benchmark_file_gives_rows_or_one_error_that_names_it(tmp_path: Path, name: str) -> None:
    source, form, read = TABLES[name]
    path = SOURCES[source].path
    check_any(read, tmp_path / Path(path).name, (SAMPLE / path).read_bytes(), form)


OTHERS: dict[str, tuple[str, str, Form, Reader]] = {
    "hurtlex": ("hurtlex_EN.tsv", HURTLEX, "tsv", hurtlex.read),
    "prompt template": ("prompt.txt", TEMPLATE, "text", _template),
    "split.json": ("split.json", SPLIT.model_dump_json(), "json", read_split),
    "adapter_config.json": ("adapter_config.json", '{"base_model_name_or_path": "gpt2"}', "json", _adapter_for_a_model),
    "config.json": ("config.json", json.dumps(CONFIG), "json", _config),
}


@pytest.mark.parametrize("name", OTHERS)
def test_any_other_file_beside_models_and_prompts_is_read_or_one_error(tmp_path: Path, name: str) -> None:
    file, valid, form, read = OTHERS[name]
    check_any(read, tmp_path / file, valid.encode(), form, share=0.3 if name == "config.json" else 1)


def test_any_manifest_beside_a_split_of_before_is_read_or_one_error(tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text(SPLIT.model_dump_json(), encoding="utf-8")
    check_any(lambda file: find_split(file.parent), tmp_path / "manifest.json", json.dumps(MANIFEST).encode(), "json")
