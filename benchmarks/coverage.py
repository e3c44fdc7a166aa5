"""Do the intervals hold the truth in 95 of 100 experiments, and does the verdict claim what is not there?

    python benchmarks/coverage.py [--runs 1000] [--out coverage.md]

Experiments are simulated with the real sizes of StereoSet's terms, CrowS-Pairs' writers and WikiText-2's documents (see
`simulated/worlds.py`), and judged by the functions that judge a report. Prints and writes Markdown tables: how often
the verdict's family of hypotheses claims a change, coverage where training is part of the truth, and coverage of the
intervals, alone and beside other methods'. Seeds are fixed. 1,000 runs take a few minutes on one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from simulated.covered import Row, coverage
from simulated.trained import Claims, family_claims, trained_coverage


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Markdown."""
    told = ["| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *lines)]
    return "\n".join(told) + "\n"


def of_claims(claims: Iterable[Claims]) -> str:
    """How often anything is claimed, percent of the experiments."""
    header = ["world", "folds", "a fall claimed", "anything claimed", "a fall of SS claimed"]
    return table(header, ([one.world, str(one.runs), *(f"{share:.1f}" for share in one[2:])] for one in claims))


def by_clusters(rows: Sequence[Row]) -> str:
    """Coverage of the interval in use: a line a quantity, a column for each kind and number of clusters."""
    columns = list(dict.fromkeys(row.clusters for row in rows))
    found = {(row.name, row.clusters): f"{row.covered['in use']:.1f}" for row in rows}
    names = dict.fromkeys(row.name for row in rows)
    lines = ([name, *(found.get((name, clusters), "") for clusters in columns)] for name in names)
    return table(["95% interval of", *columns], lines)


def side_by_side(rows: Sequence[Row], first: str, second: str) -> str:
    """Coverage of every row with more than one number, a column each."""
    columns = list(dict.fromkeys(column for row in rows for column in row.covered))
    lines = (
        [row.name, row.clusters, *(f"{row.covered[one]:.1f}" if one in row.covered else "" for one in columns)]
        for row in rows
        if len(row.covered) > 1
    )
    return table([first, second, *columns], lines)


def main() -> None:
    """Simulate, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="experiments a row")
    parser.add_argument("--out", type=Path, default=Path("coverage.md"), help="file for the tables")
    arguments = parser.parse_args()
    items = list(coverage(arguments.runs))
    text = "\n".join(
        (
            of_claims(family_claims(arguments.runs)),
            side_by_side(list(trained_coverage(arguments.runs)), "runs", "sd of training, points"),
            by_clusters(items),
            side_by_side(items, "95% interval of", "clusters"),
        )
    )
    arguments.out.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
