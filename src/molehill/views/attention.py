"""Who looks at whom in every head, as data: what `--json` prints, the page draws and the text is
written from.

All heads by every measure, with a small picture of each; and one head large, whole. The schemas
are described in docs/howto/attention.md. This module knows nothing of terminals, pages or files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from molehill.errors import SiteError
from molehill.journey.attention import Attention, HeadAttention, Toward
from molehill.journey.head_measures import MEASURES, Heads, measure_heads
from molehill.journey.unknown import unknown_note, unknown_words
from molehill.language_model import LanguageModel
from molehill.views.matrices import ROUNDING, Pooled, base64_halves
from molehill.views.provenance import digits_of, provenance
from molehill.views.words import enumerated, numbered, percent, significant, visible

__all__ = [
    "HEAD_SCHEMA",
    "MOST_EMBEDDED",
    "PICTURE",
    "SCHEMA",
    "WEIGHTINGS",
    "attention_data",
    "direction_of",
    "head_data",
]

SCHEMA = "molehill.attention/1"
HEAD_SCHEMA = "molehill.attention-head/1"

PICTURE = 32
"""The most rows of a head's small picture."""

MOST_EMBEDDED = 64
"""A text of more tokens has the matrices of one head in a page on a disk, not those of all."""

_MOST_BYTES = 8 << 20
"""And so has a model whose heads would take more than this."""

WEIGHTINGS = {
    "pattern": "attention",
    "added": "length of what is added",
    "toward": "along the direction",
}


def direction_of(lm: LanguageModel, attention: Attention, word: str | None) -> Toward:
    """The direction that a view reads along: a next word's, or each token's own move.

    Raises:
        TextError: the word is several tokens, or none.
        SiteError: the model has no head that scores words as a sum.
    """
    return attention.toward_move() if word is None else attention.toward_word(lm.next_token(word))


def attention_data(
    lm: LanguageModel,
    attention: Attention,
    toward: Toward,
    position: int = -1,
    *,
    layer: int | None = None,
    head: int | None = None,
    word: str | None = None,
    embed: bool = False,
    version: str,
    digits: int | None = None,
    tell: Callable[[int, int], None] = lambda done, whole: None,
) -> dict[str, Any]:
    """Everything that the views of attention show, as plain values without NaN or infinities.

    Args:
        position: the token at which the direction is read for the glance; -1 is the last.
        layer, head: the head that is shown large; without them the one that adds most there, along
            the direction.
        word: the next word that the direction belongs to, as it was asked for.
        embed: whether the matrices of all heads go with the data, for a page that cannot ask.
        version: of Molehill, for the provenance.
        digits: significant digits of the measures; None gives what the dtype carries.
        tell: hears how many layers are done, of how many.

    Raises:
        SiteError: a position or head that does not exist, or a layer without a head.
    """
    digits = min(digits or digits_of(lm), 6)
    at = _position(attention, position)
    if (layer is None) != (head is None):
        raise SiteError("A head is chosen by its layer and its number: give both, or neither.")
    if layer is not None and head is not None:
        attention.head(layer, head)  # refused before all heads are run through
    triangle = lm.config.causal
    small = {
        name: Pooled(len(attention), PICTURE, triangle=triangle, signed=name == "toward")
        for name in WEIGHTINGS
    }
    embedded = embed and _fits(attention)
    whole: list[dict[str, Any]] = []

    def hear(one: HeadAttention) -> None:
        small["pattern"].add(one.pattern)
        small["added"].add(one.added)
        assert one.toward is not None, "heads are measured toward something"
        small["toward"].add(one.toward)
        if embedded:
            whole.append(_head(one, triangle=triangle))

    values = measure_heads(attention, toward, at, hear=hear, tell=tell)
    if layer is None or head is None:
        layer, head = _largest(values["toward"])
    frame = _frame(lm, attention, toward, at, word)
    piece = frame["toward"]["piece"]
    data = {
        "schema": SCHEMA,
        "summary": [],
        **frame,
        "measures": [
            vars(one) | {"title": _title(one.name, one.title, piece, attention, at)}
            for one in MEASURES
            if one.name in values
        ],
        "values": {name: _rounded(heads, digits) for name, heads in values.items()},
        "small": {
            "side": small["pattern"].side,
            "cell": small["pattern"].cell,
            **{name: pictures.to_dict() for name, pictures in small.items()},
        },
        "head": _head(attention.head(layer, head, toward), triangle=triangle),
        "heads": whole,
        "notes": _notes(lm, attention, embed=embed, embedded=embedded),
        "provenance": provenance(lm, version),
    }
    data["summary"] = _summary(data)
    return data


def head_data(
    lm: LanguageModel,
    attention: Attention,
    toward: Toward,
    layer: int,
    head: int,
    position: int = -1,
    *,
    word: str | None = None,
    version: str,
) -> dict[str, Any]:
    """One head's matrices alone: what a page asks for when a head is chosen.

    Raises:
        SiteError: a position or head that does not exist.
    """
    at = _position(attention, position)
    one = attention.head(layer, head, toward)
    return {
        "schema": HEAD_SCHEMA,
        "summary": [_looks(one, attention.pieces, at)],
        **_frame(lm, attention, toward, at, word),
        "head": _head(one, triangle=lm.config.causal),
        "heads": [],
        "notes": _notes(lm, attention, embed=False, embedded=False),
        "provenance": provenance(lm, version),
    }


def _frame(
    lm: LanguageModel, attention: Attention, toward: Toward, at: int, word: str | None
) -> dict[str, Any]:
    """What both kinds of data begin with."""
    config, pieces = lm.config, attention.pieces
    windows = [config.window_of(layer) for layer in range(config.n_layers)]
    named = None if toward.token is None else _token_piece(lm, toward.token)
    return {
        "text": attention.text,
        "pieces": list(pieces),
        "layers": config.n_layers,
        "heads_per_layer": config.n_heads,
        "causal": config.causal,
        "windows": windows if any(window is not None for window in windows) else None,
        "toward": {
            "word": word,
            "piece": named,
            "position": at,
            "at": pieces[at],
            "measured": significant(float(toward.measured[at]), 6),
        },
    }


def _token_piece(lm: LanguageModel, token: int) -> str:
    """How a token is shown: by its number where the model came without a tokenizer."""
    return f"#{token}" if lm.tokenizer is None else lm.tokenizer.piece(token)


def _head(one: HeadAttention, *, triangle: bool) -> dict[str, Any]:
    """A head's matrices; the lengths of what is added are made of the attention and two lists."""
    assert one.toward is not None, "heads are measured toward something"
    pattern, scale = base64_halves(one.pattern, triangle=triangle)
    toward, along = base64_halves(one.toward, triangle=triangle)
    plain = bool((one.divisors == 1).all())
    return {
        "layer": one.layer,
        "head": one.head,
        "pattern": {"halves": pattern, "scale": scale},
        "toward": {"halves": toward, "scale": along},
        "sizes": [significant(size, 5) for size in one.sizes.tolist()],
        "divisors": None if plain else [significant(by, 5) for by in one.divisors.tolist()],
        "adds": [significant(size, 5) for size in one.adds.tolist()],
    }


def _fits(attention: Attention) -> bool:
    config, count = attention.model.config, len(attention)
    cells = count * (count + 1) // 2 if config.causal else count * count
    held = config.n_layers * config.n_heads * cells * 2 * 2 * 4 // 3
    return count <= MOST_EMBEDDED and held <= _MOST_BYTES


def _position(attention: Attention, position: int) -> int:
    at = position + len(attention) if position < 0 else position
    if not 0 <= at < len(attention):
        raise SiteError(
            f"There is no token at position {position}: the text has {len(attention)}, from 0 to "
            f"{len(attention) - 1}."
        )
    return at


def _rounded(heads: Heads, digits: int) -> list[list[float | None]]:
    return [[significant(value, digits) for value in layer] for layer in heads]


def _largest(heads: Heads) -> tuple[int, int]:
    """The head with the largest value, either sign."""
    table = torch.tensor([[value or 0.0 for value in layer] for layer in heads])
    place = int(table.nan_to_num(0.0).abs().argmax())
    return divmod(place, table.shape[1])


# --- in words ---------------------------------------------------------------------------------


def _title(name: str, title: str, piece: str | None, attention: Attention, at: int) -> str:
    if name != "toward":
        return title
    what = "along its own move" if piece is None else f"toward {_quoted(piece)}"
    return f"{what}, at {_quoted(attention.pieces[at])} ({at})"


def _notes(lm: LanguageModel, attention: Attention, *, embed: bool, embedded: bool) -> list[str]:
    cell = -(-len(attention) // PICTURE)
    notes = [
        "Attention is a softmax of a query over the keys that it sees; how much of what stands "
        "there is added depends on the values too: the length of what is added says that.",
        "Lengths and directions hold the norms' divisors at the values of this run, as the ledger "
        "does; its rows of heads are the same numbers.",
        ROUNDING,
    ]
    if cell > 1:
        notes.append(
            f"In a head's small picture each point is the largest of {cell} x {cell} pairs; the "
            "large picture has them all."
        )
    if embed and not embedded:
        notes.append(
            f"The text has {len(attention):,} tokens: this page holds one head's matrices and the "
            "measures of all. For another head, name it (--layer, --head) or use molehill explore."
        )
    unread = unknown_note([unknown_words(lm, lm.encode([attention.text]))])
    return [*notes, *([unread] if unread else [])]


def _looks(one: HeadAttention, pieces: Sequence[str], at: int) -> str:
    """In one sentence, where a head looks from a token."""
    row = one.pattern[at]
    best = row.topk(min(3, len(row)))
    told = [
        f"{_quoted(pieces[place])} ({percent(weight)})"
        for place, weight in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        if weight >= 0.005
    ]
    return (
        f"From {_quoted(pieces[at])} head {one.layer}.{one.head} looks most at {enumerated(told)}."
    )


def _summary(data: Mapping[str, Any]) -> list[str]:
    count, layers = len(data["pieces"]), data["layers"]
    heads, values, toward = data["heads_per_layer"], data["values"], data["toward"]
    whole = layers * heads
    place = (data["head"]["layer"], data["head"]["head"])
    what = (
        f"toward {_quoted(toward['piece'])}" if toward["piece"] else "along the token's whole move"
    )
    value = values["toward"][place[0]][place[1]]
    lines = [
        f"{numbered(count, 'token')} read by {numbered(whole, 'head')} in "
        f"{numbered(layers, 'layer')}: every head lets tokens look at others, and adds something "
        "of what they find.",
        f"At {_quoted(toward['at'])} head {place[0]}.{place[1]} adds {_signed(value)} {what}; "
        f"everything that is added there comes to {_signed(toward['measured'])}.",
    ]
    resting = sum(value is not None and value > 0.5 for row in values["first"] for value in row)
    if resting and count > 3:
        lines.append(
            f"{resting} of {whole} heads give more than half of their attention to the first token."
        )
    named = (("previous", "the token before"), ("itself", "the token itself"))
    found = [_best(values[name], f"at {told}") for name, told in named]
    repeats = [
        _best(values[name], told)
        for name, told in (
            ("duplicate", "at another copy of the token"),
            ("induction", "at what followed an earlier copy"),
        )
    ]
    told = [one for one in [*found, *repeats] if one]
    if told:
        lines.append(f"Most of all heads look {enumerated(told)}.")
    elif count == 1:
        lines.append("One token has nothing to look at but itself.")
    return lines


def _best(heads: Sequence[Sequence[float | None]], told: str) -> str:
    """Which head has most of a measure."""
    found = [
        (value, layer, head)
        for layer, row in enumerate(heads)
        for head, value in enumerate(row)
        if value is not None
    ]
    if not found:
        return ""
    value, layer, head = max(found)
    return f"{told}: {layer}.{head} ({percent(value)})"


def _quoted(piece: str) -> str:
    return f"“{visible(piece.removeprefix('·')) or piece}”"


def _signed(value: float | None) -> str:
    if value is None:
        return "not finite"
    shown = f"{abs(value):.2f}" if abs(value) < 100 else f"{abs(value):.0f}"
    return f"{'−' if value < 0 and float(shown) else '+' if value > 0 else ''}{shown}"
