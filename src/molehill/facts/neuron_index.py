"""The search the other way round: which neurons write a word, and which ask for it, in the whole
model.

    index = NeuronIndex.build(lm)
    index.writing("basketball", k=20)      # columns that promote it
    index.asking("Jordan", k=20)           # rows that match it

A score is a dot product that the weights already hold, so nothing is copied: what has to be known
beforehand is how far each neuron's scores spread over the vocabulary, one number each for row and
column. A query reads the up or the down matrices once, against one vector per layer. Scores are
the z of `words.py`. Reading columns through the unembedding is the method of Geva et al.,
"Transformer Feed-Forward Layers Build Predictions by Promoting Concepts in the Vocabulary Space"
(2022). This file knows nothing of texts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from molehill.errors import FactError, TextError
from molehill.facts.carrying import (
    as_added,
    as_added_back,
    block_of,
    carry,
    carry_back,
    path_to_end,
    wide,
)
from molehill.facts.showing import few
from molehill.facts.words import (
    Spread,
    best_of_chance,
    mlp_inputs,
    piece_of,
    reads_words,
    token_vectors,
    word_directions,
)
from molehill.language_model import LanguageModel
from molehill.model.transformer import MLP, Transformer
from molehill.text.next_word import next_token

__all__ = ["Hit", "LayerHits", "NeuronIndex", "RowName", "Search", "row_matrices"]

RowName = Literal["gate", "up"]


@dataclass(frozen=True)
class Hit:
    """A neuron that was found."""

    layer: int
    neuron: int
    score: float
    """The dot product of its row or column with the word, the vocabulary's mean taken off, in the
    model's own units."""
    z: float
    """The same in standard deviations over the vocabulary. Below nothing where a gated MLP's
    column promotes the word when it is multiplied by a negative coefficient."""

    @property
    def label(self) -> str:
        return f"neuron {self.layer}.{self.neuron}"


@dataclass(frozen=True)
class LayerHits:
    """What all neurons of one layer are like to the word."""

    beyond: int
    """How many lie beyond what chance reaches in the whole model."""
    best: float
    """The z of the one that would be ranked first."""


@dataclass(frozen=True)
class Search:
    """What a search found, best first."""

    kind: Literal["writes", "asks"]
    token: int
    piece: str
    hits: tuple[Hit, ...]
    neurons: int
    """How many were looked at."""
    both_signs: bool
    """Whether neurons were ranked by the size of z, whatever its sign."""
    row: RowName | None
    """Of a gated MLP, which rows were asked."""
    through_head: bool
    """Whether columns were held against the unembedding; else against the tokens' own vectors."""
    layers: tuple[LayerHits, ...]
    """One for each layer, of all its neurons, whether they are among the hits or not."""

    @property
    def beyond(self) -> int:
        """How many neurons of the whole model lie beyond what chance reaches."""
        return sum(layer.beyond for layer in self.layers)

    @property
    def chance(self) -> float:
        """What the best of so many random neurons would reach, about."""
        return best_of_chance(self.neurons * (2 if self.both_signs else 1))

    def __repr__(self) -> str:
        return few(
            f"Search of {self.neurons:,} neurons, {self.kind} {self.piece!r}; chance reaches "
            f"{self.chance:.1f}",
            [f"{hit.z:+.1f} {hit.label}" for hit in self.hits],
        )

    def __str__(self) -> str:
        found = ", ".join(f"{hit.layer}.{hit.neuron} ({hit.z:+.1f})" for hit in self.hits[:5])
        return f"{self.kind} {self.piece!r}: {found}; chance reaches {self.chance:.1f}"


@dataclass(frozen=True, eq=False)
class NeuronIndex:
    """How far every neuron's scores spread over the vocabulary, and the means to ask.

    Attributes:
        rows: of the rows that ask (a gated MLP's gate rows) [layer, neuron].
        ups: of a gated MLP's up rows [layer, neuron]; None without gates.
        columns: [layer, neuron].
        row_means: the mean over the vocabulary of what each layer is given (`mlp_inputs`), before
            the norm's gain [d_model] each.
        word_mean: the mean of the words' directions [d_model].
    """

    lm: LanguageModel
    rows: Tensor
    ups: Tensor | None
    columns: Tensor
    row_means: tuple[Tensor, ...]
    word_mean: Tensor
    _state: tuple[tuple[int, int], ...] = field(repr=False)

    def __repr__(self) -> str:
        layers, width = self.columns.shape
        return few(
            f"NeuronIndex of {self.lm.name}: {layers * width:,} neurons in {layers} layers, "
            f"{self.nbytes:,} bytes",
            ["writing(word): columns that promote it", "asking(word): rows that match it"],
        )

    @classmethod
    @torch.no_grad()
    def build(
        cls, lm: LanguageModel, *, progress: Callable[[int], None] | None = None
    ) -> NeuronIndex:
        """Measure every neuron's spread.

        Args:
            progress: called after each layer with 1.
        """
        model = lm.model
        words = Spread.of(word_directions(model))
        spread, core = None, None
        rows, ups, columns, means = [], [], [], []
        for layer, (given, norm) in enumerate(mlp_inputs(model, token_vectors(model))):
            if spread is None or given is not core:
                spread, core = Spread.of(given), given
            means.append(spread.mean)
            gain = None if norm is None else wide(norm.multiplier)
            asked = row_matrices(block_of(model, layer).mlp)
            measured = [spread.deviations(one if gain is None else one * gain) for one in asked]
            rows.append(measured[0])
            ups += measured[1:]
            written = as_added(model, layer, wide(block_of(model, layer).mlp.w_out).T)
            columns.append(words.deviations(carry(written, path_to_end(model, layer))))
            if progress is not None:
                progress(1)
        return cls(
            lm,
            torch.stack(rows),
            torch.stack(ups) if ups else None,
            torch.stack(columns),
            tuple(means),
            words.mean,
            _state_of(model),
        )

    @property
    def nbytes(self) -> int:
        """How many bytes it holds beside the model."""
        means = {mean.data_ptr(): mean for mean in self.row_means}.values()
        held = [self.rows, self.columns, self.word_mean, *means]
        held += [] if self.ups is None else [self.ups]
        return sum(one.numel() * one.element_size() for one in held)

    @torch.no_grad()
    def writing(self, word: str | int, k: int = 20, *, both_signs: bool | None = None) -> Search:
        """The neurons whose column promotes a word most.

        Args:
            word: one token of the vocabulary, as `next_token` finds it, or its number.
            both_signs: rank by the size of z: with a coefficient below nothing a neuron promotes
                what its column demotes. None: where MLPs are gated, whose coefficients have either
                sign.

        Raises:
            TextError: the word is no single token, or the model has no tokenizer.
            FactError: the weights were changed since the index was built.
        """
        model, token = self.lm.model, self._token(word)
        toward = word_directions(model, self._one(token))[0] - self.word_mean
        scores = []
        for layer in range(model.config.n_layers):
            reader = carry_back(toward, path_to_end(model, layer))
            reader = as_added_back(model, layer, reader)
            scores.append(reader @ wide(block_of(model, layer).mlp.w_out))
        signs = model.config.gated if both_signs is None else both_signs
        return self._found("writes", token, torch.stack(scores), self.columns, k, signs, None)

    @torch.no_grad()
    def asking(
        self, word: str | int, k: int = 20, *, row: RowName = "gate", both_signs: bool = False
    ) -> Search:
        """The neurons whose row matches a word most.

        Args:
            word: as for `writing`.
            row: of a gated MLP, whether the gate rows are meant, which decide if a neuron fires, or
                the up rows, which decide how much and with which sign.
            both_signs: rank by the size of z: a row may also be against a word.

        Raises:
            TextError: the word is no single token, or the model has no tokenizer.
            FactError: the weights were changed since the index was built, or up rows of an MLP
                without gates.
        """
        model, token = self.lm.model, self._token(word)
        if row == "up" and self.ups is None:
            raise FactError(
                f"{self.lm.name} has no gates, so each neuron has one row: leave row='up' away."
            )
        scores = []
        for layer, (core, norm) in enumerate(
            mlp_inputs(model, token_vectors(model, self._one(token)))
        ):
            given = core[0] - self.row_means[layer]
            given = given if norm is None else given * wide(norm.multiplier)
            asked = row_matrices(block_of(model, layer).mlp)
            scores.append(asked[-1 if row == "up" else 0] @ given)
        spreads = self.ups if row == "up" and self.ups is not None else self.rows
        told: RowName | None = None if self.ups is None else row
        return self._found("asks", token, torch.stack(scores), spreads, k, both_signs, told)

    def _found(
        self,
        kind: Literal["writes", "asks"],
        token: int,
        scores: Tensor,
        spreads: Tensor,
        k: int,
        signs: bool,
        row: RowName | None,
    ) -> Search:
        z = scores / spreads.clamp(min=torch.finfo(spreads.dtype).tiny)
        sized = z.abs() if signs else z
        ranked = sized.flatten()
        best = ranked.topk(min(k, ranked.numel())).indices
        places = [divmod(place, spreads.shape[1]) for place in best.tolist()]
        values = scores.flatten()[best].tolist(), z.flatten()[best].tolist()
        hits = tuple(
            Hit(layer, neuron, score, deviation)
            for (layer, neuron), score, deviation in zip(places, *values, strict=True)
        )
        piece, head = piece_of(self.lm, token), reads_words(self.lm.model)
        chance = best_of_chance(ranked.numel() * (2 if signs else 1))
        layers = tuple(
            LayerHits(int(count), float(own[at]))
            for count, at, own in zip((sized > chance).sum(1), sized.argmax(1), z, strict=True)
        )
        return Search(kind, token, piece, hits, ranked.numel(), signs, row, head, layers)

    def _token(self, word: str | int) -> int:
        if _state_of(self.lm.model) != self._state:
            raise FactError(
                f"The weights of {self.lm.name} were changed since the index was built: build it "
                "again."
            )
        size = self.lm.config.d_vocab
        if isinstance(word, int):
            if not 0 <= word < size:
                raise TextError(f"There is no token {word}: the vocabulary has {size}.")
            return word
        if self.lm.tokenizer is None:
            raise TextError(f"{self.lm.name} came without a tokenizer: give a token's number.")
        return next_token(self.lm.tokenizer, word)

    def _one(self, token: int) -> Tensor:
        return torch.tensor([token], device=self.lm.model.device)


def row_matrices(mlp: MLP) -> tuple[Tensor, ...]:
    """What asks, [neuron, d_model]: the up matrix, or of a gated MLP the gate and the up matrix."""
    return wide(mlp.w_in).chunk(2) if mlp.gated else (wide(mlp.w_in),)


def _state_of(model: Transformer) -> tuple[tuple[int, int], ...]:
    """Torch counts the changes of each tensor: equal counts, equal weights."""
    return tuple((weight.data_ptr(), weight._version) for weight in model.parameters())
