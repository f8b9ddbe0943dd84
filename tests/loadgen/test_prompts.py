"""Prompts have the wanted number of tokens where it can be known, and share no beginning."""

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from firsttoken.errors import ConfigError
from firsttoken.loadgen.client import Client
from firsttoken.loadgen.plan import Planned, Synthetic
from firsttoken.loadgen.prompts import (
    CANDIDATES,
    LEAD,
    Prompts,
    Vocabulary,
    learn,
    single_token_words,
)
from firsttoken.loadgen.settings import LoadFile

TEMPLATE = 11
"""Tokens that the made-up chat template adds."""


def pieces(text: str) -> list[int]:
    """A made-up tokenizer: words of up to four letters are one token, others one a letter."""
    out: list[int] = []
    for word in text.split():
        out += [hash(word) % 10**9] if len(word) <= 4 else [ord(letter) for letter in word]
    return out


def tokenize(body: dict[str, Any]) -> dict[str, Any]:
    if "messages" in body:
        content = body["messages"][0]["content"]
        return {"tokens": [0] * TEMPLATE + pieces(content)}
    return {"tokens": pieces(body["prompt"])}


def vocabulary(fake: Any, load: LoadFile) -> Vocabulary:
    async def work() -> Vocabulary:
        return await learn(Client(fake.url, {}), load, "tiny")

    return asyncio.run(work())


async def never(stream: Any, body: dict[str, Any]) -> None:
    raise AssertionError("no completion was to be asked for")


def bodies(load: LoadFile, known: Vocabulary, sizes: Sequence[int]) -> list[dict[str, Any]]:
    prompts = Prompts(load, "tiny", known, "nonce")
    shared = load.shared_prefix_tokens
    return [
        json.loads(prompts.body(Planned(Synthetic(size, shared), 5, index=index)))
        for index, size in enumerate(sizes)
    ]


def test_chat_prompts_are_exact_where_the_server_tokenizes(serve: Callable[..., Any]) -> None:
    fake = serve(never)
    fake.others["/tokenize"] = tokenize
    load = LoadFile()
    known = vocabulary(fake, load)
    assert known.source == "server"
    assert all(len(word) <= 4 for word in known.words)
    sizes = [40, 100, 1000]
    for size, body in zip(sizes, bodies(load, known, sizes), strict=True):
        assert len(tokenize(body)["tokens"]) == size


def test_completion_prompts_are_token_ids_where_they_are_known(serve: Callable[..., Any]) -> None:
    fake = serve(never)
    fake.others["/tokenize"] = tokenize
    load = LoadFile(api="completions")
    known = vocabulary(fake, load)
    (body,) = bodies(load, known, [77])
    assert len(body["prompt"]) == 77
    assert set(body["prompt"]) <= set(known.ids or ())


@pytest.mark.parametrize(
    "answer",
    [
        {"tokens": []},
        {"tokens": "x"},
        {"count": 5},
        {"tokens": [1] * 9},
    ],
)
def test_a_tokenizer_that_makes_no_sense_is_not_used(
    serve: Callable[..., Any], answer: dict[str, Any]
) -> None:
    fake = serve(never)
    fake.others["/tokenize"] = lambda _: answer
    assert vocabulary(fake, LoadFile()).source == "estimate"


def test_a_template_that_changes_words_is_not_trusted(serve: Callable[..., Any]) -> None:
    def doubling(body: dict[str, Any]) -> dict[str, Any]:
        found = tokenize(body)["tokens"]
        return {"tokens": found * 2 if "messages" in body else found}

    fake = serve(never)
    fake.others["/tokenize"] = doubling
    assert vocabulary(fake, LoadFile()).source == "estimate"


def test_without_a_tokenizer_a_word_is_taken_as_a_token(serve: Callable[..., Any]) -> None:
    load = LoadFile()
    known = vocabulary(serve(never), load)
    assert known.source == "estimate"
    (body,) = bodies(load, known, [50])
    assert len(body["messages"][0]["content"].split()) == 50


def tokenizer_file(tmp_path: Path, words: Sequence[str]) -> Path:
    ids = {word: number for number, word in enumerate(["[UNK]", *words])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def test_a_tokenizer_file_makes_ids_without_the_server(
    serve: Callable[..., Any], tmp_path: Path
) -> None:
    file = tokenizer_file(tmp_path, [LEAD, *CANDIDATES])
    load = LoadFile(api="completions", tokenizer=tmp_path)
    known = vocabulary(serve(never), load)
    assert (known.source, known.words) == ("tokenizer", CANDIDATES)
    tokenizer = Tokenizer.from_file(str(file))
    (body,) = bodies(load, known, [30])
    assert [tokenizer.id_to_token(one) in CANDIDATES for one in body["prompt"]] == [True] * 30


def test_a_file_that_is_no_tokenizer_is_an_error(serve: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    for path in (tmp_path / "none.json", tmp_path / "tokenizer.json"):
        with pytest.raises(ConfigError, match=r"json"):
            vocabulary(serve(never), LoadFile(tokenizer=path))


KNOWN = Vocabulary(CANDIDATES, tuple(range(len(CANDIDATES))), 0, "server")


def test_prompts_differ_from_their_first_words_on() -> None:
    load = LoadFile(api="completions")
    starts = {tuple(body["prompt"][:16]) for body in bodies(load, KNOWN, [64] * 200)}
    assert len(starts) == 200


def test_another_run_of_the_same_seed_has_other_texts_of_the_same_lengths() -> None:
    load = LoadFile(api="completions")
    one, other = (
        json.loads(Prompts(load, "m", KNOWN, nonce).body(Planned(Synthetic(64), 5)))["prompt"]
        for nonce in ("a", "b")
    )
    assert one != other
    assert len(one) == len(other)


def test_a_shared_prefix_is_shared_and_the_rest_is_not() -> None:
    load = LoadFile(api="completions", shared_prefix_tokens=32)
    prompts = [body["prompt"] for body in bodies(load, KNOWN, [64] * 50)]
    assert len({tuple(prompt[:32]) for prompt in prompts}) == 1
    assert len({tuple(prompt[32:48]) for prompt in prompts}) == 50
    assert {len(prompt) for prompt in prompts} == {64}
    (short,) = bodies(load, KNOWN, [10])
    assert len(short["prompt"]) == 10


def test_words_of_one_token_are_found_among_longer_ones() -> None:
    tokens = [1, 1, 1, 7, 8, 7, 8, 7, 8, 2, 2, 2]
    assert single_token_words(tokens, ["a", "long", "b"]) == {"a": 1, "b": 2}
    # What joins with its neighbours ends the search: nothing after it can be told apart.
    assert single_token_words([1, 1, 1, 5, 6, 2, 2, 2], ["a", "joined", "b"]) == {"a": 1}


def trained(kind: str) -> Tokenizer:
    """A tokenizer as one family of models has it, learnt from common words and rarer ones."""
    rare = [f"{word}{ending}" for word in CANDIDATES for ending in ("ing", "ness", "-x7")]
    text = [
        " ".join(CANDIDATES),
        " ".join(rare),
        "Text: What? It's 42 (of 1,000), naïve & 日本",
    ] * 8
    match kind:
        case "byte-level BPE":
            tokenizer = Tokenizer(models.BPE())
            tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            alphabet = pre_tokenizers.ByteLevel.alphabet()
            trainer: Any = trainers.BpeTrainer(vocab_size=900, initial_alphabet=alphabet)
        case "BPE of pieces with spaces":
            tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
            trainer = trainers.BpeTrainer(vocab_size=900, special_tokens=["<unk>", "<s>"])
        case "WordPiece":
            tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
            tokenizer.normalizer = normalizers.BertNormalizer()
            tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
            special = ["[UNK]", "[CLS]", "[SEP]"]
            trainer = trainers.WordPieceTrainer(vocab_size=900, special_tokens=special)
        case _:
            tokenizer = Tokenizer(models.Unigram())
            tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
            special = ["<unk>", "<s>"]
            trainer = trainers.UnigramTrainer(
                vocab_size=700, special_tokens=special, unk_token="<unk>"
            )
    trainer.show_progress = False
    tokenizer.train_from_iterator(text, trainer)
    return tokenizer


@pytest.mark.parametrize("special", ["none", "before", "around"])
@pytest.mark.parametrize(
    "kind", ["byte-level BPE", "BPE of pieces with spaces", "WordPiece", "Unigram"]
)
def test_a_text_has_the_tokens_that_were_asked_for_in_each_tokenizer_s_own_count(
    serve: Callable[..., Any], tmp_path: Path, kind: str, special: str
) -> None:
    tokenizer = trained(kind)
    tokenizer.add_special_tokens(["<begin>", "<end>"])
    if special != "none":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<begin> $A" + (" <end>" if special == "around" else ""),
            special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("<begin>", "<end>")],
        )
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    load = LoadFile.model_validate(
        {"api": "completions", "tokenizer": str(file), "token_ids": False, "prompt_tokens": 16}
    )
    known = vocabulary(serve(never), load)
    sizes = [*range(known.overhead + 1, 80), 500, 3000]
    texts = [body["prompt"] for body in bodies(load, known, sizes)]

    assert known.source == "tokenizer"
    assert [len(tokenizer.encode(text).ids) for text in texts] == sizes
    assert len({text.split()[1] for text in texts[:8]}) > 1
