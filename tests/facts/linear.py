"""A model whose norms divide by one and whose parts are set by hand: the truth that rows and
columns are held against, from the model's own pass."""

from __future__ import annotations

import torch
from torch import Tensor

from molehill.model.transformer import Transformer


class Laid:
    """A watch under which attention and the MLPs add nothing but what is laid into one layer.

    Args:
        act: (layer, coefficients [batch, neuron]) that this layer's MLP is given.
        frozen: whether every norm divides by one.
    """

    def __init__(self, act: tuple[int, Tensor] | None = None, *, frozen: bool = False) -> None:
        self.act, self.frozen = act, frozen
        self.seen: dict[str, Tensor] = {}

    def begin(self, positions: Tensor, real: Tensor) -> None: ...

    def wants(self, site: str) -> bool:
        return True

    def __call__(self, site: str, x: Tensor) -> Tensor:
        layer, _, name = site.partition(".")
        if site == "pos_embed" or name == "attn.out" or (name == "mlp.out" and self.act is None):
            return torch.zeros_like(x)
        if name == "mlp.act" and self.act is not None:
            mine = int(layer) == self.act[0]
            return self.act[1][:, None] if mine else torch.zeros_like(x)
        if self.frozen and site.endswith("scale"):
            return torch.ones_like(x)
        self.seen[site] = x
        return x


def asked_of_words(model: Transformer) -> list[Tensor]:
    """What every row of each layer answers to each token alone [d_vocab, row], one per layer; of a
    gated MLP gate rows come first. Biases of the rows are left out."""
    watch = Laid()
    model(torch.arange(model.config.d_vocab)[:, None], watch=watch)
    rows = [block.mlp.w_in for block in model.blocks]
    return [watch.seen[f"{at}.mlp.in"][:, 0] @ row.T for at, row in enumerate(rows)]


def arrived_columns(model: Transformer, layer: int) -> Tensor:
    """What each column of a layer has become at the end of the stream, all divisors one [neuron,
    d_model]."""
    width = model.config.d_mlp
    laid = torch.cat([torch.eye(width), torch.zeros(1, width)]).to(model.dtype)
    watch = Laid((layer, laid), frozen=True)
    final = model(torch.zeros(width + 1, 1, dtype=torch.int64), watch=watch, logits="none").final
    assert final is not None
    return final[:-1, 0] - final[-1:, 0]


def standardised(scores: Tensor) -> Tensor:
    """In standard deviations over the words [d_vocab, n]."""
    return (scores - scores.mean(0)) / scores.std(0, correction=0)
