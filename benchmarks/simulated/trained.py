"""How often intervals hold the truth, and what a verdict claims, where training is drawn too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from harness.metrics.family import Measure, Outcome, decide
from harness.metrics.intervals import Bounds, Design, Units, bounds, distance_change
from harness.metrics.kinks import bounds_over
from harness.metrics.statistics import Array
from harness.reporting.rows import Rows
from simulated.covered import Row, by_cluster, holds, icat_branches, rows_of, score_of
from simulated.worlds import TERMS, WRITERS, World, draw, folds_of

# Experiments that are held in memory together.
CHUNK = 250


class Trained(NamedTuple):
    """Rows of the headline measures after and before, and how to read them."""

    after: Array
    before: Array
    design: Design


def same_items(world: World, runs: int, experiments: int, random: np.random.Generator) -> Trained:
    """StereoSet's score of runs that scored the same items."""
    drawn = draw(world, TERMS, runs, experiments, random)
    after = [rows_of(*by_cluster(won, TERMS, True)) for won in drawn.after]
    before = rows_of(*by_cluster(drawn.before, TERMS, True))
    if runs == 1:
        return Trained(after[0], before, Design(np.ones(len(TERMS))))
    design = Design(np.ones(len(TERMS)), (Units(np.full(runs, 1 / runs), left_out=False),))
    rows = _rows(runs, design)
    return Trained(rows.joined(after), rows.of_base([before]), design)


def _rows(runs: int, design: Design) -> Rows:
    return Rows(({},) * runs, (), tuple((run,) for run in range(runs)), design)


def held_out(world: World, runs: int, experiments: int, random: np.random.Generator) -> tuple[Trained, Trained]:
    """CrowS-Pairs' score and mean |d| where each fold scored pairs of its own."""
    fold_of = np.array(folds_of(WRITERS, runs))
    drawn = draw(world, WRITERS, runs, experiments, random, run_of=fold_of.tolist())
    size = np.broadcast_to(np.array(WRITERS, dtype=float), drawn.before.shape)
    units = (Units(np.full(runs, 1 / runs), left_out=True),) if runs > 1 else ()
    design = Design(size[0], units)

    def rows(top: Array) -> Array:
        without = [fold_of != fold for fold in range(runs)] if runs > 1 else []
        folds = [top[:, kept].sum(axis=1) / size[:, kept].sum(axis=1) for kept in without]
        return np.concatenate([rows_of(top, size), *(fold[:, None] for fold in folds)], axis=1)

    return (
        Trained(rows(drawn.after[0]), rows(drawn.before), design),
        Trained(rows(drawn.distance_after[0]), rows(drawn.distance_before), design),
    )


def trained_coverage(experiments: int) -> Iterator[Row]:
    """Changes of a mean over runs, where each run adds an effect of its own to the truth."""
    for folds in (1, 2, 4, 5):
        for sd in (0.0, 1.0, 2.0):
            random = np.random.default_rng(1000 + 10 * folds + int(sd))
            world = World(62, 57, shared=0.2, training=sd)
            score = same_items(world, folds, experiments, random)
            crows, _ = held_out(world, folds, experiments, random)
            found = {
                "StereoSet, same items": holds(bounds(score.after - score.before, score.design), -5),
                "CrowS-Pairs, held-out pairs": holds(bounds(crows.after - crows.before, crows.design), -5),
            }
            if folds > 1:
                found["ICAT at SS 50"] = _icat_over_runs(folds, sd, experiments, random)
            yield Row(f"{folds} fold{'s' if folds > 1 else ''}", f"{sd:g}", found)


def _icat_over_runs(runs: int, sd: float, experiments: int, random: np.random.Generator) -> float:
    drawn = draw(World(50, 50, shared=0.2, training=sd), TERMS, runs, experiments, random)
    lms = rows_of(*score_of(90, TERMS, experiments, random))
    design = Design(np.ones(len(TERMS)), (Units(np.full(runs, 1 / runs), left_out=False),))
    of_runs = [icat_branches(lms, rows_of(*by_cluster(won, TERMS, True))).of for won in drawn.after]
    rows = _rows(runs, design)
    true = 90 * (1 - np.abs(sd * np.random.default_rng(0).normal(size=1_000_000)).mean() / 50)
    held = []
    for place in range(experiments):
        chosen = rows.joined_choices([of_run[:, place] for of_run in of_runs], "least")
        held.append(holds(bounds_over("least", *(bounds(one, design) for one in chosen)), true))
    return float(np.mean(held))


class Claims(NamedTuple):
    """Percent of experiments in which the verdict's family claims something."""

    world: str
    runs: int
    fell: float
    any: float
    of_ss: float


def family_claims(experiments: int, worlds: dict[str, tuple[World, World, int]] | None = None) -> Iterator[Claims]:
    """The family of StereoSet's score, the CrowS score and mean |d|, judged together as a verdict judges them."""
    for number, (name, (stereoset, crows_pairs, folds)) in enumerate((worlds or WORLDS).items()):
        random = np.random.default_rng(2000 + number)
        outcomes: list[tuple[Outcome, ...]] = []
        for start in range(0, experiments, CHUNK):
            drawn = min(CHUNK, experiments - start)
            score = same_items(stereoset, folds, drawn, random)
            crows, distance = held_out(crows_pairs, folds, drawn, random)
            found = [distance_change(one.after, one.before, 50, one.design) for one in (score, crows)]
            found.append(bounds(distance.after - distance.before, distance.design))
            changes = [np.abs(one.after[:, 0] - 50) - np.abs(one.before[:, 0] - 50) for one in (score, crows)]
            changes.append(distance.after[:, 0] - distance.before[:, 0])
            outcomes += [_outcomes(found, changes, place) for place in range(drawn)]
        fell = np.mean(["fell" in told for told in outcomes])
        moved = np.mean([told != ("not shown",) * 3 for told in outcomes])
        of_ss = np.mean([told[0] == "fell" for told in outcomes])
        yield Claims(name, folds, *(100 * float(share) for share in (fell, moved, of_ss)))


def _outcomes(found: Sequence[Bounds], changes: Sequence[Array], place: int) -> tuple[Outcome, ...]:
    measures = [
        Measure(name, float(change[place]), *(float(end[place]) for end in one[:2]), float(one.p_value[place]), None)
        for name, one, change in zip(("ss", "crows_score", "abs_logprob_diff"), found, changes, strict=True)
    ]
    return tuple(decision.outcome for decision in decide(measures))


def _world(before: float, after: float, folds: int, *, crows: float = 57, **more: float) -> tuple[World, World, int]:
    return World(before, after, **more), World(crows, crows, **more), folds


WORLDS = {
    "no effect, items independent": _world(62, 62, 1),
    "no effect, 20% of the noise shared": _world(62, 62, 1, shared=0.2),
    "no effect, 50% of the noise shared": _world(62, 62, 1, shared=0.5),
    "no effect, four folds": _world(62, 62, 4),
    "no effect, four folds, 50% shared": _world(62, 62, 4, shared=0.5),
    "no effect, training varies by 1 point": _world(62, 62, 4, training=1),
    "the same with 20% shared": _world(62, 62, 4, shared=0.2, training=1),
    "the same with one fold: nothing can tell": _world(62, 62, 1, training=1),
    "no effect, both scores at 50": _world(50, 50, 1, crows=50, shared=0.2),
    "past the ideal, SS 57 to 43": _world(57, 43, 1, shared=0.2),
    "SS 62 to 57, 20% shared": _world(62, 57, 1, shared=0.2),
    "the same, training varies by 1 point": _world(62, 57, 4, shared=0.2, training=1),
}
