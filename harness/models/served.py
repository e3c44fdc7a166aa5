"""Models behind an API: lm-eval's own clients, with answers that are counted, kept, and drawn from seeds of their own.

`local-completions` scores given text where the server echoes log-probabilities (vLLM does), and has prompts continued;
`local-chat-completions` is asked for texts alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from lm_eval.models.openai_completions import LocalChatCompletion, LocalCompletionsAPI
from lm_eval.models.utils import normalize_gen_kwargs

from harness.models.echoed import NoEchoError, choices, echoed_logprobs
from harness.models.sampling import numbered, seed_of
from harness.models.transport import RefusedError, session
from harness.storage.answers import Answer, Answers, request_key
from harness.storage.provenance import Server
from harness.terminal.bars import progress
from harness.terminal.secrets import masked, secrets_among, shown_url

# Of a seed. llama.cpp reads 32 bits and takes all of them set for "draw one"; others refuse negative ones.
_SEED_BITS = (1 << 31) - 1


class _Asked(NamedTuple):
    """One request: under which name its answer is kept, what is sent, and how lm-eval is to build and read it."""

    key: str
    message: Any
    options: Mapping[str, Any]


class Served(LocalCompletionsAPI):
    """What both clients share. lm-eval builds requests, sends and reads them; here is which, when and how often."""

    family = "causal"
    template: str | None = None

    def __init__(
        self,
        *,
        prefix_token_id: int | None = None,
        add_bos_token: bool | None = None,
        auth_token: str | None = None,
        **arguments: Any,
    ) -> None:
        """lm-eval's arguments, `prefix_token_id` and `add_bos_token` as `--model hf` has them.

        Raises:
            ModuleNotFoundError: a package of lm-eval's extra `api` is missing.
        """
        super().__init__(auth_token=auth_token, custom_prefix_token_id=prefix_token_id, **arguments)
        self.add_bos_token = add_bos_token
        self.answers = Answers()
        self.server = Server(base_url=shown_url(str(self.base_url)))

    @property
    def api_key(self) -> str:
        """What the server is told: the argument `auth_token`, else OPENAI_API_KEY, which nothing here writes down."""
        return self.auth_token or super().api_key or ""

    @property
    def start(self) -> tuple[str, int]:
        """The token that scored text starts after, and its id; "" where there is no tokenizer to tell."""
        if self.tokenizer is None:
            return "", -1
        return str(self.tokenizer.convert_ids_to_tokens(self.prefix_token_id)), int(self.prefix_token_id)

    def create_message(self, messages: Any, generate: bool = False) -> Any:
        """lm-eval's, but a text is sent as it stands: the server puts before it what its tokenizer asks for."""
        if type(messages[0]) is str:
            return messages[0]
        return super().create_message(messages, generate)

    @staticmethod
    def parse_logprobs(outputs: Any, tokens: Any = None, ctxlens: Any = None, **_: Any) -> list[Answer]:
        """As `echoed_logprobs`."""
        return echoed_logprobs(outputs, tokens, ctxlens)

    def parse_generations(self, outputs: Any, **more: Any) -> list[str]:
        """lm-eval's, which takes whatever has no text in it for an empty text; here that is an error first."""
        for body in outputs if isinstance(outputs, list) else [outputs]:
            choices(body)
        return list(super().parse_generations(outputs, **more))

    def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
        """A text a request, each drawn from a seed that belongs to its prompt and to which of several it is.

        Raises:
            ConnectionError: the server did not answer, however often it was asked.
        """
        asked = []
        for request, repeat in zip(requests, numbered(requests), strict=True):
            prompt, given = request.args[:2]
            seed = seed_of(_text(prompt), repeat) & _SEED_BITS
            message = self._message(prompt)
            options = {"generate": True, "gen_kwargs": {**as_sent(given, self._max_gen_toks), "seed": seed}}
            asked.append(self._asked(message, options))
        return [str(answer) for answer in self._answered(asked, disable_tqdm)]

    def _message(self, prompt: Any) -> Any:
        return prompt

    def _asked(self, message: Any, options: Mapping[str, Any], start: int | None = None) -> _Asked:
        gen_kwargs = {**options.get("gen_kwargs", {})}  # lm-eval takes out what it reads
        payload = self._create_payload(
            self.create_message([message]), generate=options["generate"], gen_kwargs=gen_kwargs, seed=self._seed
        )
        key = request_key(self.base_url, payload, start, getattr(self, "think_end_token", None))
        return _Asked(key, message, options)

    def _answered(self, asked: Sequence[_Asked], hidden: bool, together: int = 1) -> list[Answer]:
        """The answers in the order of the requests; each distinct one that is not known yet is asked for once."""
        missing = [one for key, one in {one.key: one for one in asked}.items() if key not in self.answers]
        batches = [missing[start : start + together] for start in range(0, len(missing), together)]
        with progress(len(missing), "Requests", hidden=hidden) as bar:
            asyncio.run(self._ask(batches, bar.update))
        return [self.answers[one.key] for one in asked]

    async def _ask(self, batches: Sequence[Sequence[_Asked]], told: Callable[[int], object]) -> None:
        at_once = asyncio.Semaphore(self._concurrent)
        async with session(self._concurrent, self.timeout, self.verify_certificate) as opened:

            async def answered(batch: Sequence[_Asked]) -> None:
                # Held while it waits to ask again: a server that is busy gets no further requests meanwhile.
                async with at_once:
                    await self._ask_again(opened, batch)
                told(len(batch))

            await asyncio.gather(*map(answered, batches))

    async def _ask_again(self, opened: Any, batch: Sequence[_Asked]) -> None:
        """One request, as often and with such pauses as lm-eval asks again."""
        from tenacity import retry, retry_if_not_exception_type, stop_after_attempt, wait_exponential

        options = {name: [one.options[name] for one in batch] for name in ("ctxlens",) if name in batch[0].options}
        options |= {name: batch[0].options[name] for name in ("generate", "gen_kwargs") if name in batch[0].options}
        attempt = retry(
            stop=stop_after_attempt(self.max_retries),
            wait=wait_exponential(multiplier=0.5, min=1, max=10),
            retry=retry_if_not_exception_type((NoEchoError, RefusedError, asyncio.CancelledError)),
            reraise=True,
        )(self.amodel_call)
        try:
            found = await attempt(
                session=opened, sem=asyncio.Semaphore(1), messages=[one.message for one in batch], **options
            )
        except (NoEchoError, RefusedError):
            raise
        except Exception as error:  # of whatever kind: a reading of lm-eval's fails on wrong JSON as a socket does
            raise ConnectionError(self._gave_up(error)) from error
        for one, answer in zip(batch, found, strict=True):
            self.answers.add_partial("", one.key, answer)

    def _gave_up(self, error: Exception) -> str:
        kept = "kept in memory alone; --output-path or --use-cache keep them"
        if self.answers.file is not None:
            kept = f"kept in {self.answers.file}, and the same command goes on from there"
        told = (
            f"{self.base_url}: no usable answer after {self.max_retries} attempts ({type(error).__name__}: {error}). "
            f"The {len(self.answers)} answers so far are {kept}. `--model-args max_retries=N` asks more often, "
            "`timeout=SECONDS` waits longer, `num_concurrent=N` sets how many requests are under way at a time"
        )
        arguments = {"auth_token": self.auth_token, "header": self._header, "base_url": self.base_url}
        return masked(told, secrets_among(arguments))


class ServedCompletions(Served):
    """`local-completions`: likelihoods of given tokens, and texts that go on with a prompt."""

    def tok_encode(
        self,
        string: str,
        left_truncate_len: int | None = None,
        add_special_tokens: bool | None = None,
        **_: Any,
    ) -> list[int]:
        """Token ids as lm-eval's `--model hf` makes them, so that both score the same tokens; a text has BOS once."""
        if add_special_tokens is None:
            begun = string.startswith(self.tokenizer.decode(self.prefix_token_id))
            add_special_tokens = False if begun else self.add_bos_token
        special = {} if add_special_tokens is None else {"add_special_tokens": add_special_tokens}
        found: list[int] = self.tokenizer.encode(string, **special)
        return found[-left_truncate_len:] if left_truncate_len else found

    def _message(self, prompt: Any) -> Any:
        """A text, or its tokens where a chat template has put BOS before it, which the server would put there again."""
        if self.tokenizer is None or not self.tokenizer.bos_token or not prompt.startswith(self.tokenizer.bos_token):
            return prompt
        return self.tok_encode(prompt)

    def _loglikelihood_tokens(self, requests: Sequence[Any], disable_tqdm: bool = False, **_: Any) -> list[Answer]:
        """(nats, greedy) of each request's continuation; windows of running text are asked for here too.

        Raises:
            ConnectionError: the server did not answer, however often it was asked.
            NoEchoError: it answers without the log-probabilities of what it was sent.
        """
        inputs, starts, _keys = self.batch_loglikelihood_requests([list(requests)])
        if min(starts, default=1) < 1:
            longest = max(len(tokens) for _, _, tokens in requests)
            raise ValueError(
                f"a text of {longest} tokens does not fit into max_length={self.max_length + 1}: give the server's "
                "own, `--model-args max_length=N`"
            )
        asked = [
            self._asked(tokens, {"generate": False, "ctxlens": start}, start)
            for tokens, start in zip(inputs, starts, strict=True)
        ]
        return self._answered(asked, disable_tqdm, self._batch_size)


class ServedChat(Served, LocalChatCompletion):
    """`local-chat-completions`: texts that answer a message."""

    template = "server's own"


def as_sent(given: Mapping[str, Any], default_tokens: int) -> dict[str, Any]:
    """lm-eval's generation arguments as a server has to be told them to draw as a local model does.

    What is not sent is what the server likes: llama.cpp cuts at 40 tokens and a least probability of 5% unless told
    otherwise. -1 turns `top_k` off for it as for every vLLM.
    """
    arguments = dict(normalize_gen_kwargs(dict(given), default_tokens))
    if not arguments.pop("do_sample", False):
        return {**arguments, "temperature": 0.0}
    top_k = int(arguments.pop("top_k", 0) or 0)
    return {
        "min_p": 0.0,
        **arguments,
        "temperature": float(arguments.get("temperature") or 1.0),
        "top_k": top_k if top_k > 0 else -1,
    }


def _text(prompt: Any) -> str:
    return prompt if isinstance(prompt, str) else str(prompt.prompt)
