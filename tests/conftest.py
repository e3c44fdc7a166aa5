"""Small models and the real data, which test folders share; no test may reach for the hub or more than one core."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import tiny_models

from harness.data.sources import SAMPLE

LEXICON = (
    "an\tno\tcow\tconservative",
    "cds\tno\tcow\tconservative",
    "qas\tno\tcreme brulee thief\tconservative",
    "cds\tno\tnit-wit\tconservative",
    "ps\tno\tgoose\tinclusive",
)

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Expected numbers are made on the CPU: on a machine with a GPU models would load there.
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests first: a long file that a worker takes last keeps the other workers waiting."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def byte_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two small layers with random weights, one token a byte, a window of 256 tokens."""
    return tiny_models.byte_llama(tmp_path_factory.mktemp("byte_llama"))


@pytest.fixture(scope="session")
def other_byte_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model of the same shape."""
    return tiny_models.byte_llama(tmp_path_factory.mktemp("other_byte_llama"), seed=1)


@pytest.fixture(scope="session")
def sample_and_lexicon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built-in sample with a made-up lexicon in HurtLex's place, which cannot be shipped."""
    folder = tmp_path_factory.mktemp("data") / "sample"
    shutil.copytree(SAMPLE, folder)
    (folder / "hurtlex").mkdir()
    rows = ["id\tpos\tcategory\tstereotype\tlemma\tlevel"]
    rows += [f"X{number}\tn\t{row}" for number, row in enumerate(LEXICON)]
    (folder / "hurtlex" / "hurtlex_EN.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    if not (folder := os.environ.get("STEREOSCOPE_DATA")) or folder == "sample":
        pytest.skip("needs the published data sets; set STEREOSCOPE_DATA to their folder")
    return Path(folder)
