"""Do the intervals hold the truth in 95 of 100 experiments, and does the verdict claim what is not there?

    python benchmarks/coverage.py [--runs 1000] [--out tables.md]

Experiments are simulated with the real sizes of StereoSet's terms, CrowS-Pairs' writers and WikiText-2's documents (see
`simulated/worlds.py`), and judged by the functions that judge a report. Prints and writes three Markdown tables:
coverage of the intervals beside other methods', coverage where training is part of the truth, and how often the
verdict's family of hypotheses claims a change. Seeds are fixed. 1,000 runs take a few minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from simulated.covered import Row, coverage
from simulated.trained import family_claims, trained_coverage


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    told = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *lines)]
    return "\n".join(told) + "\n"


def row_table(rows: Sequence[Row], name: str, clusters: str) -> str:
    """Coverage, a column a method or quantity; a dash where it was not measured."""
    methods = list(dict.fromkeys(method for row in rows for method in row.covered))
    lines = [
        [row.name, row.clusters, *(f"{row.covered[one]:.1f}" if one in row.covered else "–" for one in methods)]
        for row in rows
    ]
    return table([name, clusters, *methods], lines)


def main() -> None:
    """Simulate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="experiments a row")
    parser.add_argument("--out", type=Path, default=Path("coverage.md"), help="file for the tables")
    arguments = parser.parse_args()
    header = ["world", "folds", "a fall claimed", "anything claimed", "SS fell"]
    claims = [
        [one.world, str(one.runs), f"{one.fell:.1f}", f"{one.any:.1f}", f"{one.of_ss:.1f}"]
        for one in family_claims(arguments.runs)
    ]
    told = [
        table(header, claims),
        row_table(list(trained_coverage(arguments.runs)), "runs", "sd of training, points"),
        row_table(list(coverage(arguments.runs)), "95% interval of", "clusters"),
    ]
    text = "\n".join(told)
    arguments.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
