"""Prompts of a wanted number of tokens, each unlike the others from its first words on.

Words that are one token each, alone and beside each other, make the count exact: the server's
``/tokenize`` (vLLM) or the model's ``tokenizer.json`` says which those are.  Without either, a
common English word is taken as one token, and the server's usage says what it was.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from firsttoken.errors import ConfigError, NotJudgedError, UsageError
from firsttoken.loadgen.client import Client
from firsttoken.loadgen.dialect import DIALECTS, Ask
from firsttoken.loadgen.plan import Chat, Planned, Text, TokenIds
from firsttoken.loadgen.settings import LoadFile
from firsttoken.loadgen.words import Words

__all__ = [
    "CANDIDATES",
    "Message",
    "Prompts",
    "Vocabulary",
    "counter",
    "learn",
    "single_token_words",
]

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Message = Mapping[str, Any]

LEAD = "Text:"
"""Every text starts with it, so that each word after it has a space before it."""

_encode = json.JSONEncoder(separators=(",", ":")).encode
_REPEAT = 3
_LONGEST_WORD = 16  # tokens
_WORDS_MIN = 8
_TRIALS = (24, 160)

_WORDS = """
the of and to in is it that was for on are as with be at one have this from by not but what all
were when we there can an your which their said if do will each about how up out them then she
many some so these would other into has more her two like him see time could no make than first
been its who now people my made over did down only way find use may water long little very
after words called just where most know get through back much go good new write our me man too
any day same right look think also around another came come work three must because does part
even place well such here take why help put different away again off went old number great tell
men say small every found still between name should home big give air line set own under read
last never us left end along while might next sound below saw something thought both few those
always show large often together asked house world going want school important until form food
keep children feet land side without boy once animal life enough took four head above kind began
almost live page got earth need far hand high year mother light country father let night picture
being study second soon story since white ever paper hard near sentence better best across
during today however sure knew trying young sun thing whole hear example heard several change
answer room sea against top turned learn point city play toward five himself usually money seen
value model test data state system line file text list type code user key run
"""
CANDIDATES = tuple(dict.fromkeys(_WORDS.split()))


@dataclasses.dataclass(frozen=True, slots=True)
class Vocabulary:
    """Words to write prompts with; ``overhead`` is what a prompt has besides them, in tokens.

    ``ids`` are the words' token ids, where they are known and may be sent as the prompt.
    """

    words: tuple[str, ...]
    ids: tuple[int, ...] | None
    overhead: int
    source: Literal["server", "tokenizer", "estimate"]


class Prompts:
    """Writes request bodies; ``nonce`` makes one run's texts unlike another's.

    Without it a second run of the same seed would find its prompts in the server's prefix cache.
    """

    def __init__(self, load: LoadFile, model: str, vocabulary: Vocabulary, nonce: str) -> None:
        self._load = load
        self._vocabulary = vocabulary
        key = f"{load.seed}:{nonce}"
        self._words = Words(len(vocabulary.words), vocabulary.overhead, key)
        self._pieces = [f" {word}" for word in vocabulary.words]
        self._model, self._dialect = model, DIALECTS[load.api]

    def body(self, planned: Planned, before: Sequence[Message] = ()) -> bytes:
        """The body of a planned request; ``before`` is the conversation until then."""
        load = self._load
        chat = load.api == "chat"
        prompt = [*before, *self.messages(planned)] if chat else self._prompt(planned)
        model, tokens = planned.model or self._model, planned.output_tokens
        data = self._dialect.body(Ask(model, prompt, tokens, load.stream, load.ignore_eos))
        if load.priority is not None:
            data["priority"] = load.priority
        data.update({**load.extra_body, **planned.extra_body})
        # null takes a key out, for servers that refuse what they do not know.
        data = {key: value for key, value in data.items() if value is not None}
        return _encode(data).encode()

    def messages(self, planned: Planned) -> list[Message]:
        """What a request adds to its conversation."""
        prompt = planned.prompt
        match prompt:
            case Chat(messages=messages):
                return list(messages)
            case Text(text=text):
                return [{"role": "user", "content": text}]
            case TokenIds():
                raise UsageError("token ids as a prompt need api: completions")
        words = self._words.of(prompt, planned.index, first=planned.turn == 0)
        return [{"role": "user", "content": self._text(words)}]

    def _prompt(self, planned: Planned) -> str | list[int]:
        prompt = planned.prompt
        match prompt:
            case Text(text=text):
                return text
            case TokenIds(ids=ids):
                return list(ids)
            case Chat():
                raise UsageError("messages as a prompt need api: chat")
        words = self._words.of(prompt, planned.index)
        known = self._vocabulary.ids
        return self._text(words) if known is None else [known[word] for word in words]

    def _text(self, words: Sequence[int]) -> str:
        return LEAD + "".join([self._pieces[word] for word in words])


async def learn(client: Client, load: LoadFile, model: str) -> Vocabulary:
    """The vocabulary to write prompts with, learnt before the run.

    Raises ConfigError for a tokenizer file that cannot be used.
    """
    if load.tokenizer is not None:
        return _from_file(load.tokenizer, ids=_as_ids(load))
    found = await _from_server(client, load, model)
    return found or Vocabulary(CANDIDATES, None, len(LEAD.split()), "estimate")


def single_token_words(tokens: Sequence[int], words: Sequence[str]) -> dict[str, int]:
    """Which words are one token, and which: ``tokens`` is every word thrice, one after another."""
    found: dict[str, int] = {}
    at = 0
    for word in words:
        for size in range(1, _LONGEST_WORD + 1):
            first, second, third = (
                tokens[at + turn * size : at + (turn + 1) * size] for turn in range(_REPEAT)
            )
            if len(third) == size and first == second == third:
                break
        else:
            return found  # a word that joins with its neighbours: what follows cannot be told
        if size == 1:
            found[word] = tokens[at]
        at += size * _REPEAT
    return found


def _trial_text(words: Sequence[str]) -> str:
    return LEAD + "".join((" " + word) * _REPEAT for word in words)


def _known(lead: Sequence[int], tokens: Sequence[int]) -> dict[str, int]:
    if list(tokens[: len(lead)]) != list(lead):
        return {}
    return single_token_words(tokens[len(lead) :], CANDIDATES)


def counter(load: LoadFile) -> Callable[[str], int] | None:
    """Counts the tokens of a text, where the load names a tokenizer.  Raises ConfigError."""
    if load.tokenizer is None:
        return None
    tokenizer = _tokenizer(load.tokenizer)
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _as_ids(load: LoadFile) -> bool:
    return load.token_ids and load.api in {"completions", "llamacpp"}


def _from_file(path: Path, *, ids: bool) -> Vocabulary:
    tokenizer = _tokenizer(path)
    lead, tokens = (
        tokenizer.encode(text, add_special_tokens=False).ids
        for text in (LEAD, _trial_text(CANDIDATES))
    )
    known = _known(lead, tokens)
    if len(known) < _WORDS_MIN:
        raise ConfigError(path, ["too few common words are one token in it"])
    if ids:
        return Vocabulary(tuple(known), tuple(known.values()), 0, "tokenizer")
    whole = tokenizer.encode(LEAD, add_special_tokens=True).ids
    return Vocabulary(tuple(known), None, len(whole), "tokenizer")


def _tokenizer(path: Path) -> "Tokenizer":
    try:
        from tokenizers import Tokenizer  # only this setting needs it
    except ImportError:
        raise NotJudgedError("tokenizer: pip install 'firsttoken[loadgen]' is needed") from None
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        return _from_hub(file)
    try:
        return Tokenizer.from_file(str(file))
    except Exception as exc:  # noqa: BLE001 (the library raises plain Exception)
        raise ConfigError(file, [f"not a tokenizer.json: {exc}"]) from None


def _from_hub(name: Path) -> "Tokenizer":
    """What is no file may be a model's id at the hub, such as ``org/model``."""
    from tokenizers import Tokenizer

    problem = "no such tokenizer.json"
    if name.suffix != ".json" and not name.is_absolute() and len(name.parts) == 2:
        try:
            return Tokenizer.from_pretrained(str(name))
        except Exception as exc:  # noqa: BLE001 (the library raises plain Exception)
            problem = f"neither a tokenizer.json nor a model at the hub: {str(exc).splitlines()[0]}"
    raise ConfigError(name, [problem])


async def _from_server(client: Client, load: LoadFile, model: str) -> Vocabulary | None:
    """What the server's ``/tokenize`` teaches; None where it has none or counts otherwise."""
    plain = {"model": model, "add_special_tokens": False}
    lead = await _tokenize(client, {**plain, "prompt": LEAD})
    tokens = await _tokenize(client, {**plain, "prompt": _trial_text(CANDIDATES)})
    known = _known(lead or [], tokens or [])
    if not lead or len(known) < _WORDS_MIN:
        return None
    if _as_ids(load):
        return Vocabulary(tuple(known), tuple(known.values()), 0, "server")
    words = tuple(known)
    overheads = set()
    # What the chat template, or the tokenizer, adds; and that words add up within it.
    for count in _TRIALS:
        text = LEAD + "".join(" " + words[number % len(words)] for number in range(count))
        asked: dict[str, Any] = {"prompt": text}
        if load.api == "chat":
            asked = {"messages": [{"role": "user", "content": text}]}
        counted = await _tokenize(client, {"model": model, **asked})
        overheads.add(len(counted) - count if counted else None)
    overhead = overheads.pop()
    if overheads or overhead is None or overhead < 0:
        return None
    return Vocabulary(words, None, overhead, "server")


async def _tokenize(client: Client, question: dict[str, Any]) -> list[int] | None:
    try:
        status, body = await client.fetch("POST", "/tokenize", json.dumps(question).encode())
        tokens = json.loads(body)["tokens"] if status == 200 else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    valid = isinstance(tokens, list) and all(isinstance(token, int) for token in tokens)
    return tokens if valid else None
