"""How a prompt is put to a model of each family, so that it goes on with it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TypeVar

from harness.data.families import family_of
from harness.data.prompt import choose_template

log = logging.getLogger(__name__)

BLANK = "[M]"
TEMPLATE_KEY = "continuation_template"
ENCODER_DECODER = "Continue this text: {prompt}"

Row = TypeVar("Row")


def asker(metadata: Mapping[str, object]) -> Callable[[str, str], str]:
    """A function of a prompt and its template (one with a blank, or "") that gives what the model is given.

    A causal model goes on with the prompt itself, an encoder-decoder is told to (metadata `continuation_template`, with
    `{prompt}`, tells either something else), a masked one fills the template's blank where there is one.

    Raises:
        ValueError: the metadata's template lacks its placeholder.
    """
    kind = family_of(metadata)
    if kind == "masked":
        from harness.data.tokens import load_tokenizer

        mask = str(load_tokenizer(metadata).mask_token)
        return lambda prompt, template: template.replace(BLANK, mask) if template else prompt
    default = ENCODER_DECODER if kind == "seq2seq" else "{prompt}"
    wording = choose_template(metadata.get(TEMPLATE_KEY), default, ("prompt",), TEMPLATE_KEY)
    return lambda prompt, _template: wording.format(prompt=prompt)


def in_turns(rows: Sequence[Row], group_of: Callable[[Row], str]) -> list[Row]:
    """One row of each group after the other, as long as they last, so that the first n are of all groups alike."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(group_of(row), []).append(row)
    return [row for turn in zip_longest(*groups.values()) for row in turn if row is not None]


def without_empty(path: Path, rows: Sequence[Row], prompt_of: Callable[[Row], str]) -> tuple[list[Row], int]:
    """The rows that have a prompt, and how many have none; these are told of.

    Raises:
        ValueError: no row has one.
    """
    kept = [row for row in rows if prompt_of(row)]
    if not kept:
        raise ValueError(f"{path}: none of its {len(rows)} rows has a prompt" if rows else f"{path}: no rows")
    if dropped := len(rows) - len(kept):
        log.warning("%s: %d of %d prompts are empty and left out", path, dropped, len(rows))
    return kept, len(rows) - len(kept)
