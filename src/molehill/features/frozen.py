"""Frozen: one run of a model held fast until it is linear, to be asked for direct effects.

Attention patterns and the divisors of norms are what they were in the run; at every layer what the
MLP writes is a value of its own, put in from outside (a skip transcoder's linear map of what it
reads is added to it). What is left is affine: every read vector is a sum of linear maps of the
embeddings and of what earlier MLPs wrote, and a constant. A backward pass from a direction at one
place gives that direction's reading of every place before it, exactly. The local replacement model
of Ameisen et al. 2025, "Circuit Tracing", without its features: those are `attribution.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from molehill.errors import ConfigError
from molehill.features.trained import Features
from molehill.model.sites import all_sites, parse_site
from molehill.model.transformer import Transformer
from molehill.text.tokens import Tokens
from molehill.trace.record import record

__all__ = ["START", "Frozen", "Reading", "by_layer"]

START = "0.resid_pre"
"""Where the embeddings enter: token and position together."""


def by_layer(model: Transformer, transcoders: Sequence[Features]) -> dict[int, Features]:
    """Transcoders by the layer whose MLP they stand for.

    Raises:
        ConfigError: an autoencoder that is no transcoder of one MLP, or two of the same layer.
    """
    found: dict[int, Features] = {}
    order = all_sites(model.config)
    for features in transcoders:
        sites = (*features.reads, *features.writes)
        layers = {parse_site(site)[0] for site in sites}
        names = {parse_site(site)[1] for site in features.writes}
        fits = len(sites) == 2 and len(layers) == 1 and names <= {"mlp.out", "mlp.raw"}
        if (
            not fits
            or not set(sites) <= set(order)
            or order.index(sites[0]) > order.index(sites[1])
        ):
            raise ConfigError(
                f"{features.name} reads {', '.join(features.reads)} and writes "
                f"{', '.join(features.writes)}: a graph is of transcoders of one layer's MLP each, "
                "such as 3.mlp.in -> 3.mlp.out."
            )
        layer = layers.pop()
        assert layer is not None, "sites of an MLP have a layer"
        if layer in found:
            raise ConfigError(
                f"{found[layer].name} and {features.name} are both of layer {layer}: give one."
            )
        found[layer] = features
    return found


@dataclass(frozen=True)
class Reading:
    """What directions at one place read of every place before it, a batch of them."""

    start: Float[Tensor, "batch pos d_model"]
    """At the embeddings."""
    written: Mapping[int, Float[Tensor, "batch pos d_model"]]
    """At what each layer's MLP writes."""


class Frozen:
    """A run of one text, held fast.

    Args:
        model: causal, with a head that is linear.
        tokens: one text.
        transcoders: by layer.

    Attributes:
        start: the embeddings [pos, d_model].
        read: by layer with a transcoder, what it reads [pos, d_model].
        written: by layer, what the MLP wrote [pos, d_model].
        final: what the unembedding reads [pos, d_model].
        logits: of the next word after the text [d_vocab].
    """

    def __init__(
        self, model: Transformer, tokens: Tokens, transcoders: Mapping[int, Features]
    ) -> None:
        self.model, self.ids = model, tokens.ids.to(model.device)
        self.transcoders = transcoders
        layers = range(model.config.n_layers)
        self._writes = {
            layer: transcoders[layer].writes[0] if layer in transcoders else f"{layer}.mlp.out"
            for layer in layers
        }
        self._reads = {layer: each.reads[0] for layer, each in transcoders.items()}
        held = [site for site in all_sites(model.config) if _is_held(site)]
        wanted = [START, *held, *self._writes.values(), *self._reads.values(), "final"]
        trace = record(model, tokens, list(dict.fromkeys(wanted)), logits="last")
        values = {site: trace[site][0] for site in wanted}
        self._held = {site: values[site] for site in held}
        self.start, self.final = values[START], values["final"]
        self.read = {layer: values[site] for layer, site in self._reads.items()}
        self.written = {layer: values[site] for layer, site in self._writes.items()}
        self.logits = trace["logits"][0, -1]
        self._graph: _Graph | None = None

    @torch.no_grad()
    def constants(self) -> tuple[dict[int, Tensor], Tensor]:
        """What is read where nothing is put in: biases on their way, by layer [pos, d_model], and
        at the end [pos, d_model]."""
        nothing = torch.zeros_like(self.start)[None]
        graph = self._run(nothing, {layer: nothing for layer in self._writes})
        return {layer: value[0] for layer, value in graph.read.items()}, graph.final[0]

    def readings(
        self, layer: int | None, places: Sequence[int], directions: Float[Tensor, "n d_model"]
    ) -> Reading:
        """What each direction, at its own position of what a layer's transcoder reads, reads of all
        that came before; layer None: of what the unembedding reads.

        The graph of a batch is kept: ask for batches of one size.
        """
        graph = self._graph
        if graph is None or len(graph.final) != len(places):
            graph = self._graph = self._with_graph(len(places))
        end = graph.final if layer is None else graph.read[layer]
        weight = torch.zeros_like(end)
        weight[torch.arange(len(places)), list(places)] = directions.to(end)
        before = [each for each in graph.written if layer is None or each < layer]
        leaves = [graph.start, *(graph.written[each] for each in before)]
        found = torch.autograd.grad(end, leaves, weight, retain_graph=True)
        return Reading(found[0], dict(zip(before, found[1:], strict=True)))

    def _with_graph(self, size: int) -> _Graph:
        def leaf(value: Tensor) -> Tensor:
            return value.detach().expand(size, *value.shape).clone().requires_grad_()

        with torch.enable_grad():
            written = {layer: leaf(self._put(layer)) for layer in self._writes}
            return self._run(leaf(self.start), written)

    def _put(self, layer: int) -> Tensor:
        """What is put in at a layer: what the MLP wrote, less what the skip adds by itself."""
        features = self.transcoders.get(layer)
        if features is None:
            return self.written[layer]
        with torch.no_grad():
            return self.written[layer] - features.autoencoder.skipped(self.read[layer])

    def _run(self, start: Tensor, written: dict[int, Tensor]) -> _Graph:
        graph = _Graph(self, start, written)
        ids = self.ids.expand(len(start), -1)
        self.model(ids, watch=graph, logits="none")
        return graph


class _Graph:
    """A watcher that holds a run fast, and keeps what is read with its graph."""

    def __init__(self, frozen: Frozen, start: Tensor, written: dict[int, Tensor]) -> None:
        self.frozen, self.start, self.written = frozen, start, written
        self.read: dict[int, Tensor] = {}
        self.final = start
        self._reads = {site: layer for layer, site in frozen._reads.items()}
        self._writes = {site: layer for layer, site in frozen._writes.items()}
        self._sites = {START, "final", *self._reads, *self._writes, *frozen._held}

    def begin(self, positions: Tensor, real: Tensor) -> None:
        """Nothing."""

    def wants(self, site: str) -> bool:
        """Whether the value is held, kept or put in."""
        return site in self._sites

    def __call__(self, site: str, x: Tensor) -> Tensor:
        """What the run goes on with."""
        if site in self.frozen._held:
            held = self.frozen._held[site]
            return held.expand(len(x), *held.shape)
        if site in self._writes:
            return self._put_in(self._writes[site])
        if site == START:
            return self.start
        if site in self._reads:
            self.read[self._reads[site]] = x
        if site == "final":
            self.final = x
        return x

    def _put_in(self, layer: int) -> Tensor:
        features = self.frozen.transcoders.get(layer)
        if features is None or features.autoencoder.w_skip is None:
            return self.written[layer]
        skip = features.autoencoder.w_skip.detach()
        read = self.read[layer]
        return self.written[layer] + (read.to(skip.dtype) @ skip.T).to(read.dtype)


def _is_held(site: str) -> bool:
    _, name = parse_site(site)
    if name == "attn.pattern":
        return True
    return name.endswith("_scale") and name not in (
        "attn.q_scale",
        "attn.k_scale",
        "embed_norm_scale",
    )
