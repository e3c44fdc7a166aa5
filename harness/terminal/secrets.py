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
SECRET_NAMES = (
    "auth_token", "api_key", "token", "hf_token", "hub_token", "push_to_hub_token", "access_token", "use_auth_token",
    "header", "headers", "authorization", "password", "passwd", "secret", "client_secret", "apikey",
)  # fmt: skip
"""Arguments whose value logs in somewhere."""
_IN_ENVIRONMENT = ("_API_KEY", "_TOKEN", "_SECRET", "_PASSWORD", "_ACCESS_KEY")
# Shorter ones would be found everywhere, and protect nothing.
_SHORTEST, _SHORTEST_IN_ENVIRONMENT = 6, 12
_NAMED = "|".join((*(name.replace("_", "[_-]") for name in SECRET_NAMES), "key"))
# `token=...` and `--hub-token ...` of a command line, `"token": "..."` of JSON and YAML; `start_token=...` is none.
_GIVEN = re.compile(
    rf"""(?<!\w)(?<!\w-)(["']?(?:{_NAMED})["']?\s*[=:]\s*|--(?:{_NAMED})\s+)("[^"]*"|'[^']*'|[^,\s'"}}&]+)""",
    re.IGNORECASE,
)
# Keys of Hugging Face, OpenAI and those who copy it, GitHub, AWS, Google, Slack; and what follows "Bearer".
_SHAPES = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{16,}|sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|AKIA[A-Z0-9]{12,}"
    r"|AIza[\w-]{20,}|xox[abprs]-[\w-]{10,})|(?<=[Bb]earer )[\w.~+/=-]{6,}"
)
_IN_URL = re.compile(r"(?<=://)[^/\s@'\"]+@")
_QUERY = re.compile(r"(://[^\s'\",?]*\?)[^\s'\",]+")

_LONGEST_LINE = 4000
"""Characters of what a library logs of a server's answer."""

T = TypeVar("T")


def secrets_among(arguments: Mapping[str, Any]) -> frozenset[str]:
    """What must not be shown: of these arguments, and the API keys in the environment."""
    named = (value for name, value in arguments.items() if name in SECRET_NAMES)
    url = urlsplit(str(arguments.get("base_url") or ""))
    found = [*_texts([*named]), url.password or "", url.query]
    given = {part for text in found for part in (text, text.split(" ")[-1]) if len(part) >= _SHORTEST}
    return frozenset(given | _of_environment())


def _of_environment() -> set[str]:
    """The values of variables such as HF_TOKEN, OPENAI_API_KEY and AWS_SECRET_ACCESS_KEY."""
    return {
        value
        for name, value in os.environ.items()
        if name.endswith(_IN_ENVIRONMENT) and len(value) >= _SHORTEST_IN_ENVIRONMENT and " " not in value
    }


def without_secrets(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that may be written down; a URL without password and query."""
    shown = {name: value for name, value in arguments.items() if name not in SECRET_NAMES}
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
    """A command line that may be written down: without the secrets, and as `without_tokens`."""
    return without_tokens(shlex.join(masked(list(words), secrets)))


def without_tokens(text: str) -> str:
    """A text without what it calls a token, key or password, what has the shape of a known kind of key, users and
    queries of URLs, and the values of the environment's keys.
    """
    text = _SHAPES.sub(HIDDEN, masked(text, _of_environment()))
    text = _QUERY.sub(r"\1" + HIDDEN, _IN_URL.sub(f"{HIDDEN}@", text))
    return _GIVEN.sub(_value_hidden, text)


def recordable(value: Any) -> Any:
    """A value of texts, lists and mappings that may be written down: each text as `without_tokens`, what is named as a
    secret hidden.
    """
    if isinstance(value, str):
        return without_tokens(value)
    if isinstance(value, Mapping):
        return {
            key: HIDDEN if item and str(key).lower() in SECRET_NAMES else recordable(item)
            for key, item in value.items()
        }
    return [recordable(item) for item in value] if isinstance(value, (list, tuple)) else value


def secret_in(settings: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The place of a secret among settings, by its name or its shape; None where there is none."""
    for key, value in settings.items():
        if str(key).lower() in SECRET_NAMES and value:
            return (str(key),)
        if isinstance(value, str) and (_SHAPES.search(value) or _IN_URL.search(value)):
            return (str(key),)
        if isinstance(value, Mapping) and (inner := secret_in(value)):
            return (str(key), *inner)
    return None


def _value_hidden(match: re.Match[str]) -> str:
    quote = match.group(2)[0] if match.group(2)[0] in "\"'" else ""
    return f"{match.group(1)}{quote}{HIDDEN}{quote}"


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
        # lm-eval logs whole answers.
        record.msg, record.args = masked(record.getMessage()[:_LONGEST_LINE], self._secrets), ()
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
