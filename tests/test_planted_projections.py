"""A bias that was planted in one direction: SentenceDebias takes four fifths of it off and leaves the language."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))

from planted.corpus import plant  # noqa: E402
from planted.data_sets import write_data  # noqa: E402
from planted.expected import TASKS  # noqa: E402
from planted.learning import train_and_save  # noqa: E402
from planted.measured import scores_of  # noqa: E402
from planted.models import KINDS  # noqa: E402
from planted.projecting import projected, write_given  # noqa: E402


# What the others do, a BERT and a T5, is in docs/mitigation.md.
@pytest.mark.slow
@pytest.mark.parametrize(("name", "task"), [("gpt2", "crows_pairs")])
def test_sentence_debias_takes_the_planted_direction_off_and_leaves_the_language(
    name: str, task: str, tmp_path: Path
) -> None:
    corpus = plant(share=1, odds=0.8)
    data, items = tmp_path / "data", "stereoset_intrasentence"
    write_data(corpus, data)
    train_and_save(name, corpus, tmp_path / "model", seed=0)
    record = projected(
        tmp_path / "model", "sentence_debias", write_given(corpus, tmp_path), data, tmp_path / "projected"
    )
    assert record.removed == 2
    tasks = TASKS[KINDS[name].family]
    before, after = (
        scores_of(tmp_path / one, tasks, data, tmp_path / f"{one} scores") for one in ("model", "projected")
    )
    assert after[task, "abs_logprob_diff"].value <= before[task, "abs_logprob_diff"].value / 5
    assert before[items, "ss"].value == 100
    assert abs(after[items, "ss"].value - 50) <= 5
    assert after[items, "lms"].value >= before[items, "lms"].value - 5
