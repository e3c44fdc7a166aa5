"""What comes back from a server is bounded, and is the asked server's own: no endless answer, no redirect elsewhere."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit

from harness.terminal.secrets import shown_url

MOST_BYTES = 1 << 26
"""Of an answer, unpacked; log-probabilities of a long text are some hundred kilobytes."""
MOST_OF_AN_ERROR = 1 << 14
"""Bytes of an error's text that are read."""
MOST_OF_A_QUESTION = 1 << 22
"""Bytes of an answer about the server itself: its models, its version."""
_BLOCK = 1 << 16


class RefusedError(ConnectionError):
    """An answer that asking again would not make better."""


def require_same_origin(asked: str, target: str) -> None:
    """Refuse a redirect to another server, or from https to http: prompts and keys are for the one that was named.

    Raises:
        RefusedError: names both addresses, without what logs in.
    """
    before, after = urlsplit(asked), urlsplit(urljoin(asked, target))
    if (before.scheme, before.netloc.rpartition("@")[2]) != (after.scheme, after.netloc.rpartition("@")[2]):
        raise RefusedError(
            f"{shown_url(asked)}: redirected to {shown_url(after.geturl())}, another server; not followed. If that is "
            "the one you mean, give it as base_url"
        )


def too_large(url: str, most: int) -> RefusedError:
    """The error for an answer of more than so many bytes."""
    return RefusedError(
        f"{shown_url(url)}: an answer of more than {most >> 20} MiB, refused. No model server sends so much: see what "
        "listens there"
    )


def session(connections: int, seconds: float, verify: bool) -> Any:
    """An aiohttp session for at most so many connections at a time, whose answers are bounded.

    Args:
        seconds: that one request may take.
        verify: whether the server's certificate is checked; off only where its user says so.
    """
    from aiohttp import ClientResponse, ClientSession, ClientTimeout, TCPConnector, TraceConfig

    class Bounded(ClientResponse):
        async def read(self) -> bytes:
            if self._body is None:
                self._body = await self._bounded()
            return self._body

        async def _bounded(self) -> bytes:
            parts, size, most = [], 0, MOST_BYTES if self.ok else MOST_OF_AN_ERROR
            if self.ok and (self.content_length or 0) > most:
                self.close()
                raise too_large(str(self.url), most)
            async for block in self.content.iter_chunked(_BLOCK):
                parts.append(block)
                size += len(block)
                if size > most:
                    self.close()
                    if self.ok:
                        raise too_large(str(self.url), most)
                    break
            return b"".join(parts)[:most]

    async def redirected(_session: Any, _context: Any, parameters: Any) -> None:
        require_same_origin(str(parameters.response.url), parameters.response.headers.get("Location", ""))

    trace = TraceConfig()
    trace.on_request_redirect.append(redirected)
    return ClientSession(
        connector=TCPConnector(limit=connections, ssl=verify),
        timeout=ClientTimeout(total=seconds),
        response_class=Bounded,
        trace_configs=[trace],
    )


def get(url: str, headers: Any, seconds: float, verify: bool) -> tuple[int, bytes]:
    """Status and body of a small GET.

    Raises:
        RefusedError: more than 4 MiB, or a redirect to another server.
        requests.RequestException: no answer.
    """
    import requests

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> str | None:
            target: str | None = super().get_redirect_target(resp)
            if target is not None:
                require_same_origin(str(resp.url), target)
            return target

    with Session() as own, own.get(url, headers=headers, timeout=seconds, verify=verify, stream=True) as answer:
        body = b""
        for block in answer.iter_content(_BLOCK):
            body += block
            if len(body) > MOST_OF_A_QUESTION:
                raise too_large(url, MOST_OF_A_QUESTION)
        return answer.status_code, body
