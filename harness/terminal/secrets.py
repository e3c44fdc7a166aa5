"""Keys and tokens, which belong neither into a log nor into a file."""

from __future__ import annotations

import logging
import os
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

HIDDEN = "***"
_NAMES = ("auth_token", "api_key", "token", "hf_token", "header", "headers")
# Shorter ones would be found everywhere, and protect nothing.
_SHORTEST = 6
_GIVEN = re.compile(r"\b(token|hf_token|api_key|auth_token)=[^,\s']+")

T = TypeVar("T")


def secrets_among(arguments: Mapping[str, Any]) -> frozenset[str]:
    """What must not be shown: of these arguments, and the API keys in the environment."""
    named = (value for name, value in arguments.items() if name in _NAMES)
    keys = (value for name, value in os.environ.items() if name.endswith("_API_KEY") or name == "HF_TOKEN")
    url = urlsplit(str(arguments.get("base_url") or ""))
    found = [*_texts([*named, *keys]), url.password or "", url.query]
    return frozenset(part for text in found for part in (text, text.split(" ")[-1]) if len(part) >= _SHORTEST)


def without_secrets(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that may be written down; a URL without password and query."""
    shown = {name: value for name, value in arguments.items() if name not in _NAMES}
    if "base_url" in shown:
        shown["base_url"] = shown_url(str(shown["base_url"]))
    return shown


def shown_url(url: str) -> str:
    """A URL without what logs in: its user, password and query."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def masked(value: T, secrets: Iterable[str]) -> T:
    """The same text, list or mapping with each secret hidden, the longest first."""
    hidden: T = _masked(value, sorted(secrets, key=len, reverse=True))
    return hidden


def shown_command(words: Iterable[str], secrets: Iterable[str]) -> str:
    """A command line that may be written down: without the secrets, and without what any argument calls a token."""
    return _GIVEN.sub(r"\1=" + HIDDEN, shlex.join(masked(list(words), secrets)))


def hide_in_logs(secrets: Iterable[str], *loggers: str) -> None:
    """Have the lines of these loggers, those of libraries above all, hide the secrets from now on."""
    hiding = _Hiding(secrets)
    for name in loggers:
        logging.getLogger(name).addFilter(hiding)


class _Hiding(logging.Filter):
    def __init__(self, secrets: Iterable[str]) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = masked(record.getMessage(), self._secrets), ()
        return True


def _masked(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, Mapping):
        return {key: _masked(item, secrets) for key, item in value.items()}
    return [_masked(item, secrets) for item in value] if isinstance(value, list) else value


def _texts(values: Iterable[Any]) -> list[str]:
    """Every text in values that may be mappings and lists."""
    found: list[str] = []
    for value in values:
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, Mapping):
            found += _texts(value.values())
        elif isinstance(value, (list, tuple)):
            found += _texts(value)
    return found
