"""A small server of the completions API on loopback: echoes a real model's log-probabilities, and fails as it is told.

Texts are no model's: each names the seed that it was asked with, so that tests see which seed belongs to which prompt.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY = "sk-stand-in-0123456789"
Fault = Callable[["Handler"], None]


class StandIn(ThreadingHTTPServer):
    """What tests set before, and look at after."""

    daemon_threads = True

    def __init__(self, model: Path | None, echoes: bool = True) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.model, self.echoes = _load(model), echoes
        self.asked: list[dict[str, Any]] = []
        self.faults: dict[int, Fault] = {}  # by the number of the request, from 0
        self.dies_at: int | None = None  # from this request on no connection gets an answer
        self.version: str | None = "0.9.9-test"
        self.busy = threading.Lock()

    @property
    def root(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def url(self, chat: bool = False) -> str:
        """What `base_url` is to be."""
        return f"{self.root}/v1/{'chat/' if chat else ''}completions"


class Handler(BaseHTTPRequestHandler):
    """vLLM's answers, as far as lm-eval reads them."""

    server: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self.answer({"error": "no such key"}, 401)
        elif self.path == "/v1/models":
            self.answer({"object": "list", "data": [{"id": "tiny", "object": "model", "owned_by": "vllm"}]})
        elif self.path == "/version" and self.server.version:
            self.answer({"version": self.server.version})
        else:
            self.answer({"error": "not found"}, 404)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.busy:  # one request after the other, so that their numbers mean something
            number = len(self.server.asked)
            self.server.asked.append(asked)
            if self.server.dies_at is not None and number >= self.server.dies_at:
                cut_connection(self)
            elif number in self.server.faults:
                self.server.faults[number](self)
            else:
                self.answer(self.answer_to(asked))

    def answer_to(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        if "messages" in asked:
            text = f" chat {asked['seed']}"
            return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}
        prompts = asked["prompt"] if isinstance(asked["prompt"], list) else [asked["prompt"]]
        prompts = prompts if isinstance(prompts[0], (list, str)) else [prompts]
        if asked.get("echo") and self.server.echoes:
            return {"choices": [_echo(self.server.model, ids, number) for number, ids in enumerate(prompts)]}
        told = {"text": f" text {asked.get('seed')}", "logprobs": {"content": []} if asked.get("logprobs") else None}
        return {"choices": [{"index": number, **told} for number in range(len(prompts))]}

    def answer(self, body: object, status: int = 200) -> None:
        self.send_bytes(json.dumps(body).encode(), status)

    def send_bytes(self, body: bytes, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def too_many(handler: Handler) -> None:
    """429, with the key in the answer, as some servers have it."""
    handler.answer({"error": f"rate limit of {handler.headers['Authorization']}"}, 429)


def broken_inside(handler: Handler) -> None:
    """500."""
    handler.answer({"error": f"of {handler.headers['Authorization']}"}, 500)


def no_json(handler: Handler) -> None:
    """Half an answer that calls itself whole."""
    handler.send_bytes(b'{"choices": [{"ind')


def another_json(handler: Handler) -> None:
    """JSON of something that stands between, with status 200."""
    handler.answer({"detail": "the model is being loaded"})


def cut_connection(handler: Handler) -> None:
    """A reset in the middle of the answer."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


@contextmanager
def serving(model: Path | None = None, echoes: bool = True) -> Iterator[StandIn]:
    """A stand-in in a thread of its own."""
    server = StandIn(model, echoes)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def _load(model: Path | None) -> Any:
    if model is None:
        return None
    import torch
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()


def _echo(model: Any, ids: list[int], number: int) -> dict[str, Any]:
    """Of each token its log-probability after those before it, of the first none, and one generated token behind."""
    import torch

    with torch.inference_mode():
        logprobs = model(torch.tensor([ids])).logits[0].float().log_softmax(-1)
    best = logprobs.max(-1)
    follows = [*ids[1:], int(best.indices[-1])]
    told = [None, *(float(logprobs[place, token]) for place, token in enumerate(follows))]
    top = [None, *({"the best": float(value)} for value in best.values)]
    return {"index": number, "text": "", "logprobs": {"token_logprobs": told, "top_logprobs": top}}
