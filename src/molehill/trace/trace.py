"""Trace: what a run left behind, as one frozen record.

It holds the values at the sites and positions that were asked for, the tokens they belong to, and
where they come from. It knows nothing of how a run is watched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from molehill.checkpoints.certificates import kept_certificate
from molehill.checkpoints.tensorfile import open_tensors, read_description, write_tensors
from molehill.errors import SiteError
from molehill.model.aliases import resolve_site
from molehill.model.config import ModelConfig
from molehill.model.sites import parse_site
from molehill.text.tokens import Tokens
from molehill.trace.places import site_axes, slots_of
from molehill.version import __version__

__all__ = ["LogitsKept", "Provenance", "Trace"]

LogitsKept = Literal["all", "last", "none"]
"""Where scores of the next word were kept: where the other values were, at each text's last token,
or nowhere."""

_KIND = "molehill.trace/1"


@dataclass(frozen=True)
class Provenance:
    """Where values come from: enough to make them again, and to see when they do not belong
    together."""

    model: str
    """The model's name."""
    fingerprint_of: Callable[[], str] = field(repr=False, compare=False)
    """Computes the sha256 of the weights, which takes a second for a large model."""
    dtype: str = "float32"
    """What the model computed in."""
    edits: tuple[str, ...] = ()
    """What was changed on the way, in words, in the order in which it was."""
    molehill: str = __version__
    torch: str = torch.__version__
    certificate: Mapping[str, Any] | None = field(default=None, repr=False)
    """The model's certificate as `Certificate.to_dict` gives it. None: saving looks for the one
    that `molehill check` kept on this machine."""

    @property
    def fingerprint(self) -> str:
        """The sha256 of the model's weights."""
        return self.fingerprint_of()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON-able values, with the certificate that is kept of the weights."""
        fingerprint, certificate = self.fingerprint, self.certificate
        if certificate is None:
            certificate = kept_certificate(fingerprint, self.dtype, self.molehill)
        return {
            "model": self.model,
            "fingerprint": fingerprint,
            "dtype": self.dtype,
            "edits": list(self.edits),
            "molehill": self.molehill,
            "torch": self.torch,
            "certificate": None if certificate is None else dict(certificate),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Provenance:
        """The inverse of `to_dict`."""
        rest = dict(values)
        fingerprint = rest.pop("fingerprint")
        rest["edits"] = tuple(rest["edits"])
        return cls(fingerprint_of=lambda: fingerprint, **rest)


@dataclass(frozen=True, eq=False)
class Trace:
    """The values of a run at the sites and positions asked for.

    Where all positions were kept, the position axis is that of `tokens`, padding included. Where
    some were, entry j of the axis is `positions[text][j]`, and a text with fewer positions than
    another has zeros after its own. Attention's `scores` and `pattern` [batch, head, query, key]
    keep the asked queries and every key.
    """

    tokens: Tokens
    values: Mapping[str, Tensor]
    """Our site names, in the order of the forward pass, to [batch, pos, ...]; `site_axes` names the
    axes."""
    config: ModelConfig
    provenance: Provenance
    positions: tuple[tuple[int, ...], ...] | None = None
    """For each text the positions kept, counted over its real tokens; None: all of them."""
    logits_at: LogitsKept = "none"
    """Where the values at `logits` were kept, if they were."""
    live: Mapping[str, Tensor] = field(default_factory=dict, repr=False)
    """With gradients only: the tensors inside the graph that `values` were taken from."""
    take: Callable[[str, Tensor], Tensor] | None = field(default=None, repr=False)
    """With gradients only: what was done to a live tensor to make the kept value."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))
        for site, value in self.values.items():
            assert value.shape[0] == len(self.tokens), f"{site} has not one row per text"

    # --- reading ----------------------------------------------------------------------------------

    def __getitem__(self, site: str) -> Tensor:
        """The values at one site, under any of its names.

        Raises:
            SiteError: no such site, or not one that was recorded.
        """
        return self.values[self._name(site)]

    def _name(self, site: str) -> str:
        name = site if site in self.values else resolve_site(site, self.config)
        if name not in self.values:
            raise SiteError(f"{name!r} was not recorded. {self._kept_sites()}")
        return name

    def __contains__(self, site: object) -> bool:
        return site in self.values

    def layers(self, kind: str) -> tuple[int, ...]:
        """The layers whose site of this kind (`resid_post`, `attn.pattern`) was recorded."""
        found = [parse_site(site) for site in self.values]
        return tuple(layer for layer, rest in found if layer is not None and rest == kind)

    def site(self, kind: str) -> Tensor:
        """The values of every recorded layer at a site of this kind, stacked.

        `trace.site("resid_post")` is [layer, batch, pos, d_model]; `trace.layers` names the layers.
        """
        layers = self.layers(kind)
        if not layers:
            raise SiteError(f"No layer's {kind!r} was recorded. {self._kept_sites()}")
        return torch.stack([self.values[f"{layer}.{kind}"] for layer in layers])

    def at(self, text: int, position: int, site: str | None = None) -> Any:
        """What was recorded of one token.

        Args:
            text: which of the texts.
            position: counted over the text's real tokens; negative from its end.
            site: only this one.

        Returns:
            The value at `site` without its batch and position axes: [d_model], [head, d_head],
            [head, key]. Without `site`, a dict of them for every site kept at this position.
        """
        if site is None:
            kept = [name for name in self.values if self._entry(name, text, position) is not None]
            if not kept:
                raise SiteError(self._not_kept(text, position, list(self.values)))
            return {name: self.at(text, position, name) for name in kept}
        name = self._name(site)
        value = self.values[name]
        entry = self._entry(name, text, position)
        if entry is None:
            raise SiteError(self._not_kept(text, position, [name]))
        return value[text, :, entry] if "query" in site_axes(name) else value[text, entry]

    @property
    def logits(self) -> Tensor:
        """Scores of the next word [batch, pos or 1, d_vocab].

        Raises:
            SiteError: they were not kept.
        """
        return self["logits"]

    def kept(self, site: str) -> tuple[tuple[int, ...], ...]:
        """For each text, the positions whose values at `site` were kept."""
        lengths = self.tokens.lengths.tolist()
        if site == "logits" and self.logits_at == "last":
            return tuple((length - 1,) for length in lengths)
        if self.positions is not None:
            return self.positions
        return tuple(tuple(range(length)) for length in lengths)

    def entries(self, site: str) -> Tensor:
        """Where on the position axis of `site` each text's positions are [texts, longest text]; -1
        where a position was not kept."""
        kept, mask = self.kept(site), self.tokens.mask.cpu()
        table = torch.full(mask.shape, -1, dtype=torch.int64)
        all_slots = self.positions is None and not (site == "logits" and self.logits_at == "last")
        slots = slots_of(kept, mask) if all_slots else None
        for text, row in enumerate(kept):
            own = torch.arange(len(row)) if slots is None else slots[text, : len(row)]
            table[text, torch.tensor(row, dtype=torch.int64)] = own
        return table

    def _entry(self, site: str, text: int, position: int) -> int | None:
        """Where on the position axis of `site` a text's position is; None if it was not kept."""
        if not 0 <= text < len(self.tokens):
            raise SiteError(f"There is no text {text}: the trace has {len(self.tokens)}.")
        length = int(self.tokens.lengths[text])
        place = position + length if position < 0 else position
        if not 0 <= place < length:
            return None
        entry = int(self.entries(site)[text, place])
        return None if entry < 0 else entry

    def _not_kept(self, text: int, position: int, sites: list[str]) -> str:
        length = int(self.tokens.lengths[text])
        kept = sorted({place for site in sites for place in self.kept(site)[text]})
        shown = ", ".join(map(str, kept[:8])) + (", ..." if len(kept) > 8 else "")
        return (
            f"Position {position} of text {text} ({length} tokens) was not recorded there: "
            f"kept are {shown or 'none'}."
        )

    def _kept_sites(self) -> str:
        kinds = list(dict.fromkeys(_kind(site) for site in self.values))
        return f"Recorded are {', '.join(kinds) or 'no sites'}."

    # --- gradients --------------------------------------------------------------------------------

    def gradients(self, scalar: Tensor, *, keep_graph: bool = False) -> dict[str, Tensor]:
        """How `scalar` changes with each recorded value: tensors of the shapes of `values`.

        The model's weights get no gradients and are not touched. A value that `scalar` does not
        depend on has zeros.

        Args:
            scalar: one number computed from this trace, for example `trace.logits[0, -1, word]`.
            keep_graph: whether gradients of another scalar will be asked for.

        Raises:
            SiteError: the trace was not recorded with `grad=True`.
        """
        if not self.live or self.take is None:
            raise SiteError("This trace has no gradients: record it with grad=True.")
        sites = list(self.live)
        found = torch.autograd.grad(
            scalar, [self.live[site] for site in sites], retain_graph=keep_graph, allow_unused=True
        )
        grads = {}
        for site, grad in zip(sites, found, strict=True):
            whole = torch.zeros_like(self.live[site]) if grad is None else grad
            grads[site] = self.take(site, whole).detach()
        return grads

    # --- changing place ---------------------------------------------------------------------------

    def to(
        self, dtype: torch.dtype | None = None, device: torch.device | str | None = None
    ) -> Trace:
        """The same record in another dtype or on another device, outside any graph."""
        moved = {
            site: value.detach().to(dtype=dtype, device=device)
            for site, value in self.values.items()
        }
        return replace(self, values=moved, live={}, take=None)

    def only(self, sites: list[str]) -> Trace:
        """The same record with these of its sites and no others, outside any graph."""
        kept = {name: self[name].detach() for name in sites}
        return replace(self, values=kept, live={}, take=None)

    def with_certificate(self, certificate: Mapping[str, Any]) -> Trace:
        """The same record with the model's certificate in its provenance."""
        return replace(self, provenance=replace(self.provenance, certificate=certificate))

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the values take; a tensor known by two names is counted once."""
        return sum(value.numel() * value.element_size() for value in self._distinct().values())

    def _distinct(self) -> dict[tuple, Tensor]:
        """One tensor for each piece of memory: a block's output is the next one's input."""
        return {_identity(value): value for value in self.values.values()}

    # --- files ------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the record into one safetensors file with its description as JSON, whole or not at
        all."""
        tensors, description = self.packed()
        write_tensors(path, tensors, {"kind": _KIND, **description})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trace:
        """Read what `save` wrote. Values are mapped: they are read from disk when they are used.

        Raises:
            CheckpointError: no such file, a damaged one, or one of another kind.
        """
        description = read_description(path, _KIND)
        with open_tensors(path) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return cls.unpacked(tensors, description)

    def packed(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The record as named tensors and a JSON-able description."""
        tokens = self.tokens
        tensors = {"ids": tokens.ids, "mask": tokens.mask}
        first: dict[tuple, str] = {}
        same = {}
        for site, value in self.values.items():
            original = first.setdefault(_identity(value), site)
            if original == site:
                tensors[f"values/{site}"] = value
            else:
                same[site] = original
        description = {
            "config": self.config.to_dict(),
            "positions": self.positions,
            "logits_at": self.logits_at,
            "sites": list(self.values),
            "same": same,
            "provenance": self.provenance.to_dict(),
            "tokens": {
                "texts": tokens.texts,
                "pieces": tokens.pieces,
                "spans": tokens.spans,
                "special": tokens.special,
                "dropped": tokens.dropped,
            },
        }
        return tensors, description

    @classmethod
    def unpacked(cls, tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> Trace:
        """The inverse of `packed`."""
        parts = description["tokens"]
        tokens = Tokens(
            tensors["ids"],
            tensors["mask"],
            texts=tuple(parts["texts"]),
            pieces=tuple(map(tuple, parts["pieces"])),
            spans=tuple(tuple((start, end) for start, end in row) for row in parts["spans"]),
            special=tuple(map(tuple, parts["special"])),
            dropped=tuple(parts["dropped"]),
        )
        same = description["same"]
        positions = description["positions"]
        return cls(
            tokens=tokens,
            values={
                site: tensors[f"values/{same.get(site, site)}"] for site in description["sites"]
            },
            config=ModelConfig.from_dict(description["config"]),
            provenance=Provenance.from_dict(description["provenance"]),
            positions=None if positions is None else tuple(map(tuple, positions)),
            logits_at=description["logits_at"],
        )

    # --- showing ----------------------------------------------------------------------------------

    def __repr__(self) -> str:
        lengths = self.tokens.lengths.tolist()
        size = f"{min(lengths)}" if len(set(lengths)) == 1 else f"{min(lengths)} to {max(lengths)}"
        where = "all positions"
        if self.positions is not None:
            where = f"{sum(map(len, self.positions))} positions"
        changed = f", {len(self.provenance.edits)} edits" if self.provenance.edits else ""
        lines = [
            f"Trace of {len(lengths)} texts of {size} tokens, {where}, {self.provenance.model} in "
            f"{self.provenance.dtype}{changed}, {_megabytes(self.nbytes)}"
        ]
        groups: dict[tuple[str, str], list[int]] = {}
        for site, value in self.values.items():
            dtype = str(value.dtype).removeprefix("torch.")
            shown = f"[{', '.join(map(str, value.shape))}] {dtype}"
            layer, rest = parse_site(site)
            groups.setdefault((rest, shown), []).extend([] if layer is None else [layer])
        lines += [
            f"  {_named(rest, layers):24} {shown}" for (rest, shown), layers in groups.items()
        ]
        return "\n".join(lines)


def _identity(value: Tensor) -> tuple:
    if value.numel() == 0:
        return (id(value),)
    return (value.data_ptr(), value.shape, value.stride(), value.dtype, value.device)


def _kind(site: str) -> str:
    layer, rest = parse_site(site)
    return rest if layer is None else f"L.{rest}"


def _named(rest: str, layers: list[int]) -> str:
    if not layers:
        return rest
    if layers == list(range(layers[0], layers[-1] + 1)) and len(layers) > 1:
        return f"{layers[0]}-{layers[-1]}.{rest}"
    return f"{','.join(map(str, layers))}.{rest}"


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size:,} bytes"
