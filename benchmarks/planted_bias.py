"""Is a bias that is known also the bias that is measured? Four tiny models learn a corpus in which it was planted.

    python benchmarks/planted_bias.py models/planted --share 0.5 0.7 0.9

For every share of associations that run along the stereotype: the corpus as a data folder in the schemas of CrowS-Pairs
and StereoSet, a GPT-2, a BERT, a T5 and a BLOOM trained on it from random weights, and their scores beside those that
they must have. `DIR/share-0.7/` gets `data/` and a folder for each model, `DIR` a table and a plot over all shares.
What has been trained already is not trained again.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# A file gets lines, no bars; tqdm looks here once, when it is imported.
os.environ.setdefault("TQDM_DISABLE", "" if sys.stderr.isatty() else "1")

from planted.corpus import plant
from planted.data_sets import write_data
from planted.expected import TASKS, expected_scores
from planted.learning import train_and_save
from planted.measured import Measured, beside, scores_of, table
from planted.models import KINDS
from planted.plot import plot_svg

from harness.storage.files import atomic_write


def main() -> None:
    """Plant, train, score, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where everything is written")
    parser.add_argument("--share", type=float, nargs="+", default=[0.7], help="of associations along the stereotype")
    parser.add_argument("--odds", type=float, default=0.8, help="of the group that goes with an attribute")
    parser.add_argument("--seed", type=int, default=0, help="of the corpus and of the models' weights")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("planted").setLevel(logging.INFO)
    measured: list[Measured] = []
    for share in arguments.share:
        corpus = plant(share, arguments.odds, arguments.seed)
        home = arguments.folder / f"share-{share:g}"
        write_data(corpus, home / "data")
        for name, kind in KINDS.items():
            train_and_save(name, corpus, home / name, arguments.seed)
            scores = scores_of(home / name, TASKS[kind.family], home / "data", home / "scores" / name)
            measured += beside(name, share, scores, expected_scores(corpus, kind.family))
    atomic_write(arguments.folder / "measured.md", table(measured))
    atomic_write(arguments.folder / "measured.svg", plot_svg(measured))
    print(table(measured))
    if wrong := [one for one in measured if not one.agrees]:
        raise SystemExit(f"{len(wrong)} of {len(measured)} scores are not what was planted")


if __name__ == "__main__":
    main()
