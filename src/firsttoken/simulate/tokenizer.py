"""A small reversible tokenizer that needs no download: words, syllables, and bytes for the rest.

Text is cut into pieces as GPT-2's tokenizer does (a word with the space before it, up to three
digits, punctuation, white space).  A piece that is in the vocabulary is one token; another is
covered by its longest parts that are, and by single bytes where there are none.  English text
comes to two to three characters a token (real tokenizers: four); other scripts to one a byte.
"""

import functools
import re
from collections.abc import Iterable, Sequence

__all__ = ["BOS", "EOS", "SIZE", "WORD_IDS", "Tokenizer"]

_SPECIAL = ("<s>", "</s>", "<unk>")
BOS, EOS = 0, 1
_PIECE = re.compile(r" ?[^\W\d_]+| ?\d{1,3}| ?[^\s\w]+|_+|\s+(?!\S)|\s", re.UNICODE)

_WORDS = """
the of and to in is that it was for on are as with they be at one have this from or had by hot but
some what there we can out other were all your when up use word how said an each she which do their
time if will way about many then them would write like so these her long make thing see him two has
look more day could go come did my sound no most number who over know water than call first people
may down side been now find any new work part take get place made live where after back little only
round man year came show every good me give our under name very through just form much great think
say help low line before turn cause same mean differ move right boy old too does tell sentence set
three want air well also play small end put home read hand port large spell add even land here must
big high such follow act why ask men change went light kind off need house picture try us again
animal point mother world near build self earth father head stand own page should country found
answer school grow study still learn plant cover food sun four thought let keep eye never last door
between city tree cross since hard start might story saw far sea draw left late run while press
close night real life few stop open seem together next white children begin got walk example ease
paper often always music those both mark book letter until mile river car feet care second group
carry took rain eat room friend began idea fish mountain north once base hear horse cut sure watch
color face wood main enough plain girl usual young ready above ever red list though feel talk bird
soon body dog family direct pose leave song measure state product black short numeral class wind
question happen complete ship area half rock order fire south problem piece told knew pass farm top
whole king size heard best hour better true during hundred remember step early hold west ground
interest reach fast five sing listen six table travel less morning ten simple several vowel toward
war lay against pattern slow center love person money serve appear road map science rule govern
pull cold notice voice fall power town fine certain fly unit lead cry dark machine note wait plan
figure star box noun field rest correct able pound done beauty drive stood contain front teach week
final gave green quick develop sleep warm free minute strong special mind behind clear tail produce
fact street inch lot nothing course stay wheel full force blue object decide surface deep moon
island foot yet busy test record boat common gold possible plane age dry wonder laugh thousand ago
ran check game shape yes miss brought heat snow bed bring sit perhaps fill east weight language
among token model server request latency memory cache prompt queue batch user system assistant data
value result error metric service report default function return string number
"""
_PARTS = """
able ally ance ated ates ation ations ative ator ence ened ents ered ever fore ful ible ical ified
ines ings ings ious ised ising ists ites ities itive ized izing less lled lling ment ments ness ough
ound ours ower port press ready ross ruct ship sion sions some stand stem ster stic stract struct
ther tical ting tion tional tions tive ture ual ular ually ures ution ways where ward wise work
"""


def _vocabulary() -> list[bytes]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    vowels = "aeiou"
    consonants = [letter for letter in letters if letter not in vowels]
    syllables = [c + v + d for c in consonants for v in vowels for d in consonants]
    pairs = [a + b for a in letters for b in letters]
    words = dict.fromkeys(_WORDS.split())
    parts = _PARTS.split()
    texts = [
        *(f" {word}" for word in words),
        *words,
        *(word.capitalize() for word in words),
        *(f" {part}" for part in (*pairs, *syllables)),
        *pairs,
        *syllables,
        *parts,
    ]
    entries = [text.encode() for text in dict.fromkeys(texts) if len(text) > 1]
    return [*(text.encode() for text in _SPECIAL), *(bytes((i,)) for i in range(256)), *entries]


_BYTES = _vocabulary()
_FIRST_BYTE = len(_SPECIAL)
_IDS = {text: index for index, text in enumerate(_BYTES) if index >= _FIRST_BYTE}
_LONGEST = max(map(len, _IDS))
SIZE = len(_BYTES)
"""Number of tokens; ids are 0 to ``SIZE - 1``."""

WORD_IDS = tuple(_IDS[f" {word}".encode()] for word in dict.fromkeys(_WORDS.split()))
"""The tokens of which answers are made: common words, each with a space before it."""


@functools.lru_cache(maxsize=65536)
def _encode_piece(piece: str) -> tuple[int, ...]:
    data = piece.encode("utf-8", errors="replace")
    whole = _IDS.get(data)
    if whole is not None:
        return (whole,)
    ids = []
    start = 0
    while start < len(data):
        for end in range(min(len(data), start + _LONGEST), start, -1):
            part = _IDS.get(data[start:end])
            if part is not None:
                ids.append(part)
                start = end
                break
    return tuple(ids)


class Tokenizer:
    """Text to token ids and back; ``decode(encode(text)) == text`` for any text."""

    def encode(self, text: str, *, special: bool = True) -> list[int]:
        """Token ids; with ``special``, the token that begins a text stands first."""
        ids = [BOS] if special else []
        for piece in _PIECE.findall(text):
            ids.extend(_encode_piece(piece))
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids, without special tokens; what is no UTF-8 becomes U+FFFD."""
        return b"".join(_BYTES[i] for i in ids if i >= _FIRST_BYTE).decode(errors="replace")

    def token(self, token: int) -> str:
        """How one token is shown, special ones by name."""
        return _BYTES[token].decode(errors="replace")

    def chat(self, messages: Sequence[tuple[str, str]], *, answer: bool = True) -> list[int]:
        """Token ids of a conversation of (role, content); with ``answer``, the next one begins."""
        text = "".join(f"[{role}]\n{content}\n" for role, content in messages)
        return self.encode(text + ("[assistant]\n" if answer else ""))
