"""What is wrong in an experiment file, told with the file's line and the key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.storage.reading import brief_name, shown
from harness.terminal.secrets import secret_in

Lines = Mapping[tuple[str | int, ...], int]
OURS_TO_SET = ("output_dir", "model_name_or_path", "data_dir", "start_token_id", "resume_from_checkpoint")
"""Training keys that the experiment fills in itself."""

SEEDED = ("seed", "data_seed")
"""Training keys that `seeds` takes the place of."""


def secret_of_a_model(settings: Mapping[str, Any]) -> tuple[str | int, ...] | None:
    """Where among the models a key or token stands; None if nowhere."""
    for index, model in enumerate(settings["models"]):
        if place := secret_in(model):
            return ("models", index, *place)
    return None


def explained(source: str, lines: Lines, error: dict[str, Any]) -> str:
    """One of pydantic's errors, as a user reads it."""
    where = at(source, lines, tuple(error["loc"]))
    key = brief_name(".".join(map(str, error["loc"])))
    if error["type"] == "extra_forbidden":
        return f"{where}: unknown key {key!r}"
    if error["type"] == "missing":
        return f"{where}: key {key!r} is missing"
    return f"{where}: {key}: {error['msg']} (found {shown(error['input'])})"


def check_training(
    source: str, lines: Lines, place: tuple[str | int, ...], settings: dict[str, Any], seeded: bool
) -> None:
    """Refuse settings of a training that the experiment makes itself, that contradict `seeds`, or that are wrong.

    Raises:
        ValueError: names file, line and key.
    """
    from training.config import problems

    for key in OURS_TO_SET:
        if key in settings:
            raise ValueError(f"{at(source, lines, (*place, key))}: {key!r} is set by the experiment itself")
    for key in SEEDED:
        if seeded and key in settings:
            where = at(source, lines, (*place, key))
            raise ValueError(f"{where}: {key!r} and `seeds` contradict each other; drop one")
    for key, problem in problems({key: value for key, value in settings.items() if key != "accelerate_config"}):
        raise ValueError(f"{at(source, lines, (*place, key))}: {problem}")
    if not isinstance(config := settings.get("accelerate_config"), str | None):
        where = at(source, lines, (*place, "accelerate_config"))
        raise ValueError(f"{where}: accelerate_config is {shown(config)}, expected a file or a shipped config's name")


def at(source: str, lines: Lines, place: tuple[str | int, ...]) -> str:
    """The file with the line of a key or of what it stands in; what is no file has no lines."""
    if not lines:
        return source
    known = next((lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in lines), 1)
    return f"{source}, line {known}"
