"""What a server answered, kept as it comes, so that nothing is asked twice when the server or this program dies."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from harness.storage.reading import parse_json, shown

Answer: TypeAlias = str | tuple[float, bool]
"""A text, or a log-likelihood in nats and whether greedy decoding would have given it."""


class Answers:
    """Answers by their request, in memory and, where a file is named, on disk the moment they are there."""

    def __init__(self, file: Path | None = None) -> None:
        """Reads what an earlier run left in `file`.

        Raises:
            ValueError: the file is not one of these; names it.
            OSError: its folder cannot be made.
        """
        self.file = file
        self._known: dict[str, Answer] = {}
        self._database: sqlite3.Connection | None = None
        if file is None:
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            # An answer arrives in whichever thread runs the event loop; one writes at a time.
            self._database = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
            found = self._database.execute("SELECT type FROM sqlite_master WHERE name='answers'").fetchone()
            # What is written survives this program's death; only a machine that loses power may lose the last of it.
            self._database.execute("PRAGMA synchronous=OFF")
            self._database.execute("CREATE TABLE IF NOT EXISTS answers (request TEXT PRIMARY KEY, answer TEXT)")
            rows = (
                self._database.execute("SELECT request, answer FROM answers").fetchall()
                if found in (None, ("table",))
                else None
            )
            if rows is None:  # a view could compute without end
                raise ValueError(f"answers as a {found[0]}")
            self._known = {request: _read(request, answer, str(file)) for request, answer in rows}
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            if self._database is not None:
                self._database.close()
            raise ValueError(f"{file}: expected kept answers of a server, found {error}; move it away") from error

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, request: str) -> bool:
        return request in self._known

    def __getitem__(self, request: str) -> Answer:
        return self._known[request]

    def add_partial(self, _method: str, request: str, answer: Answer) -> None:
        """Keep an answer; called as lm-eval's API models call their cache."""
        self._known[request] = answer
        if self._database is not None:
            self._database.execute("INSERT OR REPLACE INTO answers VALUES (?, ?)", (request, json.dumps(answer)))

    def close(self, keep: bool) -> None:
        """Let go of the file, which goes away unless it is to be kept for another time."""
        if self._database is not None and self.file is not None:
            self._database.close()
            self._database = None
            if not keep:
                self.file.unlink(missing_ok=True)


def request_key(base_url: str, payload: Mapping[str, object], *read_as: object) -> str:
    """The name of a request: where it goes, all that is sent, the model's name with it, and how the answer is read."""
    told = json.dumps([base_url, payload, read_as], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


def _read(request: object, answer: object, where: str) -> Answer:
    found = parse_json(answer, where) if isinstance(answer, str) else None
    if isinstance(request, str) and isinstance(found, str):
        return found
    if not isinstance(request, str) or not isinstance(found, list) or list(map(type, found)) != [float, bool]:
        raise ValueError(f"the answer {shown(answer)} to {shown(request)}")
    return found[0], found[1]
