"""From the files of a model's folder to a vocabulary.

Read are `tokenizer.json`, or the older `vocab.json` with `merges.txt` (GPT-2, OPT, RoBERTa) and
`vocab.txt` (BERT); beside them `tokenizer_config.json`, `special_tokens_map.json`,
`added_tokens.json` and `chat_template.jinja`. Such files come from strangers, so sizes are bounded
before anything is parsed, and what could take unbounded time or memory later is refused. Nothing
in them is executed. This module knows nothing of GGUF.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from molehill.errors import TextError
from molehill.text.splits import KNOWN_PATTERNS
from molehill.text.vocabulary import (
    LARGEST_VOCABULARY,
    ROLES,
    Vocabulary,
    add_specials,
    guarded,
    patterns_in,
    spelling_of,
    wrap_in,
)

__all__ = ["vocabulary_of_file", "vocabulary_of_folder"]

# The largest tokenizer.json in use (Gemma 3) has 33 MB and 6,415 added tokens.
_LARGEST_FILE = 64 * 2**20
_LARGEST_CONFIG = 16 * 2**20
_LARGEST_TEMPLATE = 2**20
_MOST_ADDED = 100_000
_MOST_ADDED_CHARACTERS = 4_000_000


def vocabulary_of_folder(folder: Path) -> Vocabulary:
    """The vocabulary of a folder in the layout of `transformers`.

    Raises:
        TextError: no tokenizer that can be read, or a file that is damaged or unreasonable.
    """
    config = _config(folder)
    if (folder / "tokenizer.json").is_file():
        return _of_json(folder / "tokenizer.json", config, _chat_template(folder, config))
    if (folder / "vocab.json").is_file() and (folder / "merges.txt").is_file():
        vocabulary = _of_merges(folder, config)
    elif (folder / "vocab.txt").is_file():
        vocabulary = _of_word_list(folder, config)
    else:
        raise TextError(_nothing_in(folder))
    return vocabulary


def vocabulary_of_file(path: Path) -> Vocabulary:
    """The vocabulary of one `tokenizer.json`, without the files beside it.

    Raises:
        TextError: a file that is damaged or unreasonable.
    """
    return _of_json(path, {}, None)


# --- tokenizer.json -------------------------------------------------------------------------------


def _of_json(path: Path, config: dict[str, Any], template: str | None) -> Vocabulary:
    raw = _read(path, _LARGEST_FILE)
    settings = _parsed(raw, path)
    _check_tokens(settings, path)
    _check_parts(settings, path)
    trimmed = tuple(match[1] == b"true" for match in _TRIM.finditer(raw))
    # With trimming on, a token of white space would lose its place in the text. In a JSON string
    # the quotes would be escaped, so what is found is always the setting itself.
    raw = _TRIM.sub(b'"trim_offsets":false', raw)
    backend = guarded(
        f"{path} is no tokenizer that this version of the `tokenizers` library reads",
        lambda: tokenizers.Tokenizer.from_str(raw.decode("utf-8")),
    )
    for token in settings.get("added_tokens") or []:
        if (found := backend.token_to_id(token["content"])) != token["id"]:
            raise TextError(
                f"{path} gives the added token {token['content']!r} the id {token['id']}, "
                f"but its place in the vocabulary is {found}."
            )
    # A length limit or padding is the caller's choice here, never a leftover of training.
    backend.no_truncation()
    backend.no_padding()
    if isinstance(backend.model, models.BPE):
        backend.model.dropout = None  # cutting words at random is for training only
    return _completed(
        backend, config, template, settings.get("decoder"), _is_bounded(settings), trimmed
    )


_TRIM = re.compile(rb'"trim_offsets"\s*:\s*(true|false)')


def _is_bounded(settings: Mapping[str, Any]) -> bool:
    """Whether nothing in the file can make a short text take long."""
    parts = {key: value for key, value in settings.items() if key not in ("model", "added_tokens")}
    slow_words = settings["model"].get("max_input_chars_per_word", 0) > 1_000
    return not slow_words and KNOWN_PATTERNS.issuperset(patterns_in(parts))


def _check_tokens(settings: dict[str, Any], path: Path) -> None:
    """The vocabulary and the added tokens: their shapes, their number and their ids."""
    model = settings.get("model")
    vocab = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocab, dict | list):
        raise TextError(f"{path} holds no vocabulary (model.vocab).")
    ids = list(vocab.values()) if isinstance(vocab, dict) else list(range(len(vocab)))
    added = settings.get("added_tokens") or []
    if not isinstance(added, list) or not all(map(_is_added_token, added)):
        raise TextError(f"{path}: added_tokens are not all objects with an id and a content.")
    if len(added) > _MOST_ADDED:
        raise TextError(f"{path} has {len(added)} added tokens; the most is {_MOST_ADDED}.")
    if sum(len(token["content"]) for token in added) > _MOST_ADDED_CHARACTERS:
        raise TextError(f"{path}: the added tokens have over {_MOST_ADDED_CHARACTERS} characters.")
    known = vocab if isinstance(vocab, dict) else {}
    ids += [token["id"] for token in added if known.get(token["content"]) != token["id"]]
    if wrong := [value for value in ids if type(value) is not int or value < 0]:
        raise TextError(f"{path}: {wrong[0]!r} is no id; expected a whole number from 0.")
    if max(ids, default=0) >= LARGEST_VOCABULARY:
        raise TextError(f"{path} has the id {max(ids)}; the most is {LARGEST_VOCABULARY - 1}.")
    if twice := [value for value, count in Counter(ids).items() if count > 1]:
        raise TextError(f"{path} gives the id {twice[0]} to more than one token.")


def _is_added_token(token: Any) -> bool:
    return (
        isinstance(token, dict)
        and type(token.get("id")) is int
        and isinstance(token.get("content"), str)
        and token["content"] != ""
    )


_MOST_NODES = 20_000
_DEEPEST = 40
_LONGEST_STRING = 10_000
_LONGEST_INSERT = 64
_MOST_REPEATS = 10_000


def _check_parts(settings: dict[str, Any], path: Path) -> None:
    """Normalizers, pre-tokenizers and the rest: small, and nothing that multiplies a text."""
    parts = {key: value for key, value in settings.items() if key not in ("model", "added_tokens")}
    open_parts: list[tuple[str, Any, int]] = [("", parts, 0)]
    nodes = 0
    while open_parts:
        key, value, depth = open_parts.pop()
        nodes += 1
        if nodes > _MOST_NODES or depth > _DEEPEST:
            raise TextError(f"{path}: its settings are far larger than those of any tokenizer.")
        if isinstance(value, str):
            longest = _LONGEST_INSERT if key in ("content", "prepend") else _LONGEST_STRING
            if len(value) > longest and key != "precompiled_charsmap":
                raise TextError(
                    f"{path}: the setting {key!r} has {len(value)} characters; "
                    f"the most is {longest}."
                )
        elif isinstance(value, dict):
            open_parts += [(name, inner, depth + 1) for name, inner in value.items()]
        elif isinstance(value, list):
            open_parts += [(key, inner, depth + 1) for inner in value]
    for pattern in patterns_in(parts):
        _check_pattern(pattern, path)


def _check_pattern(pattern: str, path: Path) -> None:
    """Counted repeats multiply when they are nested, and are laid out in memory one by one."""
    repeats = 1
    for counts in re.findall(r"\{(\d{0,9}),?(\d{0,9})\}", pattern):
        repeats *= max([1, *[int(count) for count in counts if count]])
    if repeats > _MOST_REPEATS:
        raise TextError(f"{path}: the pattern {pattern[:60]!r} repeats its parts too many times.")


# --- the older layouts ----------------------------------------------------------------------------


def _of_merges(folder: Path, config: dict[str, Any]) -> Vocabulary:
    """GPT-2's layout: byte-level BPE from `vocab.json` and `merges.txt`."""
    path = folder / "vocab.json"
    vocab = _parsed(_read(path, _LARGEST_FILE), path)
    _check_tokens({"model": {"vocab": vocab}}, path)
    if sum(token.endswith("</w>") for token in vocab) > len(vocab) // 10:
        raise TextError(
            f"{path} spells the ends of words (`</w>`), which only a tokenizer.json explains: "
            "save one with transformers' AutoTokenizer."
        )
    lines = _text(folder / "merges.txt", _LARGEST_FILE).split("\n")
    merges: list[Any] = [
        tuple(line.split(" ")) for line in lines if line and not line.startswith("#version")
    ]
    if wrong := next((merge for merge in merges if len(merge) != 2), None):
        raise TextError(f"{folder / 'merges.txt'} has the line {' '.join(wrong)!r}, not a pair.")
    backend = tokenizers.Tokenizer(
        guarded(f"The merges of {folder} do not fit its tokens", lambda: models.BPE(vocab, merges))
    )
    prefixed = bool(config.get("add_prefix_space", False))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(prefixed, trim_offsets=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    if "Roberta" in str(config.get("tokenizer_class")) or "roberta" in _model_type(folder):
        defaults = dict.fromkeys(("bos", "cls"), "<s>") | dict.fromkeys(("eos", "sep"), "</s>")
        defaults |= {"unk": "<unk>", "pad": "<pad>", "mask": "<mask>"}
        config = _with_defaults(config, defaults)
        first, last = [_needed(config, role) for role in ("cls", "sep")]
        if not {first, last} <= vocab.keys():
            raise TextError(f"{path} lacks the tokens {first!r} and {last!r} that wrap a text.")
        # In RoBERTa's training a blank before the hidden word belongs to it.
        mask = _named(config, "mask")
        if mask in vocab:
            backend.add_special_tokens([tokenizers.AddedToken(mask, lstrip=True, special=True)])
        wrap_in(backend, [first], [last])
    else:
        config = _with_defaults(config, dict.fromkeys(("bos", "eos", "unk"), "<|endoftext|>"))
        ends = [
            [name] if config.get(f"add_{role}_token") and name in vocab else []
            for role in ("bos", "eos")
            for name in [_named(config, role)]
        ]
        wrap_in(backend, *ends)
    _add_listed(backend, folder)
    return _completed(
        backend, config, _chat_template(folder, config), {"type": "ByteLevel"}, True, ()
    )


def _of_word_list(folder: Path, config: dict[str, Any]) -> Vocabulary:
    """BERT's layout: WordPiece from `vocab.txt`, one token a line."""
    path = folder / "vocab.txt"
    words = _text(path, _LARGEST_FILE).removesuffix("\n").split("\n")
    vocab = {word.removesuffix("\r"): index for index, word in enumerate(words)}
    names = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
    config = _with_defaults(config, names)
    needed = {_needed(config, role) for role in ("unk", "cls", "sep")}
    if len(vocab) != len(words) or not needed <= vocab.keys():
        raise TextError(f"{path} repeats a token, or lacks one of {', '.join(sorted(needed))}.")
    if config.get("do_basic_tokenize") is False:
        raise TextError(f"{folder} asks for do_basic_tokenize=false, which is not read here.")
    backend = tokenizers.Tokenizer(models.WordPiece(vocab, unk_token=_needed(config, "unk")))
    backend.normalizer = normalizers.BertNormalizer(
        lowercase=config.get("do_lower_case", True),
        strip_accents=config.get("strip_accents"),
        handle_chinese_chars=config.get("tokenize_chinese_chars", True),
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    wrap_in(backend, [_needed(config, "cls")], [_needed(config, "sep")])
    _add_listed(backend, folder)
    return _completed(backend, config, _chat_template(folder, config), None, True, ())


def _add_listed(backend: tokenizers.Tokenizer, folder: Path) -> None:
    """Tokens that `added_tokens.json` (content to id) appends to the vocabulary."""
    path = folder / "added_tokens.json"
    if not path.is_file():
        return
    listed = _parsed(_read(path, _LARGEST_CONFIG), path)
    if len(listed) > _MOST_ADDED or not all(type(value) is int for value in listed.values()):
        raise TextError(f"{path} is not a list of tokens and their ids, or far too long.")
    _append(backend, {number: token for token, number in listed.items()}, {}, path)


def _model_type(folder: Path) -> str:
    path = folder / "config.json"
    if not path.is_file():
        return ""
    return str(_parsed(_read(path, _LARGEST_CONFIG), path).get("model_type", ""))


def _nothing_in(folder: Path) -> str:
    if not folder.is_dir():
        return f"There is no folder {folder}."
    found = ", ".join(sorted(path.name for path in folder.iterdir())[:12]) or "nothing"
    remedy = (
        "convert it once with transformers: "
        "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
    )
    if any((folder / name).exists() for name in ("tokenizer.model", "spiece.model")):
        return f"{folder} has its tokenizer as a SentencePiece file, which is not read: {remedy}."
    return (
        f"{folder} has no tokenizer: expected tokenizer.json, vocab.json with merges.txt, or "
        f"vocab.txt; found {found}."
    )


# --- the files beside it --------------------------------------------------------------------------


def _config(folder: Path) -> dict[str, Any]:
    """`tokenizer_config.json` with the special tokens of `special_tokens_map.json` put in."""
    found = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        path = folder / name
        if path.is_file():
            values = _parsed(_read(path, _LARGEST_CONFIG), path)
            found |= {key: value for key, value in values.items() if value is not None}
    return found


def _chat_template(folder: Path, config: Mapping[str, Any]) -> str | None:
    """`chat_template.jinja`, or the template in the config: one, or the default of several."""
    path = folder / "chat_template.jinja"
    if path.is_file():
        return _text(path, _LARGEST_TEMPLATE)
    template = config.get("chat_template")
    if isinstance(template, list):
        by_name = {each.get("name"): each.get("template") for each in template}
        template = by_name.get("default")
    if template is not None and not isinstance(template, str):
        raise TextError(f"{folder}: chat_template is of type {type(template).__name__}, not text.")
    return template


def _with_defaults(config: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {f"{role}_token": name for role, name in names.items()} | config


def _named(config: Mapping[str, Any], role: str) -> str | None:
    """The token of a role; configs write it bare or as an object with a `content`."""
    value = config.get(f"{role}_token")
    if isinstance(value, dict):
        value = value.get("content")
    if value is not None and not isinstance(value, str):
        raise TextError(f"tokenizer_config.json: {role}_token is {value!r}; expected text.")
    return value or None


def _needed(config: Mapping[str, Any], role: str) -> str:
    """The token of a role that this kind of tokenizer cannot do without.

    Raises:
        TextError: the config names an empty one.
    """
    name = _named(config, role)
    if name is None:
        raise TextError(f"tokenizer_config.json: {role}_token is empty; this tokenizer needs one.")
    return name


def _completed(
    backend: tokenizers.Tokenizer,
    config: dict[str, Any],
    template: str | None,
    decoder: Any,
    bounded: bool,
    trimmed: tuple[bool, ...],
) -> Vocabulary:
    """What the config says beyond the vocabulary: added tokens and roles."""
    listed = config.get("added_tokens_decoder") or {}
    if not isinstance(listed, dict) or len(listed) > _MOST_ADDED:
        raise TextError(
            "tokenizer_config.json: added_tokens_decoder is no object, or far too long."
        )
    contents = {}
    for number, token in listed.items():
        if not str(number).isdecimal() or not _is_added_token({"id": 0, **dict(token)}):
            raise TextError(f"tokenizer_config.json: {number!r}: {token!r} is no added token.")
        contents[int(number)] = token["content"]
    _append(backend, contents, listed, Path("tokenizer_config.json"))
    names = {role: _named(config, role) for role in ROLES}
    found = {role: backend.token_to_id(name) for role, name in names.items() if name}
    roles = {role: number for role, number in found.items() if number is not None}
    added = {token.content for token in backend.get_added_tokens_decoder().values()}
    used = {name for role, name in names.items() if name and role in roles}
    add_specials(backend, sorted(used - added))
    kept = {key: value for key, value in config.items() if key not in _NOT_KEPT}
    return Vocabulary(
        backend, roles, spelling_of(decoder), kept, template, bounded=bounded, trimmed=trimmed
    )


# `auto_map` names code to run; the template has a file of its own; what wraps a text stands in the
# tokenizer.json that is written.
_NOT_KEPT = ("auto_map", "chat_template", "name_or_path", "add_bos_token", "add_eos_token")


def _append(
    backend: tokenizers.Tokenizer,
    contents: Mapping[int, str],
    options: Mapping[str, Any],
    path: Path,
) -> None:
    """Add the tokens that the vocabulary lacks, and hold them to the ids that are stated."""
    known = {token.content for token in backend.get_added_tokens_decoder().values()}
    for number, content in sorted(contents.items()):
        if content in known:
            continue
        given = options.get(str(number), {})
        flags = {key: bool(given[key]) for key in _FLAGS if key in given}
        token = tokenizers.AddedToken(content, **{"normalized": False, **flags})
        (backend.add_special_tokens if token.special else backend.add_tokens)([token])
        if (found := backend.token_to_id(content)) != number:
            raise TextError(f"{path} gives {content!r} the id {number}, but it would be {found}.")


_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


# --- bytes ----------------------------------------------------------------------------------------


def _read(path: Path, largest: int) -> bytes:
    """A whole file, unless it is larger than any honest one."""
    try:
        size = path.stat().st_size
        if size > largest:
            raise TextError(f"{path} has {size} bytes; the most for such a file is {largest}.")
        with path.open("rb") as file:
            raw = file.read(largest + 1)
    except OSError as error:
        raise TextError(f"{path} cannot be read: {error.strerror}.") from None
    if len(raw) > largest:
        raise TextError(f"{path} is larger than {largest} bytes, the most for such a file.")
    return raw


def _text(path: Path, largest: int) -> str:
    return _decoded(_read(path, largest), path)


def _decoded(raw: bytes, path: Path) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise TextError(
            f"{path} is not UTF-8: byte {error.start} is 0x{raw[error.start]:02X}."
        ) from None


def _parsed(raw: bytes, path: Path) -> dict[str, Any]:
    """A JSON object."""
    try:
        value = json.loads(_decoded(raw, path))
    except RecursionError:
        raise TextError(f"{path} is nested too deeply to be a tokenizer.") from None
    except ValueError as error:
        raise TextError(f"{path} is no JSON: {error}.") from None
    if not isinstance(value, dict):
        raise TextError(f"{path} holds a {type(value).__name__}; expected an object.")
    return value
