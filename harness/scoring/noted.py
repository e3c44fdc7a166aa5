"""What lm-eval notes beside every result, of the machine and the working folder, without noise and waiting."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

_ADDRESS = re.compile(r"<(?:[a-z-]+ )*([\w.<>]+)(?: object)? at 0x[0-9a-f]+>")
"""What Python writes of a function or an object that has no name of its own."""


@contextmanager
def git_asked_in_repositories_only() -> Iterator[None]:
    """lm-eval asks git for the working folder's commit, and git complains on stderr where it is no repository."""
    from lm_eval import evaluator

    here = Path.cwd()
    asks = evaluator.get_git_commit_hash
    if not any((folder / ".git").exists() for folder in (here, *here.parents)):
        evaluator.get_git_commit_hash = lambda: None
    try:
        yield
    finally:
        evaluator.get_git_commit_hash = asks


@contextmanager
def machine_described_once() -> Iterator[None]:
    """Inside, a description that was made once is taken: torch starts a dozen programs for it, which take a second."""
    from lm_eval import evaluator

    asks = evaluator.add_env_info
    evaluator.add_env_info = lambda results: results.update(_machine())
    try:
        yield
    finally:
        evaluator.add_env_info = asks


@cache
def _machine() -> Mapping[str, Any]:
    from lm_eval.loggers.utils import add_env_info

    noted: dict[str, Any] = {}
    add_env_info(noted)
    return noted


def without_addresses(value: Any) -> Any:
    """Settings with each function by its name: where it lay in memory tells nobody anything and differs every time."""
    if isinstance(value, Mapping):
        return {key: without_addresses(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [without_addresses(item) for item in value]
        return items if isinstance(value, list) else tuple(items)  # digests of definitions are of either as written
    if isinstance(value, FunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    told = str(value)
    return _ADDRESS.sub(r"\1", told) if _ADDRESS.search(told) else value
