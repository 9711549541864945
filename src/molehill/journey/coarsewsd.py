"""A reader for the folder format of CoarseWSD-20: one ambiguous word, its senses, sentences.

One folder holds one word:

    classes_map.txt   {"0": "mole_mole_(animal)", "1": ...}   sense number -> sense name
    train.data.txt    index <TAB> sentence, one use of the word a line
    train.gold.txt    the sense number of the same line
    test.data.txt, test.gold.txt

The index counts words parted by any white space, a no-break space included. (Parting at the plain
space alone, as the data set's own note suggests, misplaces three lines of the published files.)

The format is that of Loureiro, Rezaee, Pilehvar and Camacho-Collados, "Language Models and Word
Sense Disambiguation: An Overview and Analysis" (arXiv 2008.11608), section 3. This module reads
files into records; it knows nothing of models, tokens or scores.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from molehill.errors import TextError

__all__ = ["SenseWord", "Use", "is_sense_word", "read_sense_word", "read_sense_words"]

# The published files spell it classes_map.txt; the note that comes with them says class_map.txt.
_MAP_NAMES = ("classes_map.txt", "class_map.txt")


@dataclass(frozen=True, slots=True)
class Use:
    """One use of the word: a sentence, where the word stands in it, and which sense it has."""

    sentence: str
    index: int
    """The word's number among the words of the sentence, from 0."""
    start: int
    end: int
    """The characters `sentence[start:end]` are the word."""
    label: int
    """The number of the sense: an index into `SenseWord.senses`."""

    @property
    def surface(self) -> str:
        """The word as it is written in the sentence."""
        return self.sentence[self.start : self.end]


@dataclass(frozen=True, slots=True)
class SenseWord:
    """An ambiguous word with its senses, the uses to learn from and the uses to be scored on."""

    word: str
    senses: tuple[str, ...]
    """The senses' names as stored, for example `mole_mole_(animal)`, in the order of labels."""
    train: tuple[Use, ...]
    test: tuple[Use, ...]

    @property
    def titles(self) -> tuple[str, ...]:
        """The senses' names for a reader: `mole_mole_(animal)` becomes `mole (animal)`."""
        return tuple(_title(name, self.word) for name in self.senses)


def is_sense_word(folder: str | Path) -> bool:
    """Whether a folder holds one word, and not folders of words."""
    return any((Path(folder) / name).is_file() for name in _MAP_NAMES)


def read_sense_word(folder: str | Path) -> SenseWord:
    """Read one word's folder; the folder's name is the word.

    Raises:
        TextError: a file is missing or is not UTF-8, or a line does not hold what it should; the
            message names the file, the line and the remedy.
    """
    folder = _there(folder)
    senses = _read_senses(folder)
    return SenseWord(
        word=folder.name,
        senses=senses,
        train=_read_split(folder, "train", len(senses)),
        test=_read_split(folder, "test", len(senses)),
    )


def read_sense_words(root: str | Path) -> tuple[SenseWord, ...]:
    """Read every word's folder under `root`, in alphabetical order.

    Raises:
        TextError: there is no such folder, no word in it, or one that cannot be read.
    """
    root = _there(root)
    folders = sorted(path.parent for name in _MAP_NAMES for path in root.glob(f"*/{name}"))
    if not folders:
        raise TextError(
            f"{root} holds no word: no folder in it has a {_MAP_NAMES[0]}. "
            "Give the folder that holds one folder for each word."
        )
    return tuple(read_sense_word(folder) for folder in folders)


def _there(path: str | Path) -> Path:
    path = Path(path)
    if path.is_dir():
        return path
    what = "is a file" if path.exists() else "does not exist"
    raise TextError(
        f"{path} {what}: give one word's folder, or a folder of such folders. CoarseWSD-20 is not "
        "shipped with Molehill (its licence is CC BY-NC 4.0); its authors, Loureiro et al. (2021), "
        "publish it on GitHub in danlou/bert-disambiguation."
    )


def _title(name: str, word: str) -> str:
    return name.removeprefix(f"{word}_").replace("_", " ")


def _read_senses(folder: Path) -> tuple[str, ...]:
    path = next((p for n in _MAP_NAMES if (p := folder / n).is_file()), folder / _MAP_NAMES[0])
    text = _read_text(path).strip()
    # Some published maps end with a full stop behind the closing brace.
    if text.endswith("}."):
        text = text[:-1]
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise TextError(
            f'{path} is not JSON ({error}); it must read {{"0": "sense", ...}}.'
        ) from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
        raise TextError(f'{path} must map sense numbers to names, as in {{"0": "mole (animal)"}}.')
    expected = [str(number) for number in range(len(found))]
    if len(found) < 2 or sorted(found) != sorted(expected):
        raise TextError(
            f"{path} has the sense numbers {sorted(found)}; "
            f"they must be two or more and run from 0 without a gap."
        )
    return tuple(found[number] for number in expected)


def _read_split(folder: Path, split: str, n_senses: int) -> tuple[Use, ...]:
    data, gold = folder / f"{split}.data.txt", folder / f"{split}.gold.txt"
    lines, labels = _read_lines(data), _read_lines(gold)
    if len(lines) != len(labels):
        raise TextError(
            f"{data} has {len(lines)} lines and {gold} has {len(labels)}; "
            "every sentence needs the number of its sense on the same line."
        )
    return tuple(
        _use(folder.name, line, f"{data} line {number}", _label(label, n_senses, gold, number))
        for number, (line, label) in enumerate(zip(lines, labels, strict=True), start=1)
    )


def _label(text: str, n_senses: int, path: Path, number: int) -> int:
    text = text.strip()
    if not _is_number(text) or int(text) >= n_senses:
        raise TextError(
            f"{path} line {number} is {_clip(text)}; "
            f"it must be the number of a sense, from 0 to {n_senses - 1}."
        )
    return int(text)


def _use(word: str, line: str, place: str, label: int) -> Use:
    index, tab, sentence = line.partition("\t")
    if not tab or not _is_number(index):
        raise TextError(
            f"{place} is {_clip(line)}; it must be the word's index, a tab and the sentence."
        )
    spans = [match.span() for match in re.finditer(r"\S+", sentence)]
    if int(index) >= len(spans):
        raise TextError(
            f"{place} has the index {index}, but its sentence has {len(spans)} words "
            "(counted from 0, parted by white space)."
        )
    start, end = spans[int(index)]
    if sentence[start:end].casefold() != word.casefold():
        raise TextError(
            f"{place}: word {index} is {_clip(sentence[start:end])}, not {word!r}; "
            "the index must point at the word that the folder is named after."
        )
    return Use(sentence=sentence, index=int(index), start=start, end=end, label=label)


def _read_lines(path: Path) -> list[str]:
    """The lines of a file, split at line feeds only: a sentence may hold other line separators."""
    text = _read_text(path)
    lines = text.removesuffix("\n").split("\n") if text else []
    return [line.removesuffix("\r") for line in lines]


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise TextError(
            f"{path} cannot be read ({error.strerror}); a word's folder holds {_MAP_NAMES[0]} and, "
            "for train and test, a .data.txt and a .gold.txt."
        ) from None
    except UnicodeDecodeError as error:
        raise TextError(
            f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8 and try again."
        ) from None


def _is_number(text: str) -> bool:
    """Whether a text is a plain count. A limit on its length keeps `int` cheap on hostile files."""
    return text.isascii() and text.isdigit() and len(text) <= 9


def _clip(text: str, longest: int = 40) -> str:
    return repr(text if len(text) <= longest else text[: longest - 1] + "…")
