"""How often intervals hold the truth where items alone are drawn, by the interval in use and by others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from harness.metrics.intervals import Bounds, Design, Scale, bounds, distance_change, largest, least
from harness.metrics.kinks import Branches, branches
from harness.metrics.statistics import Array, whole_and_left_out
from simulated.resampled import METHODS
from simulated.worlds import (
    DOCUMENTS,
    GENDER,
    PROFESSION,
    RELIGION,
    TERMS,
    WRITERS,
    World,
    draw,
    mean_distance,
    perplexities,
)

STRUCTURES: dict[str, tuple[int, ...]] = {
    "3 terms": RELIGION,
    "10 terms": GENDER,
    "30 terms": PROFESSION,
    "79 terms": TERMS,
    "10 writers": WRITERS[::8],
    "30 writers": WRITERS[::5] + WRITERS[1::5][:14],
    "77 writers": WRITERS,
}


class Row(NamedTuple):
    """How often an interval held the truth, percent by method."""

    name: str
    clusters: str
    covered: dict[str, float]


def by_cluster(won: Array, sizes: Sequence[int], terms: bool) -> tuple[Array, Array]:
    """A score as one sum over another: a mean over terms, or over all pairs whoever wrote them."""
    size = np.broadcast_to(np.array(sizes, dtype=float), won.shape)
    return (won / size, np.ones_like(won)) if terms else (won, size)


def rows_of(top: Array, bottom: Array) -> Array:
    """The ratio's rows: of all clusters, then without each."""
    totals = whole_and_left_out(np.stack([top, bottom], axis=-1))
    return totals[..., 0] / totals[..., 1]


def holds(found: Bounds | tuple[Array, Array], truth: float) -> float:
    """Percent of the experiments."""
    return 100 * float(((found[0] <= truth) & (truth <= found[1])).mean())


def smooth(
    name: str, clusters: str, top: Array, bottom: Array, truth: float, random: np.random.Generator, scale: Scale
) -> Row:
    """Coverage of a ratio of two sums, by the interval in use and by the others."""
    others = {method: holds(ends(top, bottom, random), truth) for method, ends in METHODS.items()}
    return Row(
        name, clusters, {"in use": holds(bounds(rows_of(top, bottom), Design(bottom[0]), scale=scale), truth), **others}
    )


def coverage(experiments: int, structures: Iterable[str] = STRUCTURES) -> Iterator[Row]:
    """Values, changes, distances, ratios and ICAT for each structure; a fifth of the noise common to a cluster."""
    for number, clusters in enumerate(structures):
        random, sizes, terms = np.random.default_rng(number), STRUCTURES[clusters], clusters.endswith("terms")
        design = Design(np.ones(len(sizes)) if terms else np.array(sizes, dtype=float))
        drawn = draw(World(62, 57, shared=0.2, left=0.67), sizes, 1, experiments, random)
        before, after = (by_cluster(won, sizes, terms) for won in (drawn.before, drawn.after[0]))
        bottom = before[1]
        yield smooth("score, 62", clusters, *before, 62, random, "logit")
        yield smooth("its change, 62 to 57", clusters, after[0] - before[0], bottom, -5, random, "linear")
        for start, end in ((62, 57), (57, 44), (57, 50), (52, 49)):
            moved = draw(World(start, end, shared=0.2), sizes, 1, experiments, random)
            rows = [rows_of(*by_cluster(won, sizes, terms)) for won in (moved.after[0], moved.before)]
            found = distance_change(rows[0], rows[1], 50, design)
            name = f"change of its distance from 50, {start} to {end}"
            yield Row(name, clusters, {"in use": holds(found, abs(end - 50) - abs(start - 50))})
        if terms:
            yield from _icat(clusters, sizes, experiments, random)
        else:
            yield from _distances(clusters, sizes, experiments, random)
    random = np.random.default_rng(99)
    losses, later, truth = perplexities(experiments, random)
    words = np.broadcast_to(np.array(DOCUMENTS, dtype=float), losses.shape)
    name = "log of perplexity, after - before"
    yield smooth(name, "12 documents", later - losses, words, float(np.log(truth)), random, "linear")


def _icat(clusters: str, sizes: Sequence[int], experiments: int, random: np.random.Generator) -> Iterator[Row]:
    design = Design(np.ones(len(sizes)))
    yield smooth("language-model score, 92", clusters, *score_of(92, sizes, experiments, random), 92, random, "logit")
    for score in (50, 52, 62):
        ss, lms = (score_of(value, sizes, experiments, random) for value in (score, 90))
        found, rows = icat_branches(rows_of(*lms), rows_of(*ss)), None
        truth = 90 * min(score, 100 - score) / 50
        covered = {"in use": holds(least(bounds(found.of, design)), truth)}
        drawn = random.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=999).T / len(sizes)
        resampled = icat_branches(lms[0] @ drawn, ss[0] @ drawn).of.min(axis=0)
        low, high = np.quantile(resampled, (0.025, 0.975), axis=1)
        yield Row(f"ICAT at SS {score}", clusters, {**covered, "percentile": holds((low, high), truth)})
    for start, end in ((62, 50), (55, 48)):
        moved = draw(World(start, end, shared=0.2), sizes, 1, experiments, random)
        rows = [rows_of(*by_cluster(won, sizes, True)) for won in (moved.after[0], moved.before)]
        lms = [rows_of(*score_of(value, sizes, experiments, random)) for value in (89, 90)]
        after, before = (icat_branches(*pair).of for pair in zip(lms, rows, strict=True))
        change = least(largest(bounds(after[:, None] - before[None], design), axis=1))
        truth = 89 * min(end, 100 - end) / 50 - 90 * min(start, 100 - start) / 50
        yield Row(f"change of ICAT, SS {start} to {end}", clusters, {"in use": holds(change, truth)})


def score_of(value: float, sizes: Sequence[int], experiments: int, random: np.random.Generator) -> tuple[Array, Array]:
    return by_cluster(draw(World(value, value, shared=0.2), sizes, 0, experiments, random).before, sizes, True)


def icat_branches(lms: Array, ss: Array) -> Branches:
    found = branches("icat", {"lms": lms, "ss": ss})
    assert found is not None
    return found


def _distances(clusters: str, sizes: Sequence[int], experiments: int, random: np.random.Generator) -> Iterator[Row]:
    drawn = draw(World(57, 57, shared=0.2, left=0.67), sizes, 1, experiments, random)
    size = np.broadcast_to(np.array(sizes, dtype=float), drawn.before.shape)
    before, after = drawn.distance_before, drawn.distance_after[0]
    truth = mean_distance(57)
    yield smooth("mean absolute difference", clusters, before, size, truth, random, "log")
    yield smooth("its change, to two thirds", clusters, after - before, size, -0.33 * truth, random, "linear")
    found = bounds(np.log(rows_of(after, size) / rows_of(before, size)), Design(size[0]))
    yield Row(
        "mean absolute difference, after / before", clusters, {"in use": holds(Bounds(*map(np.exp, found)), 0.67)}
    )
