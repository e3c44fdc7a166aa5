"""What projections do to a bias that was planted in one direction: the score of each kind beside the base's.

    python benchmarks/planted_projections.py models/planted_direction

All associations of the corpus run along the stereotype, so that one bit of a group, first or second of its pair, says
which attributes go with it. A GPT-2, a BERT and a T5 learn it; each kind of projection takes off groups and attributes.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# A file gets lines, no bars; tqdm looks here once, when it is imported.
os.environ.setdefault("TQDM_DISABLE", "" if sys.stderr.isatty() else "1")

from planted.corpus import plant
from planted.data_sets import write_data
from planted.expected import TASKS
from planted.learning import train_and_save
from planted.measured import scores_of
from planted.models import KINDS
from planted.projecting import projected, write_given

from harness.mitigation.kinds import PROJECTIONS
from harness.storage.files import atomic_write

MODELS = ("gpt2", "bert", "t5")
SHOWN = ("abs_logprob_diff", "crows_score", "ss", "lms")


def main() -> None:
    """Plant, train, project, score."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where everything is written")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, help="which of the models")
    arguments = parser.parse_args()
    home = arguments.folder
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    corpus = plant(share=1, odds=0.8)
    write_data(corpus, home / "data")
    given = write_given(corpus, home)
    lines = [
        "| model | projection | dimensions gone | task | score | value |",
        "| --- | --- | ---: | --- | --- | ---: |",
    ]
    for name in arguments.models:
        train_and_save(name, corpus, home / name, seed=0)
        lines += rows(name, "none", 0, home / name, home)
        for kind in PROJECTIONS:
            folder = home / f"{name}-{kind}"
            shutil.rmtree(folder, ignore_errors=True)
            gone = projected(home / name, kind, given, home / "data", folder).removed
            lines += rows(name, kind, gone, folder, home)
    atomic_write(home / "projections.md", "\n".join(lines) + "\n")
    print("\n".join(lines))


def rows(name: str, kind: str, gone: int, model: Path, home: Path) -> list[str]:
    """A line of the table for each score that is shown."""
    scores = scores_of(model, TASKS[KINDS[name].family], home / "data", home / "scores" / f"{name}-{kind}")
    return [
        f"| {name} | {kind} | {gone} | {task} | {metric} | {one.value:.3f} |"
        for (task, metric), one in scores.items()
        if metric in SHOWN
    ]


if __name__ == "__main__":
    main()
