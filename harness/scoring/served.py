"""Models behind an API: which tasks they can be asked, whether the server is there, and how it calls itself."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from harness.scoring.task_files import Selection, leaves
from harness.storage.answers import Answers
from harness.storage.provenance import Server
from harness.storage.reading import brief_name, parse_json
from harness.storage.results import results_place
from harness.terminal.nearest import did_you_mean
from harness.terminal.secrets import hide_in_logs, masked, secrets_among, shown_url, without_secrets

if TYPE_CHECKING:
    from lm_eval.config.evaluate_config import EvaluatorConfig

    from harness.models.served import Served

COMPLETIONS, CHAT = "local-completions", "local-chat-completions"
SERVED_MODELS = (COMPLETIONS, CHAT)
# Where servers tell their version, and under which key: vLLM, llama.cpp, Ollama, TGI.
_VERSIONS = (
    ("vLLM", "/version", "version"),
    ("llama.cpp", "/props", "build_info"),
    ("Ollama", "/api/version", "version"),
    ("TGI", "/info", "version"),
)
_PATIENCE = 10  # seconds, for questions that cost a server nothing
log = logging.getLogger(__name__)


class Askable(NamedTuple):
    """The tasks of a run by what they ask for."""

    likelihoods: tuple[str, ...]
    texts: tuple[str, ...]


def prepare(config: EvaluatorConfig) -> None:
    """Complete the model arguments, and keep what is secret out of what tasks are told and results say.

    Raises:
        ValueError: no model or no URL is named.
    """
    arguments = dict(config.model_args)
    arguments["model"] = arguments.get("model") or arguments.pop("pretrained", None)
    arguments.pop("pretrained", None)
    end = "/v1/completions" if config.model == COMPLETIONS else "/v1/chat/completions"
    for name, example in (("model", "NAME, as the server calls it"), ("base_url", f"http://127.0.0.1:8000{end}")):
        if not arguments.get(name):
            raise ValueError(f"--model {config.model}: --model-args {name}=...: which? For example {name}={example}")
    path = urlsplit(str(arguments["base_url"])).path
    if not path.endswith("/completions") or path.endswith("/chat/completions") != (config.model == CHAT):
        raise ValueError(f"--model-args base_url={shown_url(arguments['base_url'])}: expected a URL that ends in {end}")
    told = {name: value for name, value in config.metadata.items() if name != "pretrained"}
    told["tokenizer"] = told.get("tokenizer") or arguments["model"]  # as lm-eval has it
    config.model_args, config.metadata = arguments, without_secrets({**told, "model": arguments["model"]})


def askable(model: str, selection: Selection, metadata: Mapping[str, Any]) -> Askable:
    """What the tasks ask for.

    Raises:
        ValueError: tasks that the API cannot be asked; names them, and those that it can.
    """
    kinds = {name: _kind(name, selection.manager, metadata) for name in leaves(selection)}
    found = Askable(
        tuple(name for name, kind in kinds.items() if kind == "likelihood"),
        tuple(name for name, kind in kinds.items() if kind == "text"),
    )
    refused = {name: kind for name, kind in kinds.items() if kind not in ("likelihood", "text")}
    if model == CHAT:
        refused |= dict.fromkeys(found.likelihoods, "asks for likelihoods, and a chat gives texts alone")
    if not refused:
        return found
    able = [name for name in kinds if name not in refused]
    other = f"; --model {COMPLETIONS} gives likelihoods where the server echoes them" if found.likelihoods else ""
    raise ValueError(
        f"--model {model} cannot be asked "
        + ", ".join(f"{name} ({why})" for name, why in refused.items())
        + f". {'It can be asked ' + ', '.join(able) if able else 'Of these tasks it can be asked none'}{other}. "
        "Nothing was sent"
    )


def _kind(name: str, manager: Any, metadata: Mapping[str, Any]) -> str:
    """likelihood, text, or why neither."""
    from lm_eval.tasks._yaml_loader import load_yaml

    entry = manager.task_index.get(name)
    file = entry.yaml_path if entry else Path(name)
    told = load_yaml(file, resolve_func=False) if file and file.is_file() else {}
    if str(told.get("class", "")).endswith("GivenTokensTask"):
        return "asks for single hidden tokens, which masked models alone have"
    if (told.get("dataset_kwargs") or {}).get("held_out") and not metadata.get("split"):
        return "asks for the pairs that a checkpoint never saw, which no server tells; --metadata split=FILE names them"
    return "text" if told.get("output_type") == "generate_until" else "likelihood"


def connect(config: EvaluatorConfig, selection: Selection) -> Served:
    """A client of the server, once it is known to answer, and to echo log-probabilities where a task needs them.

    Answers that are kept on disk are taken from there: `--use-cache` names the file's beginning; without it they lie
    beside the results until these are written.

    Raises:
        ValueError: the tasks cannot be asked, the tokenizer cannot be had, or the server refuses the key.
        ConnectionError: no server answers.
        RuntimeError: a package of the extra `api` is missing.
    """
    asked = askable(config.model, selection, config.metadata)
    secrets = secrets_among(config.model_args)
    hide_in_logs(secrets, "lm_eval.models.api_models", "lm_eval.models.openai_completions", "asyncio")
    lm = _client(config, tokens_wanted=bool(asked.likelihoods))
    if not lm.verify_certificate:
        log.warning(
            "%s: its certificate is not checked (verify_certificate=false): whoever sits between reads every prompt "
            "and the key",
            shown_url(str(lm.base_url)),
        )
    lm.server = find_server(lm)
    if asked.likelihoods:
        _require_echo(lm, asked, secrets)
    lm.answers = Answers(_file(config))
    if len(lm.answers):
        log.info("%s: %d answers of an earlier run, which are not asked for again", lm.answers.file, len(lm.answers))
    config.model_args = without_secrets(config.model_args)  # lm-eval writes them into its results
    return lm


def find_server(lm: Served) -> Server:
    """How the server calls itself, as far as it says.

    Raises:
        ConnectionError: nothing answers at the URL, or not that server, or without end.
        ValueError: it refuses the key.
    """
    import requests

    from harness.models.transport import get

    root = str(lm.base_url).partition("/v1/")[0]

    def told(path: str) -> Any:
        status, body = get(root + path, lm.header, _PATIENCE, lm.verify_certificate)
        if status in (401, 403) and path == "/v1/models":
            raise ValueError(
                f"{shown_url(root)} refuses the key (HTTP {status}): put it into the environment as "
                "OPENAI_API_KEY, which is never written down"
            )
        try:
            return parse_json(body.decode(), root) if status < 400 else None
        except ValueError:
            return None

    try:
        listed = _listed(told("/v1/models"), lm.model)
        for name, path, key in _VERSIONS:
            found = told(path)
            if isinstance(found, Mapping) and isinstance(version := found.get(key), str):
                return Server(name=name, version=brief_name(version), base_url=shown_url(lm.base_url), **listed)
    except requests.RequestException as error:
        raise ConnectionError(
            f"{shown_url(root)}: no server answers ({type(error).__name__}). Start it first, or mend base_url in "
            "--model-args; docs/served.md has the commands"
        ) from error
    return Server(base_url=shown_url(lm.base_url), **listed)


def _listed(models: Any, name: str) -> dict[str, Any]:
    """What the list of models says of this one; llama.cpp tells its size and format."""
    entries = models.get("data") if isinstance(models, Mapping) else None
    known = [entry for entry in entries or () if isinstance(entry, Mapping)]
    ours = next((entry for entry in known if entry.get("id") == name), None)
    if known and ours is None:
        log.warning("the server lists %s, not %s", ", ".join(str(entry.get("id")) for entry in known), name)
    about = ours.get("meta") if ours else None
    about = about if isinstance(about, Mapping) else {}
    size, kind = about.get("n_params"), about.get("ftype")
    return {
        "parameters": size if isinstance(size, int) else None,
        "format": kind if isinstance(kind, str) else None,
    }


def _client(config: EvaluatorConfig, tokens_wanted: bool) -> Served:
    from importlib.util import find_spec

    if missing := [name for name in ("aiohttp", "requests", "tenacity") if find_spec(name) is None]:
        raise RuntimeError(f"--model {config.model} needs {', '.join(missing)}: pip install 'lm-stereoscope[api]'")
    from harness.models.served import ServedChat, ServedCompletions

    arguments = {"batch_size": config.batch_size or 1, **config.model_args}
    client = ServedChat if config.model == CHAT else ServedCompletions
    known = {name for one in client.__mro__ for name in signature(one.__init__).parameters} - {"self", "kwargs"}
    for name in arguments.keys() - known:  # which lm-eval would pass over
        raise ValueError(f"--model {config.model} has no argument {name!r}{did_you_mean(name, known)}")
    if config.model == CHAT:
        return ServedChat(**{**arguments, "tokenizer_backend": None, "tokenizer": None})
    if not tokens_wanted and not arguments.get("tokenizer"):
        return ServedCompletions(**{**arguments, "tokenizer_backend": None})
    arguments["tokenizer"] = arguments.get("tokenizer") or config.metadata["tokenizer"]
    try:
        return ServedCompletions(**{**arguments, "tokenizer_backend": "huggingface"})
    except OSError as error:
        raise ValueError(
            f"likelihoods need the served model's own tokenizer here, and {arguments['tokenizer']} has none: give "
            "--model-args tokenizer=FOLDER, or a hub id"
        ) from error


def _require_echo(lm: Served, asked: Askable, secrets: frozenset[str]) -> None:
    """Ask for one likelihood before anything else: only an answer tells whether a server echoes."""
    from lm_eval.api.instance import Instance

    from harness.models.echoed import NoEchoError

    probe = Instance(request_type="loglikelihood", doc={}, arguments=("The sky", " is blue."), idx=0)
    try:
        lm.loglikelihood([probe], disable_tqdm=True)
    except NoEchoError as error:
        rest = f" Without them it can be asked {', '.join(asked.texts)}." if asked.texts else ""
        raise ValueError(
            f"{shown_url(lm.base_url)} gives no log-probabilities of given text, which {', '.join(asked.likelihoods)} "
            f"ask for ({masked(str(error), secrets)}). vLLM gives them; llama.cpp and Ollama do not.{rest} A GGUF file "
            "itself is scored by --model hf-causal --model-args pretrained=FOLDER,gguf_file=NAME"
        ) from error


def _file(config: EvaluatorConfig) -> Path | None:
    """Where answers are kept: a name for each model and URL, so that no server is taken for another."""
    told = f"{config.model} {config.model_args['model']} {config.model_args['base_url']}"
    name = hashlib.sha256(told.encode()).hexdigest()[:16]
    if config.use_cache:
        return Path(f"{config.use_cache}_{name}.sqlite")
    if not config.output_path:
        return None
    return results_place(config.output_path)[0] / f"answers_{name}.sqlite"
