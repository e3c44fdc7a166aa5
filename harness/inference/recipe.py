"""A recipe at work: read from what a user names, its prefixes as tokens, and every prediction made by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.inference.kinds import RECIPES
from harness.storage.files import read_yaml
from harness.storage.reading import wrong_settings
from harness.storage.recipes import Recipe
from harness.terminal.nearest import did_you_mean

if TYPE_CHECKING:
    from torch import Tensor

Tokens = tuple[int, ...]


def recipe_of(named: str | Path | Mapping[str, Any] | Recipe) -> Recipe:
    """The recipe that is meant by a kind's name, a YAML file with `kind` and its settings, or a record.

    Raises:
        ValueError: no such kind or file, or a setting that the kind has not; names file and key.
    """
    if isinstance(named, Recipe):
        return named
    if isinstance(named, Mapping):
        return _from_settings(named, "recipe")
    if str(named) in RECIPES:
        return _from_settings({"kind": str(named)}, f"recipe {named}")
    if not Path(named).is_file():
        known = ", ".join(RECIPES)
        raise ValueError(
            f"recipe={named}: neither a kind ({known}) nor a file; expected one of them, or a YAML file with `kind` "
            f"and its settings{did_you_mean(str(named), RECIPES)}"
        )
    return _from_settings(read_yaml(Path(named))[0], str(named))


def _from_settings(settings: Mapping[str, Any], source: str) -> Recipe:
    given = dict(settings)
    kind = str(given.pop("kind", ""))
    if kind not in RECIPES:
        raise ValueError(f"{source}: kind is {kind!r}; there are {', '.join(RECIPES)}{did_you_mean(kind, RECIPES)}")
    for _, problem in problems(kind, given):
        raise ValueError(f"{source}: {problem}")
    return RECIPES[kind].settings(**given).recipe()


def problems(kind: str, settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Keys of a kind's settings that are not as they should be, and what is wrong with each."""
    return wrong_settings(RECIPES[kind].settings, settings, kind)


class Applied:
    """A recipe with a tokenizer's tokens for its prefixes; without a recipe, nothing is changed.

    A prefix stands behind the token that a text starts after, where it begins with that one, else in front.
    """

    def __init__(self, recipe: Recipe | None = None, tokenizer: Any = None) -> None:
        """Cut the prefixes into tokens, no special ones around them."""
        self.recipe = recipe
        texts = recipe.prefixes if recipe else ()
        self._prefixes: list[Tokens] = [
            tuple(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) for text in texts
        ]

    @property
    def longest(self) -> int:
        """Tokens of the longest prefix."""
        return max(map(len, self._prefixes), default=0)

    @property
    def tokens(self) -> list[int]:
        """All tokens of all prefixes."""
        return [token for prefix in self._prefixes for token in prefix]

    def __call__(self, logits_behind: Callable[[Tokens], Tensor]) -> Tensor:
        """Logits [N, V] by the recipe.

        Args:
            logits_behind: gives the model's logits [N, V] for its texts behind a prefix; () is none.
        """
        if self.recipe is None:
            return logits_behind(())
        kind = RECIPES[self.recipe.kind]
        plain = logits_behind(()) if kind.reads_plain else None
        return kind.answer(plain, [logits_behind(prefix) for prefix in self._prefixes], self.recipe)


def put_before(text: Sequence[int], prefix: Tokens, start: int | None) -> list[int]:
    """The text's tokens with the prefix behind its start token, or before it where it begins with another."""
    behind = int(bool(text) and text[0] == start)
    return [*text[:behind], *prefix, *text[behind:]]
