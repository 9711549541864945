"""Attribution: which features, errors and embeddings made which features and the next word, as a
graph of direct effects.

    graph = attribute(lm, "the spy was a", transcoders)
    graph.nodes, graph.effects            # effects[target, source]
    graph.closing_error                   # each node's parts against its own value

With attention patterns and norms' divisors held fast (`frozen.py`), a feature's pre-activation is
the sum of what every earlier feature, error and embedding adds to it, and of biases. An edge is one
of these parts: the source's value times its direction, through the linear map between them, onto
the target's encoder row. All are exact; nothing is an estimate. A layer without a transcoder has
its whole MLP output as an error node. Ameisen et al. 2025, "Circuit Tracing", sections on
attribution graphs; the graph is pruned by `graph.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from molehill.errors import ConfigError, TextError
from molehill.features.architectures import Gated
from molehill.features.autoencoder import Autoencoder
from molehill.features.frozen import Frozen, Reading, by_layer
from molehill.features.graph import Graph, Node, influences
from molehill.features.trained import Features
from molehill.language_model import LanguageModel
from molehill.model.transformer import Transformer
from molehill.text.tokens import Tokens

__all__ = ["attribute"]

_ROWS = 4096
"""Tokens of the copies of the text that one backward pass goes through together."""
_AT_ONCE = 256
"""Features that are looked into before the next ones are chosen, where not all are."""


def attribute(
    lm: LanguageModel,
    prompt: str | Tokens,
    transcoders: Sequence[Features],
    *,
    targets: Sequence[int] | None = None,
    most_features: int = 4096,
    progress: Callable[[int], object] | None = None,
) -> Graph:
    """The graph of direct effects for one prompt and the words that may follow it.

    Args:
        transcoders: one for each layer that has one; each reads what an MLP reads and writes what
            it writes.
        targets: next words that are explained; None: the fewest that have 95% of the probability,
            at most ten.
        most_features: if more are active, those are looked into that matter most for the targets,
            by what is known of the graph so far; the others' effects are kept as sums.
        progress: called with each batch's features.

    Raises:
        ConfigError: a model whose head is not linear, or autoencoders that are no transcoders of
            this model's MLPs.
        TextError: no token.
    """
    model = lm.model
    if not model.config.causal or not model.config.has_head or model.w_head is not None:
        raise ConfigError(f"{lm.name} has no linear head that predicts the next word.")
    tokens = lm.encode([prompt]) if isinstance(prompt, str) else prompt
    if len(tokens) != 1 or not int(tokens.lengths[0]):
        raise TextError("A graph is of one text with a token in it.")
    for each in transcoders:
        each.check(lm)
    frozen = Frozen(model, tokens, by_layer(model, transcoders))
    chosen = _targets(frozen.logits, targets)
    work = _Work(model, frozen, chosen, most_features)
    work.run(progress)
    return work.graph(lm, tokens)


def _targets(logits: Float[Tensor, " d_vocab"], asked: Sequence[int] | None) -> list[int]:
    if asked is not None:
        outside = [token for token in asked if not 0 <= token < len(logits)]
        if outside or not asked or len(set(asked)) < len(asked):
            raise TextError(
                f"Targets are {list(asked)}, expected different words of {len(logits)}."
            )
        return list(asked)
    likely, words = logits.double().softmax(-1).topk(min(10, len(logits)))
    enough = int((likely.cumsum(0) < 0.95).sum()) + 1
    return words[:enough].tolist()


@dataclass(frozen=True, eq=False)
class _Sources:
    """One layer's active features and error at every position."""

    places: Int[Tensor, " n"]
    """Each active feature's position."""
    features: Int[Tensor, " n"]
    values: Float[Tensor, " n"]
    vectors: Float[Tensor, "n d_model"]
    """What each adds: its value times its direction."""
    rows: Float[Tensor, "n d_model"]
    """What each asks with."""
    biases: Float[Tensor, " n"]
    error: Float[Tensor, "pos d_model"]
    constant: Float[Tensor, " d_model"]
    """The decoder's bias."""

    def __len__(self) -> int:
        return len(self.places)


class _Work:
    """A graph on its way: sources in columns, what has been looked into in rows."""

    def __init__(
        self, model: Transformer, frozen: Frozen, targets: Sequence[int], most: int
    ) -> None:
        self.frozen, self.targets = frozen, list(targets)
        self.layers = range(model.config.n_layers)
        self.length = len(frozen.start)
        self.sources = {layer: _sources(frozen, layer) for layer in self.layers}
        self.counts = [len(self.sources[layer]) for layer in self.layers]
        self.n_features = sum(self.counts)
        self.most = min(most, self.n_features)
        self.firsts = torch.tensor([0, *self.counts]).cumsum(0).tolist()
        self.columns = self.n_features + self.length * (len(self.layers) + 1)
        self.constants, self.end = frozen.constants()
        self.head = _head(model, self.targets, frozen.final)
        size = self.most + len(self.targets)
        self.effects = frozen.start.new_zeros(size, self.columns)
        self.bias = frozen.start.new_zeros(size)
        self.rows: list[int] = []
        """Which node each row is; a target word is -1 - its number."""

    # --- looking into nodes -----------------------------------------------------------------------

    def run(self, progress: Callable[[int], object] | None) -> None:
        """Fill the rows: targets first, then features."""
        numbers = list(range(len(self.targets)))
        self._look(None, numbers)
        while (left := self.most - (len(self.rows) - len(self.targets))) > 0:
            for layer, mine in self._next(left):
                self._look(layer, mine)
                if progress is not None:
                    progress(len(mine))

    def _next(self, left: int) -> Iterator[tuple[int, list[int]]]:
        """The features to look into now, by layer; all of them where there is room for all."""
        done = torch.zeros(self.n_features, dtype=torch.bool)
        done[[row for row in self.rows if row >= 0]] = True
        if self.most == self.n_features:
            chosen = (~done).nonzero().flatten()
        else:
            matter = self._matter()
            matter[done.to(matter.device)] = -1
            chosen = matter.topk(min(left, _AT_ONCE)).indices.sort().values.cpu()
        for layer in self.layers:
            first, end = self.firsts[layer], self.firsts[layer + 1]
            mine = chosen[(chosen >= first) & (chosen < end)] - first
            if len(mine):
                yield layer, mine.tolist()

    def _matter(self) -> Tensor:
        """How much each feature matters for the targets, by the rows that there are."""
        known = len(self.rows)
        whole = self.effects.new_zeros(self.columns + len(self.targets), self.columns)
        places = [row if row >= 0 else self.columns - 1 - row for row in self.rows]
        whole[places] = self.effects[:known]
        square = torch.nn.functional.pad(whole, (0, len(self.targets)))
        weights = square.new_zeros(len(square))
        weights[self.columns :] = self._weights().to(weights)
        return influences(square, weights)[: self.n_features]

    def _weights(self) -> Tensor:
        return self.frozen.logits.double().softmax(-1)[self.targets]

    def _look(self, layer: int | None, numbers: Sequence[int]) -> None:
        """Rows of some nodes of one layer, in batches of one size."""
        size = max(1, min(_ROWS // self.length, 128))
        for at in range(0, len(numbers), size):
            some = list(numbers[at : at + size])
            places, directions, biases = self._asked(layer, some)
            padded = torch.nn.functional.pad(directions, (0, 0, 0, size - len(some)))
            full = [*places, *[0] * (size - len(some))]
            reading = self.frozen.readings(layer, full, padded)
            rows = slice(len(self.rows), len(self.rows) + len(some))
            parts, bias = self._parts(reading, len(some))
            read = self.end if layer is None else self.constants[layer]
            own = (read[places] * directions.to(read)).sum(1) + biases.to(read)
            self.effects[rows] = parts
            self.bias[rows] = bias + own
            first = 0 if layer is None else self.firsts[layer]
            self.rows += [-1 - one if layer is None else first + one for one in some]

    def _asked(self, layer: int | None, numbers: Sequence[int]) -> tuple[list[int], Tensor, Tensor]:
        """Where nodes stand, what they ask with, and their own biases."""
        if layer is None:
            directions, biases = self.head
            return [self.length - 1] * len(numbers), directions[numbers], biases[numbers]
        own = self.sources[layer]
        return own.places[numbers].tolist(), own.rows[numbers], own.biases[numbers]

    def _parts(self, reading: Reading, count: int) -> tuple[Tensor, Tensor]:
        """What each source adds to `count` targets [count, columns], and what the decoders' biases
        add [count]."""
        parts = self.effects.new_zeros(count, self.columns)
        bias = self.bias.new_zeros(count)
        errors = self.n_features
        for layer, grad in reading.written.items():
            own, grad = self.sources[layer], grad[:count]
            first = self.firsts[layer]
            if len(own):
                found = torch.einsum("bnd,nd->bn", grad[:, own.places], own.vectors)
                parts[:, first : first + len(own)] = found
            at = errors + layer * self.length
            parts[:, at : at + self.length] = torch.einsum("bpd,pd->bp", grad, own.error)
            bias += grad.sum(1) @ own.constant
        parts[:, -self.length :] = torch.einsum(
            "bpd,pd->bp", reading.start[:count], self.frozen.start
        )
        return parts, bias

    # --- the result -------------------------------------------------------------------------------

    def graph(self, lm: LanguageModel, tokens: Tokens) -> Graph:
        """Nodes in order, effects between them, and sums of what was not looked into."""
        kept = sorted(row for row in self.rows if row >= 0)
        columns = [*kept, *range(self.n_features, self.columns)]
        nodes = [*self._feature_nodes(kept), *self._other_nodes(tokens)]
        logits = self._logit_nodes(lm)
        total = len(nodes) + len(logits)
        effects = self.effects.new_zeros(total, total)
        bias, unlisted = self.bias.new_zeros(total), self.bias.new_zeros(total)
        place = {node: number for number, node in enumerate(kept)}
        own = [place[row] if row >= 0 else len(nodes) - 1 - row for row in self.rows]
        known = self.effects[: len(self.rows)]
        effects[own, : len(nodes)] = known[:, columns]
        bias[own] = self.bias[: len(self.rows)]
        dropped = sorted(set(range(self.n_features)) - set(kept))
        unlisted[own] = known[:, dropped].sum(1)
        return Graph(
            model=lm.name,
            fingerprint=lm.fingerprint,
            transcoders=tuple(
                features.name for _, features in sorted(self.frozen.transcoders.items())
            ),
            prompt=tokens.texts[0] if tokens.texts else "",
            pieces=tokens.pieces[0] if tokens.pieces else tuple(map(str, tokens.row(0))),
            n_layers=len(self.layers),
            nodes=(*nodes, *logits),
            effects=effects,
            bias=bias,
            unlisted=unlisted,
            left_out=self.n_features - len(kept),
        )

    def _feature_nodes(self, kept: Sequence[int]) -> Iterator[Node]:
        for layer in self.layers:
            own = self.sources[layer]
            first, end = self.firsts[layer], self.firsts[layer + 1]
            for number in (node - first for node in kept if first <= node < end):
                yield Node(
                    "feature",
                    layer,
                    int(own.places[number]),
                    int(own.features[number]),
                    float(own.values[number]),
                )

    def _other_nodes(self, tokens: Tokens) -> Iterator[Node]:
        for layer in self.layers:
            for place, error in enumerate(self.sources[layer].error):
                yield Node("error", layer, place, None, float(error.norm()))
        for place, token in enumerate(tokens.row(0)):
            yield Node("embedding", None, place, int(token), float(self.frozen.start[place].norm()))

    def _logit_nodes(self, lm: LanguageModel) -> list[Node]:
        directions, biases = self.head
        scores = directions @ self.frozen.final[-1].to(directions) + biases
        pieces = [
            str(token) if lm.tokenizer is None else lm.tokenizer.piece(token)
            for token in self.targets
        ]
        return [
            Node("logit", None, self.length - 1, token, float(score), float(weight), piece)
            for token, score, weight, piece in zip(
                self.targets, scores, self._weights(), pieces, strict=True
            )
        ]


@torch.no_grad()
def _sources(frozen: Frozen, layer: int) -> _Sources:
    """A layer's active features with what they add and ask, and what they leave unexplained."""
    written = frozen.written[layer]
    features = frozen.transcoders.get(layer)
    if features is None:
        none = torch.zeros(0, dtype=torch.int64, device=written.device)
        empty = written.new_zeros(0, written.shape[1])
        nothing = written.new_zeros(0)
        return _Sources(
            none, none, nothing, empty, empty, nothing, written, written.new_zeros(len(empty.T))
        )
    autoencoder = features.autoencoder.to(written.device)
    read = frozen.read[layer]
    codes = autoencoder.encode(read)
    active = codes.active
    places, numbers = codes.row_of[active], codes.features[active]
    values = codes.values[active].to(written.dtype)
    order = (places * features.n_features + numbers).argsort()
    places, numbers, values = places[order], numbers[order], values[order]
    rows, biases = _asks(autoencoder, numbers)
    vectors = values[:, None] * autoencoder.w_dec[numbers].to(written.dtype)
    error = written - autoencoder(read).to(written.dtype)
    return _Sources(
        places,
        numbers,
        values,
        vectors,
        rows.to(written.dtype),
        biases.to(written.dtype),
        error,
        autoencoder.b_dec.detach().to(written.dtype),
    )


def _asks(autoencoder: Autoencoder, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """The linear map of the input that gives an active feature's value."""
    rows, biases = autoencoder.w_enc[numbers], autoencoder.b_enc[numbers]
    if isinstance(autoencoder, Gated):
        rows = rows * autoencoder.log_ratio.exp()[numbers, None]
        biases = autoencoder.b_mag[numbers]
    if autoencoder.settings.centred:
        biases = biases - rows @ autoencoder.b_dec
    return rows.detach(), biases.detach()


@torch.no_grad()
def _head(model: Transformer, targets: Sequence[int], final: Tensor) -> tuple[Tensor, Tensor]:
    """What words ask `final` with, less the mean word, which moves no probability; and biases."""
    table = model.unembedding
    directions = (table[list(targets)] - table.mean(0)).to(final.dtype)
    if model.w_embed_out is not None:
        directions = directions @ model.w_embed_out.detach().to(final.dtype)
    biases = directions.new_zeros(len(directions))
    if model.b_unembed is not None:
        whole = model.b_unembed.detach().to(final.dtype)
        biases = whole[list(targets)] - whole.mean()
    return directions.detach(), biases
