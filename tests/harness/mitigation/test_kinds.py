"""Each projection on features whose truth is known: what it takes off, and what it leaves."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.mitigation.inlp import inlp
from harness.mitigation.kinds import PROJECTIONS
from harness.mitigation.leace import leace
from harness.mitigation.projection import Examples, Projection, without
from harness.mitigation.sentence_debias import sentence_debias
from harness.storage.projections import Settings

WIDTH = 12
SETTINGS = Settings(rounds=2)


def planted(groups: int = 2, sentences: int = 400, seed: int = 0) -> Examples:
    """Correlated features around a mean that is not 0; group g adds row g of what is planted, and noise of its own."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(WIDTH, WIDTH, generator=generator)
    offset = 3 * torch.randn(WIDTH, generator=generator)
    shared = torch.randn(sentences, 1, WIDTH, generator=generator) @ mixing + offset
    added = 1.5 * torch.randn(groups, WIDTH, generator=generator)
    own = 0.05 * torch.randn(sentences, groups, WIDTH, generator=generator)
    neutral = torch.randn(sentences, WIDTH, generator=generator) @ mixing + offset
    return Examples(shared + added + own, neutral)


def flat(examples: Examples) -> tuple[Tensor, Tensor]:
    """[N G, D] and the one-hot groups."""
    sentences, groups, width = examples.versions.shape
    return examples.versions.reshape(-1, width).double(), torch.eye(groups).double().repeat(sentences, 1)


def explained(features: Tensor, labels: Tensor) -> float:
    """The share of the labels' variance that least squares with an intercept explains, by numpy's own solver."""
    x = np.concatenate([features.numpy(), np.ones((len(features), 1))], 1)
    z = labels.numpy()
    residual = z - x @ np.linalg.lstsq(x, z, rcond=1e-9)[0]
    return float(1 - (residual**2).sum() / ((z - z.mean(0)) ** 2).sum())


def change(projection: Projection, features: Tensor) -> float:
    return float((projection.of(features) - features).square().sum(1).mean())


@pytest.mark.parametrize("kind", PROJECTIONS)
@pytest.mark.parametrize("groups", [2, 3])
def test_it_is_a_projection_and_says_how_many_dimensions_are_gone(kind: str, groups: int) -> None:
    examples = planted(groups)
    projection = PROJECTIONS[kind].fit(examples, SETTINGS, True)
    twice = projection.after(projection)
    torch.testing.assert_close(twice.matrix, projection.matrix)
    torch.testing.assert_close(twice.shift, projection.shift)
    expected = {"sentence_debias": 1, "inlp": 6 if groups == 2 else 2, "leace": groups - 1}[kind]
    assert projection.removed == expected


@pytest.mark.parametrize("groups", [2, 3])
@pytest.mark.parametrize("takes_shift", [True, False])
def test_after_leace_least_squares_finds_the_group_no_better_than_a_constant(groups: int, takes_shift: bool) -> None:
    features, labels = flat(planted(groups))
    assert explained(features, labels) > 0.3
    projection = leace(planted(groups), SETTINGS, takes_shift)
    assert explained(projection.of(features), labels) == pytest.approx(0, abs=1e-9)
    assert bool(projection.shift.any()) == takes_shift


def test_leace_changes_features_less_than_whatever_else_erases_the_group() -> None:
    features, labels = flat(planted())
    examples = planted()
    differences = examples.versions[:, 0] - examples.versions[:, 1]
    mean_difference = without(differences.double().mean(0, keepdim=True))
    affine, linear = leace(examples, SETTINGS, True), leace(examples, SETTINGS, False)
    many = inlp(examples, Settings(rounds=3), False)
    assert explained(mean_difference.of(features), labels) == pytest.approx(0, abs=1e-9)
    assert change(affine, features) < change(linear, features) < change(mean_difference, features)
    assert change(linear, features) < change(many, features)


def test_leace_without_shift_is_the_lagrange_solution_among_linear_maps() -> None:
    features, labels = flat(planted(3))
    moments = features.T @ features / len(features)
    covariance = (features - features.mean(0)).T @ labels / len(features)
    solved = torch.linalg.solve(moments, covariance)
    expected = torch.eye(WIDTH).double() - covariance @ torch.linalg.pinv(covariance.T @ solved, rtol=1e-9) @ solved.T
    torch.testing.assert_close(leace(planted(3), SETTINGS, False).matrix, expected, atol=1e-8, rtol=1e-6)


def test_leace_of_fewer_sentences_than_dimensions_leaves_the_rest_of_the_space_alone() -> None:
    examples = planted(sentences=4)
    features, labels = flat(examples)
    projection = leace(examples, SETTINGS, True)
    assert explained(features, labels) == pytest.approx(1), "8 features in 12 dimensions fit anything"
    assert explained(projection.of(features), labels) == pytest.approx(0, abs=1e-9)
    shifted = projection.of(features) - projection.of(features).mean(0)
    assert float((shifted.T @ (labels - 0.5)).abs().max()) < 1e-9
    _, _, rows = torch.linalg.svd(features - features.mean(0))
    beyond = rows[7:] + features.mean(0)
    torch.testing.assert_close(projection.of(beyond), beyond)


def test_sentence_debias_takes_the_direction_in_which_unit_vectors_differ() -> None:
    direction = torch.zeros(WIDTH)
    direction[3] = 1
    base = torch.randn(50, 1, WIDTH, generator=torch.Generator().manual_seed(0))
    base[..., 3] = 0
    examples = Examples(torch.cat([base + direction, base - direction], 1), base[:, 0])
    expected = torch.eye(WIDTH).double() - torch.outer(direction, direction).double()
    torch.testing.assert_close(sentence_debias(examples, SETTINGS).matrix, expected)


def test_sentence_debias_of_triples_centres_each_triple() -> None:
    examples = planted(3)
    unit = examples.versions.double() / examples.versions.double().norm(dim=-1, keepdim=True)
    rows = [unit[n, g] - unit[n].mean(0) for n in range(len(unit)) for g in range(3)]
    scatter = sum((torch.outer(row, row) for row in rows), torch.zeros(WIDTH, WIDTH).double())
    first, second = torch.linalg.eigh(scatter)[1][:, -1], torch.linalg.eigh(scatter)[1][:, -2]
    projection = sentence_debias(examples, Settings(components=2))
    for direction in (first, second):
        assert float(projection.of(direction).norm()) < 1e-6


def test_after_inlp_the_same_classifier_is_hardly_better_than_a_guess() -> None:
    from sklearn.svm import LinearSVC

    examples = planted()
    features, _ = flat(examples)
    classes = np.tile([0, 1], len(examples.versions))

    def accuracy(x: Tensor) -> float:
        machine = LinearSVC(fit_intercept=False, dual=False, random_state=0).fit(x.numpy(), classes)
        return float(machine.score(x.numpy(), classes))

    assert accuracy(features) > 0.75
    assert accuracy(inlp(examples, SETTINGS).of(features)) < 0.6


def test_inlp_refuses_to_take_all_there_is() -> None:
    with pytest.raises(ValueError, match=r"rounds=80: after \d+ of them INLP has taken off all 12 dimensions"):
        inlp(planted(), Settings(rounds=80))


def test_inlp_needs_sentences_without_a_word() -> None:
    with pytest.raises(ValueError, match="INLP needs sentences without a listed word"):
        inlp(Examples(planted().versions, torch.zeros(0, WIDTH)), SETTINGS)


def test_more_components_than_directions_are_refused() -> None:
    versions = torch.eye(WIDTH)[:2][None].repeat(5, 1, 1)
    with pytest.raises(ValueError, match=r"components=2: .* differ in 1 directions"):
        sentence_debias(Examples(versions, versions[:, 0]), Settings(components=2))


def test_one_after_the_other_keeps_what_the_first_took_off() -> None:
    first_type, second_type = planted(), planted(3, seed=1)
    for kind, _ in PROJECTIONS.values():
        first = kind(first_type, SETTINGS, True)
        both = kind(second_type.mapped(first), SETTINGS, True).after(first)
        assert both.removed == first.removed + kind(second_type, SETTINGS, True).removed
        if kind is leace:
            for examples in (first_type, second_type):
                features, labels = flat(examples)
                assert explained(both.of(features), labels) == pytest.approx(0, abs=1e-8)
        else:
            torch.testing.assert_close(both.matrix @ first.matrix, both.matrix)
