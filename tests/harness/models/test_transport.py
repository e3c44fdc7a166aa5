"""A model server's answers are bounded and its own; its certificate is checked unless its user says otherwise."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")
import aiohttp
import requests

from harness.models import transport
from harness.models.transport import RefusedError, get, require_same_origin, session

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """Answers every request as it is told, and keeps what it was asked with."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer: Answer = whole
        self.keys: list[str | None] = []
        self.scheme = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/v1/completions"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up early is what is tested."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.keys.append(self.headers["Authorization"])
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.answer(self)

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


def respond(handler: BaseHTTPRequestHandler, body: bytes, declared: int | None = None, status: int = 200) -> None:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    if declared is not None:
        handler.send_header("Content-Length", str(declared))
    handler.end_headers()
    handler.wfile.write(body)


def whole(handler: BaseHTTPRequestHandler) -> None:
    respond(handler, b'{"a": 1}', 8)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(transport, "MOST_BYTES", 100_000)
    monkeypatch.setattr(transport, "MOST_OF_A_QUESTION", 100_000)
    monkeypatch.setattr(transport, "MOST_OF_AN_ERROR", 50)
    yield from served(Server())


def served(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def ask(url: str, verify: bool = True) -> Any:
    async def post() -> Any:
        headers = {"Authorization": "Bearer key"}
        async with session(1, 20.0, verify) as opened, opened.post(url, json={}, headers=headers) as response:
            return await response.json() if response.ok else await response.text()

    return asyncio.run(post())


def test_a_usual_answer_is_read(server: Server) -> None:
    assert ask(server.url) == {"a": 1}
    assert get(server.url, {}, 20, True) == (200, b'{"a": 1}')


@pytest.mark.parametrize("declared", [None, 1 << 40, 200_000], ids=["undeclared", "declared", "whole"])
def test_an_answer_that_is_too_large_is_refused(server: Server, declared: int | None) -> None:
    server.answer = lambda handler: respond(handler, b" " * 200_000, declared)
    for asked in (ask, lambda url: get(url, {}, 20, True)):
        with pytest.raises(RefusedError, match="an answer of more than"):
            asked(server.url)


def test_a_packed_answer_is_counted_as_it_unpacks(server: Server) -> None:
    import zlib

    packed = zlib.compress(b" " * 10_000_000)
    assert len(packed) < 100_000

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Encoding", "deflate")
        handler.send_header("Content-Length", str(len(packed)))
        handler.end_headers()
        handler.wfile.write(packed)

    server.answer = answer
    for asked in (ask, lambda url: get(url, {}, 20, True)):
        with pytest.raises(RefusedError, match="an answer of more than"):
            asked(server.url)


def test_an_answer_that_is_cut_off_is_an_error(server: Server) -> None:
    server.answer = lambda handler: respond(handler, b'{"a"', 400)
    with pytest.raises(aiohttp.ClientError):
        ask(server.url)
    with pytest.raises(requests.RequestException):
        get(server.url, {}, 20, True)


def test_of_an_error_only_the_beginning_is_read(server: Server) -> None:
    server.answer = lambda handler: respond(handler, b"x" * 90_000, 90_000, status=500)
    assert ask(server.url) == "x" * 50


def test_a_redirect_to_another_server_is_not_followed_and_the_key_does_not_go_there(server: Server) -> None:
    for other in served(Server()):

        def answer(handler: BaseHTTPRequestHandler, target: str = other.url) -> None:
            handler.send_response(307)
            handler.send_header("Location", target)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        server.answer = answer
        for asked in (ask, lambda url: get(url, {"X-Key": "k"}, 20, True)):
            with pytest.raises(RefusedError, match=r"redirected to .*another server; not followed"):
                asked(server.url)
        assert other.keys == []


@pytest.mark.parametrize(
    "target", ["http://a.example/x", "//b.example/x", "ftp://a.example/x", "https://a.example:1/x"]
)
def test_https_stays_https_and_a_host_stays_a_host(target: str) -> None:
    with pytest.raises(RefusedError):
        require_same_origin("https://a.example/v1", target)
    require_same_origin("https://me:pw@a.example/v1", "/v1/")


@pytest.fixture
def self_signed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server whose certificate nobody vouches for."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl, which makes the certificate")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    files = ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "certificate.pem")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.scheme = "https"
    yield from served(server)


def test_a_certificate_that_nobody_vouches_for_is_refused_unless_the_user_says_otherwise(self_signed: Server) -> None:
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        ask(self_signed.url)
    with pytest.raises(requests.exceptions.SSLError):
        get(self_signed.url, {}, 20, True)
    assert self_signed.keys == []
    assert ask(self_signed.url, verify=False) == {"a": 1}


def test_data_is_not_fetched_from_a_server_whose_certificate_nobody_vouches_for(
    self_signed: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness.data import fetch

    monkeypatch.setenv("STEREOSCOPE_MIRROR", self_signed.url)
    # What makes certificates optional for the whole process does not for this.
    monkeypatch.setattr(ssl, "_create_default_https_context", ssl._create_unverified_context)
    with pytest.raises(ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        fetch.download("crows_pairs", tmp_path / "data")
    assert self_signed.keys == []


def test_certificates_are_checked_by_default() -> None:
    from inspect import signature

    from harness.models.served import ServedChat, ServedCompletions

    for client in (ServedCompletions, ServedChat):
        defaults = [signature(one.__init__).parameters.get("verify_certificate") for one in client.__mro__]
        assert next(found.default for found in defaults if found is not None) is True
