"""Texts as codes of their words, for language models over words, with a part that is held out."""

from __future__ import annotations

import hashlib
import re
import zipfile
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from sgdsim.nets.data import data_folder

__all__ = ["UNKNOWN", "WordText", "load_words"]

#: The word that stands for every word outside the vocabulary; its code is 0.
UNKNOWN = "<unk>"
NUMBER = "<number>"
HELD_OUT = 10  # every tenth document
#: Name of a text to its archive below the data folder, the documents in it, and where it comes from.
ARCHIVES = {"state-of-the-union": ("state-of-the-union/state_union.zip", r"\d{4}[^/]*\.txt$",
                                   "packages/corpora/state_union.zip of github.com/nltk/nltk_data")}
TOKEN = re.compile(r"[a-z]+(?:'[a-z]+)*|\d[\d.,]*\d|\d|[.,;:?!]")


@dataclass(frozen=True, eq=False)
class WordText:
    """A text in the codes of its own vocabulary.

    Attributes
    ----------
    name : str
    codes, held_out : ndarray of int64, shape (words,)
        The documents for training and the held-out ones, each joined in order.
    vocabulary : tuple of str
        Words by code; the first is `UNKNOWN`, the others fall in frequency.
    sha256 : str
        Checksum of the archive.
    """

    name: str
    codes: np.ndarray
    held_out: np.ndarray
    vocabulary: tuple[str, ...]
    sha256: str

    def __repr__(self) -> str:
        return (f"WordText({self.name}: {len(self.codes)} + {len(self.held_out)} words, "
                f"{len(self.vocabulary)} distinct, {self.sha256[:12]})")


@lru_cache(maxsize=4)
def load_words(name: str = "state-of-the-union", vocabulary: int = 10_000) -> WordText:
    """Read a text from the data folder (`$SGDSIM_DATA`, or `~/.cache/sgdsim/data`).

    Letters are made small. A word is a run of letters, inner apostrophes included; a full stop, comma, semicolon,
    colon, question or exclamation mark is a word of its own; every number is the same word. Documents stand in the
    order of their file names, which begin with the year, and every tenth is held out. The vocabulary is taken from
    the other nine tenths: their most frequent words, of equally frequent ones the first in the alphabet.

    Parameters
    ----------
    name : str
    vocabulary : int
        Distinct words at most, the unknown word included; at least 2.

    Raises
    ------
    ValueError
        Unknown name, a vocabulary below 2, or an archive without documents.
    FileNotFoundError
        Names the folder that was looked in and what to do.
    """
    if name not in ARCHIVES:
        raise ValueError(f"name is {name!r}; allowed: {', '.join(ARCHIVES)}")
    if vocabulary < 2:
        raise ValueError(f"vocabulary is {vocabulary}; allowed: at least 2")
    file, pattern, origin = ARCHIVES[name]
    path = data_folder() / file
    if not path.is_file():
        raise FileNotFoundError(f"text {name!r} is not in {data_folder()} (set SGDSIM_DATA to another folder): "
                                f"{path.name} belongs in {path.parent.name} there; it is {origin}")
    with zipfile.ZipFile(path) as archive:
        members = sorted(member for member in archive.namelist() if re.search(pattern, member))
        documents = [_words(archive.read(member).decode("latin-1")) for member in members]
    if len(documents) < HELD_OUT:
        raise ValueError(f"{path.name} in {path.parent} has {len(documents)} documents; allowed: at least {HELD_OUT}")
    held_out = [word for document in documents[HELD_OUT - 1 :: HELD_OUT] for word in document]
    training = [word for k, document in enumerate(documents) if (k + 1) % HELD_OUT for word in document]
    ranked = sorted(Counter(training).items(), key=lambda item: (-item[1], item[0]))
    words = (UNKNOWN, *(word for word, _ in ranked[: vocabulary - 1]))
    code = {word: k for k, word in enumerate(words)}
    codes, rest = (np.array([code.get(word, 0) for word in part], dtype=np.int64) for part in (training, held_out))
    return WordText(name, codes, rest, words, hashlib.sha256(path.read_bytes()).hexdigest())


def _words(document: str) -> list[str]:
    return [NUMBER if token[0].isdigit() else token for token in TOKEN.findall(document.lower())]
