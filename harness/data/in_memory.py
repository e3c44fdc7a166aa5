"""Models that a caller has in memory: where a name is looked up as a folder or hub id, these come first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


class InMemory(NamedTuple):
    """A model, the config that tells its family, and its tokenizer."""

    model: PreTrainedModel | PeftModel
    config: PretrainedConfig
    tokenizer: PreTrainedTokenizerBase


_HELD: ContextVar[Mapping[str, InMemory]] = ContextVar("held", default=MappingProxyType({}))


@contextmanager
def holding(name: str, model: InMemory) -> Iterator[None]:
    """Inside, `name` means this model to whatever reads a config, loads a tokenizer or makes a model class."""
    token = _HELD.set({**_HELD.get(), name: model})
    try:
        yield
    finally:
        _HELD.reset(token)


def held(name: object) -> InMemory | None:
    """The model in memory that goes by this name, if one does."""
    return _HELD.get().get(str(name))
