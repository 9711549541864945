"""Which sites a caller's names stand for, which axes their values have, and which tokens are meant.

Names are ours, either TransformerLens dialect's, or patterns over them; positions are counted in
each text by itself. This module turns both into what the model uses: full site names, and rows and
slots of a padded batch. It holds no values and knows nothing of edits or records.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from molehill.errors import SiteError
from molehill.model.aliases import resolve_site
from molehill.model.config import ModelConfig
from molehill.model.sites import all_sites, parse_site
from molehill.text.tokens import Occurrence

__all__ = [
    "Positions",
    "axis_sizes",
    "find_sites",
    "last_layer",
    "positions_by_text",
    "site_axes",
    "slots_of",
]

Positions = str | Sequence[int] | Sequence[Sequence[int]] | Sequence[Occurrence] | None
"""What a caller may give: None for all tokens, "last", the same numbers for every text (negative
ones count from a text's end), one list per text, or the occurrences of a word."""

_GLOB = set("*?[")
_IN_BLOCKS = ("hook_resid", "hook_attn", "hook_mlp", "hook_q", "hook_k", "hook_v", "ln1", "ln2")

_AXES = {
    "attn.q": ("batch", "pos", "head", "d_head"),
    "attn.k": ("batch", "pos", "kv_head", "d_head"),
    "attn.v": ("batch", "pos", "kv_head", "d_head"),
    "attn.q_scale": ("batch", "pos", "head", "one"),
    "attn.k_scale": ("batch", "pos", "kv_head", "one"),
    "attn.scores": ("batch", "head", "query", "key"),
    "attn.pattern": ("batch", "head", "query", "key"),
    "attn.mix": ("batch", "pos", "head", "d_head"),
    "attn.result": ("batch", "pos", "head", "d_model"),
    "mlp.pre": ("batch", "pos", "d_mlp"),
    "mlp.gate": ("batch", "pos", "d_mlp"),
    "mlp.act": ("batch", "pos", "d_mlp"),
    "logits": ("batch", "pos", "d_vocab"),
}


def site_axes(site: str) -> tuple[str, ...]:
    """The axes of a site's value by name, for our own site names: `("batch", "pos", "d_model")`."""
    _, rest = parse_site(site)
    if rest in _AXES:
        return _AXES[rest]
    return ("batch", "pos", "one" if rest.endswith("_scale") else "d_model")


def axis_sizes(config: ModelConfig) -> dict[str, int]:
    """The sizes of the axes that a model's config fixes; batch, pos, query and key are the
    texts'."""
    return {
        "head": config.n_heads,
        "kv_head": config.kv_heads,
        "d_head": config.d_head,
        "d_model": config.d_model,
        "d_mlp": config.d_mlp,
        "d_vocab": config.d_vocab,
        "one": 1,
    }


def find_sites(
    names: Sequence[str] | str, config: ModelConfig, *, edited: bool = False
) -> list[str]:
    """Our full names of the sites that `names` stand for, in the order of the forward pass.

    A name may be a full one (`3.attn.q`), the same without its layer (`attn.q`, every layer), an
    alias of either TransformerLens dialect (`blocks.3.attn.hook_z`, `attn.hook_z`), or a pattern
    with `*`, `?` and `[...]` (`*.resid_post`, `1?.attn.pattern`, `blocks.*.hook_resid_pre`).

    Args:
        names: one or several.
        config: the model's.
        edited: whether the values are to be changed; see `resolve_site`.

    Raises:
        SiteError: names that this model has no site for; all of them, each with near names.
    """
    if isinstance(names, str):
        names = [names]
    known = all_sites(config)
    found: set[str] = set()
    problems = []
    for name in names:
        try:
            found.update(_expand(name, config, known, edited))
        except SiteError as error:
            problems.append(str(error))
    if problems:
        raise SiteError(" ".join(problems))
    return [site for site in known if site in found]


def _expand(name: str, config: ModelConfig, known: list[str], edited: bool) -> list[str]:
    if name in known:
        return [name]
    if _GLOB & set(name):
        return _expand_pattern(name, config, known, edited)
    if every := [site for site in known if parse_site(site)[1] == name]:
        return every
    try:
        return [resolve_site(name, config, edited=edited)]
    except SiteError as error:
        # An alias without its layer stands for every layer.
        try:
            return _in_layers(name, _layers(config), config, edited)
        except SiteError as of_layers:
            raise (of_layers if name.startswith(_IN_BLOCKS) else error) from None


def _in_layers(name: str, layers: Sequence[int], config: ModelConfig, edited: bool) -> list[str]:
    return [resolve_site(f"blocks.{layer}.{name}", config, edited=edited) for layer in layers]


def _expand_pattern(name: str, config: ModelConfig, known: list[str], edited: bool) -> list[str]:
    if found := [site for site in known if fnmatchcase(site, name)]:
        return found
    head, _, rest = name.partition(".")
    layers, _, rest = rest.partition(".")
    if head == "blocks" and rest and not _GLOB & set(rest):
        chosen = [layer for layer in _layers(config) if fnmatchcase(str(layer), layers)]
        if chosen:
            return _in_layers(rest, chosen, config, edited)
    plain = "".join(letter for letter in name if letter not in "*?[]").strip(".")
    kinds = list(dict.fromkeys(parse_site(site)[1] for site in known))
    near = get_close_matches(plain, kinds, n=3)
    hint = f"Did you mean {', '.join('*.' + kind for kind in near)}?" if near else ""
    example = hint or f"Its kinds of sites are {', '.join(kinds)}."
    raise SiteError(
        f"No site of this model matches {name!r} (its layers are 0 to {config.n_layers - 1}). "
        f"{example}"
    )


def _layers(config: ModelConfig) -> range:
    return range(config.n_layers)


def last_layer(sites: Sequence[str], config: ModelConfig) -> int | None:
    """How many blocks must run to see these sites; None if the whole model must."""
    needed = 0
    for site in sites:
        layer, rest = parse_site(site)
        if layer is not None:
            needed = max(needed, layer + 1)
        elif rest not in ("embed", "pos_embed", "embed_norm_scale"):
            return None
    return needed


def positions_by_text(asked: Positions, lengths: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """The positions asked of each text, as numbers from its first token on.

    Args:
        asked: see `Positions`; not None.
        lengths: real tokens of each text.

    Raises:
        SiteError: a position that a text does not have, or lists that are not one per text.
    """
    assert asked is not None, "all positions have no list"
    rows = _asked_rows(asked, len(lengths))
    return tuple(
        tuple(_counted(position, length, text) for position in row)
        for text, (row, length) in enumerate(zip(rows, lengths, strict=True))
    )


def _asked_rows(asked: Positions, texts: int) -> list[list[int]]:
    if asked is None or isinstance(asked, str):
        if asked != "last":
            raise SiteError(
                f"positions is {asked!r}: give 'last', whole numbers, one list per text, or None."
            )
        return [[-1]] * texts
    rows: list[list[int]] = []
    numbers: list[int] = []
    found: list[Occurrence] = []
    for item in asked:
        if isinstance(item, Occurrence):
            found.append(item)
        elif isinstance(item, int):
            numbers.append(item)
        else:
            rows.append(list(item))
    if bool(found) + bool(numbers) + bool(rows) > 1:
        raise SiteError("positions mixes numbers, lists and occurrences: give one kind.")
    if found:
        return _rows_of_words(found, texts)
    if numbers or not rows:
        return [numbers] * texts
    if len(rows) != texts:
        raise SiteError(
            f"positions holds {len(rows)} lists and there are {texts} texts: give one per text."
        )
    return rows


def _rows_of_words(found: Sequence[Occurrence], texts: int) -> list[list[int]]:
    """The positions of words, by text, each once."""
    rows: list[list[int]] = [[] for _ in range(texts)]
    for word in found:
        if word.text >= texts:
            raise SiteError(f"An occurrence is in text {word.text} and there are {texts} texts.")
        rows[word.text] += [place for place in word.positions if place not in rows[word.text]]
    return rows


def _counted(position: int, length: int, text: int) -> int:
    if not -length <= position < length:
        raise SiteError(
            f"Text {text} has {length} tokens and no position {position}: "
            f"its positions are 0 to {length - 1}, or -1 to {-length} from its end."
        )
    return position + length if position < 0 else position


def slots_of(rows: Sequence[Sequence[int]], real: Tensor) -> Tensor:
    """Where positions stand in a padded batch.

    Args:
        rows: positions of each text, counted over its real tokens; rows may be of unequal length.
        real: [batch, pos], False at padding, wherever it is.

    Returns:
        Slots [batch, longest row]; -1 where a row has no more.
    """
    width = max(map(len, rows), default=0)
    slots = torch.full((len(rows), width), -1, dtype=torch.int64)
    for text, row in enumerate(rows):
        places = real[text].nonzero()[:, 0].cpu()
        slots[text, : len(row)] = places[torch.as_tensor(list(row), dtype=torch.int64)]
    return slots.to(real.device)
