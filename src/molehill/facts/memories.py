"""A neuron's card: what its row asks, when it fires, and what its column adds.

In the notes' words, rows of the up matrix ask a question, bias and activation answer yes or no, and
a yes adds the neuron's column. Geva et al., "Transformer Feed-Forward Layers Are Key-Value
Memories" (2021), call them keys and values. A gated MLP has two rows: the gate row decides whether
the neuron fires, and the up row how much and with which sign, so that a column is added or taken
off.

Matches are read from the weights alone: a row is held against tokens' own vectors (`words.py`), and
against what earlier neurons and heads write. What the model made of a token meanwhile is not in
that; what the neuron really did stands in `firing`, if texts are given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.errors import FactError
from molehill.facts.carrying import (
    as_added,
    block_of,
    carry,
    carry_back,
    head_outputs,
    path_to_end,
    path_to_row,
    wide,
)
from molehill.facts.firing import Firing, watch_neuron
from molehill.facts.neuron_index import row_matrices
from molehill.facts.showing import few
from molehill.facts.words import (
    WordScore,
    best_of_chance,
    best_words,
    mlp_inputs,
    reads_words,
    token_vectors,
    word_directions,
)
from molehill.language_model import LanguageModel
from molehill.model.norm import Norm
from molehill.model.transformer import Transformer

__all__ = [
    "ColumnReading",
    "NeuronCard",
    "RowReading",
    "Source",
    "matched_words",
    "neuron_card",
    "parse_neuron",
    "promoted_words",
]


@dataclass(frozen=True)
class Source:
    """An earlier part of the model that writes what a row asks for."""

    label: str
    """`neuron 3.17` or `head 2.4`."""
    layer: int
    index: int
    cosine: float
    """Of a neuron's column with the row; of a head, of the best direction that it can write."""
    z: float | None
    """Of a neuron, in standard deviations over all earlier neurons."""


@dataclass(frozen=True)
class RowReading:
    """What a row asks for, read from the weights."""

    name: str
    """`row`, or of a gated MLP `gate row` and `up row`."""
    length: float
    bias: float
    """What is added to its dot product: its own bias and the norm's."""
    matched: tuple[WordScore, ...]
    """Tokens whose own vectors give the largest dot product."""
    opposed: tuple[WordScore, ...]
    neurons: tuple[Source, ...]
    """Earlier neurons whose column it reads most, for it or against it."""
    neurons_before: int
    heads: tuple[Source, ...]
    """Heads before it, by the best direction of each."""
    head_chance: float
    """The cosine that a head of random directions would have."""
    own_cosine: float
    """Of the row with the neuron's own column: near -1, it takes out what it finds; near 1, it adds
    more of the same (Gurnee et al., "Universal Neurons in GPT2 Language Models", 2024)."""


@dataclass(frozen=True)
class ColumnReading:
    """What a column adds, read from the weights."""

    length: float
    promoted: tuple[WordScore, ...]
    demoted: tuple[WordScore, ...]
    through_head: bool
    """Whether words are read by the unembedding; else by the tokens' own vectors, since the model
    has no head or one that transforms the vector first."""


@dataclass(frozen=True)
class NeuronCard:
    """Everything about one neuron."""

    layer: int
    neuron: int
    gated: bool
    activation: str
    rows: tuple[RowReading, ...]
    column: ColumnReading
    firing: Firing | None
    """None: no texts were given."""
    d_vocab: int

    def __repr__(self) -> str:
        gates = ", gated" if self.gated else ""
        return few(f"Card of {self.label}, {self.activation}{gates}", self._told())

    def _told(self) -> Iterator[str]:
        for row in self.rows:
            yield f"its {row.name} asks for {_pieces(row.matched)}"
        promoted, demoted = self.column.promoted, self.column.demoted
        yield f"its column promotes {_pieces(promoted)}; demotes {_pieces(demoted)}"
        if self.firing is not None:
            yield f"it fires at {self.firing.fires:.1%} of {self.firing.tokens:,} tokens"

    @property
    def label(self) -> str:
        return f"neuron {self.layer}.{self.neuron}"

    @property
    def chance(self) -> float:
        """What the best of as many random numbers as there are words would reach, in z."""
        return best_of_chance(self.d_vocab)


def _pieces(words: Sequence[WordScore]) -> str:
    return ", ".join(f"{one.piece!r} {one.z:+.1f}" for one in words[:3])


def parse_neuron(name: str) -> tuple[int, int]:
    """`17.1203` as layer and neuron.

    Raises:
        FactError: it is of another form.
    """
    found = re.fullmatch(r"(?:neuron )?(\d{1,6})\.(\d{1,9})", name.strip())
    if found is None:
        raise FactError(f"{name!r} is no neuron: give layer and number, as in 17.1203.")
    return int(found[1]), int(found[2])


@torch.no_grad()
def neuron_card(
    lm: LanguageModel,
    layer: int,
    neuron: int,
    *,
    texts: Iterable[str] | None = None,
    k: int = 10,
    context: int | None = None,
    batch_size: int = 32,
    progress: Callable[[int], None] | None = None,
) -> NeuronCard:
    """Read a neuron's row and column, and watch it over texts.

    Args:
        layer, neuron: counted from 0.
        texts: a corpus, read once; None leaves `firing` out.
        k: how many words, sources and examples of each kind.
        context, batch_size, progress: as for `watch_neuron`.

    Raises:
        FactError: the model has no such neuron.
        TextError: texts for a model without a tokenizer, or none in them.
    """
    _check(lm, layer, neuron)
    rows = _rows(lm, layer, neuron, k)
    firing = None
    if texts is not None:
        options = {"context": context, "batch_size": batch_size, "progress": progress}
        firing = watch_neuron(lm, layer, neuron, texts, bias=rows[0].bias, k=k, **options)
    return NeuronCard(
        layer,
        neuron,
        lm.config.gated,
        lm.config.activation,
        rows,
        _column(lm, layer, neuron, k),
        firing,
        lm.config.d_vocab,
    )


def _check(lm: LanguageModel, layer: int, neuron: int) -> None:
    layers, width = lm.config.n_layers, lm.config.d_mlp
    if not (0 <= layer < layers and 0 <= neuron < width):
        raise FactError(
            f"{lm.name} has no neuron {layer}.{neuron}: its layers are 0 to {layers - 1}, with "
            f"neurons 0 to {width - 1} in each."
        )


@torch.no_grad()
def matched_words(
    lm: LanguageModel, layer: int, rows: Tensor, k: int = 10
) -> list[tuple[tuple[WordScore, ...], tuple[WordScore, ...]]]:
    """For rows [n, d_model] of a layer, the words that they match most and least: the dot product
    with what the layer would be given of each token's own vector, without the norm's bias."""
    core, norm = _given(lm.model, layer)
    readers = rows if norm is None else rows * wide(norm.multiplier)
    return [
        (best_words(lm, scores, k), best_words(lm, scores, k, lowest=True))
        for scores in (core @ readers.T).T.contiguous()
    ]


@torch.no_grad()
def promoted_words(
    lm: LanguageModel, layer: int, columns: Tensor, k: int = 10
) -> list[tuple[tuple[WordScore, ...], tuple[WordScore, ...]]]:
    """For columns [n, d_model] of a layer, the words that they promote and demote most: through the
    gains of all later norms, by the dot product with the words' directions."""
    model = lm.model
    added = as_added(model, layer, columns)
    arrived = carry(added, path_to_end(model, layer))
    return [
        (best_words(lm, scores, k), best_words(lm, scores, k, lowest=True))
        for scores in (word_directions(model) @ arrived.T).T.contiguous()
    ]


def _given(model: Transformer, layer: int) -> tuple[Tensor, Norm | None]:
    for number, given in enumerate(mlp_inputs(model, token_vectors(model))):
        if number == layer:
            return given
    raise AssertionError("the layer was checked against the model")


def _rows(lm: LanguageModel, layer: int, neuron: int, k: int) -> tuple[RowReading, ...]:
    model = lm.model
    mlp = block_of(model, layer).mlp
    rows = torch.stack([matrix[neuron] for matrix in row_matrices(mlp)])
    column = as_added(model, layer, wide(mlp.w_out)[:, neuron])
    own = carry_back(rows, path_to_row(model, layer, since=(layer, "MLP")))
    words = matched_words(lm, layer, rows, k)
    neurons, before = _neurons_before(model, layer, rows, k)
    heads = _heads_before(model, layer, rows, k)
    return tuple(
        RowReading(
            name=("gate row", "up row")[number] if mlp.gated else "row",
            length=float(row.norm()),
            bias=_bias(model, layer, neuron, number, row),
            matched=words[number][0],
            opposed=words[number][1],
            neurons=neurons[number],
            neurons_before=before,
            heads=heads[number],
            head_chance=(model.config.d_head / model.config.d_model) ** 0.5,
            own_cosine=_cosine(own[number], column),
        )
        for number, row in enumerate(rows)
    )


def _bias(model: Transformer, layer: int, neuron: int, number: int, row: Tensor) -> float:
    """What is added to the row's dot product whatever the text: its bias, and the norm's bias as
    the row reads it."""
    block = block_of(model, layer)
    mlp, norm = block.mlp, block.norm2
    own = 0.0 if mlp.b_in is None else float(mlp.b_in[number * model.config.d_mlp + neuron])
    if norm.bias is None or block.place not in ("pre", "sandwich"):
        return own
    return own + float(row @ wide(norm.bias))


def _cosine(a: Tensor, b: Tensor) -> float:
    return float(a @ b / (a.norm() * b.norm()).clamp(min=torch.finfo(a.dtype).tiny))


def _neurons_before(
    model: Transformer, layer: int, rows: Tensor, k: int
) -> tuple[list[tuple[Source, ...]], int]:
    """For each row, the earlier neurons whose columns it reads most; and how many there are."""
    tiny = torch.finfo(rows.dtype).tiny
    found = []
    for earlier in range(layer):
        readers = carry_back(rows, path_to_row(model, layer, since=(earlier, "MLP")))
        columns = as_added(model, earlier, wide(block_of(model, earlier).mlp.w_out).T)
        lengths = readers.norm(dim=1)[:, None] * columns.norm(dim=1)
        found.append(readers @ columns.T / lengths.clamp(min=tiny))
    if not found:
        return [()] * len(rows), 0
    cosines = torch.cat(found, 1)
    spread, mean = torch.std_mean(cosines, 1, correction=0, keepdim=True)
    z = (cosines - mean) / spread.clamp(min=tiny)
    best = z.abs().topk(min(k, z.shape[1])).indices
    told = zip(
        best.tolist(), cosines.gather(1, best).tolist(), z.gather(1, best).tolist(), strict=True
    )
    width = model.config.d_mlp
    return [
        tuple(
            Source(f"neuron {at // width}.{at % width}", at // width, at % width, cosine, deviation)
            for at, cosine, deviation in zip(*one, strict=True)
        )
        for one in told
    ], z.shape[1]


def _heads_before(model: Transformer, layer: int, rows: Tensor, k: int) -> list[tuple[Source, ...]]:
    """For each row, the heads before it by the largest cosine of anything that they can write."""
    found = []
    for earlier in range(layer if model.config.parallel else layer + 1):
        readers = carry_back(rows, path_to_row(model, layer, since=(earlier, "attention")))
        spans = torch.linalg.qr(head_outputs(model, earlier)).Q  # [head, d_model, d_head]
        lengths = readers.norm(dim=1)[:, None].clamp(min=torch.finfo(rows.dtype).tiny)
        found.append(torch.einsum("hmd,rm->rhd", spans, readers).norm(dim=2) / lengths)
    if not found:
        return [()] * len(rows)
    cosines = torch.cat(found, 1)
    count = model.config.n_heads
    best = cosines.topk(min(k, cosines.shape[1]))
    return [
        tuple(
            Source(f"head {at // count}.{at % count}", at // count, at % count, cosine, None)
            for at, cosine in zip(places, values, strict=True)
        )
        for places, values in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def _column(lm: LanguageModel, layer: int, neuron: int, k: int) -> ColumnReading:
    column = wide(block_of(lm.model, layer).mlp.w_out)[:, neuron]
    ((promoted, demoted),) = promoted_words(lm, layer, column[None], k)
    length = float(as_added(lm.model, layer, column).norm())
    return ColumnReading(length, promoted, demoted, reads_words(lm.model))
