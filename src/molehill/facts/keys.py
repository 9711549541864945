"""What a layer's MLP is asked in general: the second moment of its keys, streamed.

A key is what multiplies the columns of the down matrix: one coefficient per neuron (the site
`mlp.act`). Editing needs C = E[k k'], which says which directions of keys other texts use (Meng et
al., 2022, section 3.1; MEMIT, Meng et al., 2023, section 4.2). It is summed token by token; no key
is kept. The curve says how far C was from its end at each doubling of the number of keys, so that a
reader sees whether more would have changed it. The first token of every text is left out: in many
models it has a key of its own, a hundred times as long, that would outweigh all others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from molehill.checkpoints.tensorfile import open_tensors, read_description, write_tensors
from molehill.errors import FactError
from molehill.language_model import LanguageModel
from molehill.model.transformer import Transformer
from molehill.text.tokens import Tokens

__all__ = ["KeyStatistics", "gather_keys", "keys_file"]

_KIND = "molehill.keys/1"


@dataclass(frozen=True, eq=False)
class KeyStatistics:
    """The second moment of the keys of one layer."""

    layer: int
    moment: Tensor
    """C [d_mlp, d_mlp] in float64: the mean of k k'."""
    count: int
    """How many keys were seen."""
    data: str
    """Which text they come from, in words."""
    fingerprint: str
    """The sha256 of the model's weights."""
    model: str
    curve: tuple[tuple[int, float], ...]
    """(keys, relative distance of C at that point from C at the end, in Frobenius norm)."""

    def __repr__(self) -> str:
        return (
            f"KeyStatistics of layer {self.layer} of {self.model}: {self.count:,} keys, "
            f"{len(self.moment):,} neurons, from {self.data}"
        )

    @cached_property
    def spectrum(self) -> tuple[Tensor, Tensor]:
        """The eigenvalues of C from the smallest, and its eigenvectors as columns; worked out once,
        as it takes a second for 1,536 neurons."""
        values, vectors = torch.linalg.eigh(self.moment)
        return values, vectors

    def inverse_times(self, keys: Tensor, ridge: float = 1e-4) -> Tensor:
        """(C + ridge mean(diag C) I)^-1 keys, for keys [d_mlp, n], in float64."""
        scale = ridge * self.moment.diagonal().mean()
        values, vectors = self.spectrum
        return vectors @ ((vectors.T @ keys.double()) / (values + scale)[:, None])

    def check(self, lm: LanguageModel) -> None:
        """Refuse statistics of another model.

        Raises:
            FactError: both fingerprints are named.
        """
        if self.fingerprint != lm.fingerprint:
            raise FactError(
                f"The key statistics are of {self.model!r} ({self.fingerprint[:12]}), the model is "
                f"{lm.name!r} ({lm.fingerprint[:12]}): gather them anew."
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write them into one safetensors file, whole or not at all; in float32."""
        described = {
            name: getattr(self, name)
            for name in ("layer", "count", "data", "fingerprint", "model", "curve")
        }
        write_tensors(path, {"moment": self.moment.float()}, {"kind": _KIND, **described})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> KeyStatistics:
        """Read what `save` wrote.

        Raises:
            CheckpointError: no such file, a damaged one, or one of another kind.
        """
        described = read_description(path, _KIND)
        with open_tensors(path) as file:
            moment = file.get_tensor("moment").double()
        described.pop("kind")
        described["curve"] = tuple((int(n), float(far)) for n, far in described["curve"])
        return cls(moment=moment, **described)


def keys_file(folder: str | os.PathLike[str], lm: LanguageModel, layer: int, data: str) -> Path:
    """Where statistics of this model, layer and data are kept: the name has all three."""
    plain = "".join(letter if letter.isalnum() else "-" for letter in data.lower())[:60]
    return Path(folder) / f"keys-{lm.fingerprint[:16]}-layer{layer}-{plain}.safetensors"


@torch.no_grad()
def gather_keys(
    lm: LanguageModel,
    layers: Sequence[int],
    texts: Iterable[Tokens],
    data: str,
    *,
    most: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> dict[int, KeyStatistics]:
    """Stream texts through the model, no further than the highest layer asked for.

    Args:
        layers: of which layers; one pass serves all.
        texts: batches of tokens.
        data: their name, kept with the result.
        most: end after so many keys.
        progress: called with the number of keys since the last call.

    Raises:
        FactError: no keys at all, or a layer that the model does not have.
    """
    for layer in layers:
        if not 0 <= layer < lm.config.n_layers:
            raise FactError(f"There is no layer {layer}: {lm.name} has {lm.config.n_layers}.")
    width = lm.config.d_mlp
    sums = {layer: torch.zeros(width, width, dtype=torch.float64) for layer in layers}
    kept: dict[int, list[tuple[int, Tensor]]] = {layer: [] for layer in layers}
    count, milestone = 0, 2 * width
    for tokens in texts:
        keys = _keys(lm.model, tokens, layers)
        added = len(keys[layers[0]])
        for layer, found in keys.items():
            sums[layer] += (found.T @ found).double()
        count += added
        if progress is not None:
            progress(added)
        if count >= milestone:
            milestone = 2 * count
            for layer in layers:
                kept[layer].append((count, (sums[layer] / count).float()))
        if most is not None and count >= most:
            break
    if not count:
        raise FactError(f"{data} holds no text to take keys from.")
    found = {}
    for layer in layers:
        moment = sums[layer] / count
        length = float(moment.norm())
        curve = tuple((n, float((at.double() - moment).norm()) / length) for n, at in kept[layer])
        found[layer] = KeyStatistics(
            layer, moment, count, data, lm.fingerprint, lm.name, (*curve, (count, 0.0))
        )
    return found


def _keys(model: Transformer, tokens: Tokens, layers: Sequence[int]) -> Mapping[int, Tensor]:
    """The keys of all tokens but each text's first [token, d_mlp], by layer."""
    watch = _KeyWatch({f"{layer}.mlp.act": layer for layer in layers})
    mask = tokens.mask.to(model.device)
    model(tokens.ids.to(model.device), mask=mask, watch=watch, logits="none", last=max(layers) + 1)
    counted = mask.long().cumsum(1)
    chosen = mask & (counted > 1)
    return {layer: value[chosen].float().cpu() for layer, value in watch.found.items()}


class _KeyWatch:
    """Takes the keys as they go by."""

    def __init__(self, sites: Mapping[str, int]) -> None:
        self.sites = sites
        self.found: dict[int, Tensor] = {}

    def begin(self, positions: Tensor, real: Tensor) -> None:
        """Nothing."""

    def wants(self, site: str) -> bool:
        return site in self.sites

    def __call__(self, site: str, x: Tensor) -> Tensor:
        self.found[self.sites[site]] = x
        return x
