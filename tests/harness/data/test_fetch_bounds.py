"""What a download may not do: be without end, unpack without end, lead elsewhere, or write anywhere but its place."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from harness.data import fetch, sources
from harness.data.sources import SOURCES, Pin, register

LARGEST = 50_000
Answer = Callable[[BaseHTTPRequestHandler], None]


class Handler(BaseHTTPRequestHandler):
    answer: Answer

    def do_GET(self) -> None:
        type(self).answer(self)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def mirror(no_data: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Handler]]:
    """A mirror of WikiText-2; downloads may have 50,000 bytes."""
    monkeypatch.setattr(fetch, "LARGEST", LARGEST)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = type("Own", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        monkeypatch.setenv("STEREOSCOPE_MIRROR", f"http://127.0.0.1:{server.server_port}/")
        yield handler
        server.shutdown()
        thread.join()


def sends(body: bytes, declared: str | None = None, status: int = 200, **headers: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        if declared is not None:
            handler.send_header("Content-Length", declared)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("declared", [None, "1000000000000", "60000"], ids=["undeclared", "declared", "whole"])
def test_a_download_that_is_too_large_is_refused_and_removed(
    mirror: type[Handler], tmp_path: Path, declared: str | None
) -> None:
    mirror.answer = sends(bytes(60_000), declared)
    with pytest.raises(ValueError, match=r"expected at most 50,000: not the published file; removed"):
        fetch.download("wikitext2", tmp_path)
    assert files(tmp_path) == []


@pytest.mark.parametrize("declared", ["-5", "many", "١"])
def test_a_length_that_is_none_is_refused(mirror: type[Handler], tmp_path: Path, declared: str) -> None:
    mirror.answer = sends(b"x", declared.encode().decode("latin-1"))
    with pytest.raises(ConnectionError, match="Content-Length is"):
        fetch.download("wikitext2", tmp_path)


def test_a_short_body_is_no_file(mirror: type[Handler], tmp_path: Path) -> None:
    mirror.answer = sends(b"half", "4000")
    with pytest.raises(ConnectionError, match="cut off"):
        fetch.download("wikitext2", tmp_path)
    assert not (tmp_path / SOURCES["wikitext2"].path).exists()


def test_an_archive_that_unpacks_without_end_is_refused(mirror: type[Handler], tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("wikitext-2-raw/wiki.test.raw", bytes(20_000_000))
    assert len(archive.getvalue()) < LARGEST
    mirror.answer = sends(archive.getvalue(), str(len(archive.getvalue())))
    with pytest.raises(ValueError, match=r"wiki\.test\.raw: .*expected at most 50,000"):
        fetch.download("wikitext2", tmp_path)
    assert files(tmp_path) == []


@pytest.mark.parametrize("member", ["../../evil", "/tmp/evil", "wikitext-2-raw/../../evil"])
def test_members_of_an_archive_with_other_names_are_not_unpacked(
    mirror: type[Handler], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, member: str
) -> None:
    text = b" = Title = \n"
    source = SOURCES["wikitext2"]._replace(pins=(Pin("sha256", hashlib.sha256(text).hexdigest()),))
    monkeypatch.setattr(fetch, "SOURCES", {"wikitext2": source})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr(member, b"evil")
        content.writestr("wikitext-2-raw/wiki.test.raw", text)
    mirror.answer = sends(archive.getvalue(), str(len(archive.getvalue())))
    path = fetch.download("wikitext2", tmp_path / "data")
    assert path.read_bytes() == text
    assert files(tmp_path) == [path.name]


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_a_mirror_cannot_lead_to_another_kind_of_address(mirror: type[Handler], tmp_path: Path, target: str) -> None:
    mirror.answer = sends(b"", "0", 302, Location=target)
    with pytest.raises(ConnectionError, match=r"not https|not allowed"):
        fetch.download("wikitext2", tmp_path)


def test_every_file_that_is_fetched_has_a_pinned_digest_and_an_address_of_https() -> None:
    for name, source in SOURCES.items():
        assert source.url.startswith("https://"), name
        assert source.pins, name
        for pin in source.pins:
            assert len(pin.digest) == (64 if pin.algorithm == "sha256" else 40)


@pytest.mark.parametrize("path", ["../x.csv", "/etc/x.csv", "a/../../x.csv", "a\0.csv", ""])
def test_a_plugins_data_set_stays_within_the_data_folder(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "SOURCES", dict(SOURCES))
    with pytest.raises(ValueError, match="data set 'theirs'"):
        register("theirs", SOURCES["crows_pairs"]._replace(path=path))
    assert "theirs" not in sources.SOURCES
