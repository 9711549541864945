"""The sizes and choices of a transformer, and the glossary of its axes.

Axes, everywhere in the project:

    batch      texts side by side             d_model   width of the residual stream
    pos        positions in a text            d_head    width of one attention head
    query key  positions, as attention        d_mlp     neurons in one MLP
               sees them                      d_vocab   tokens in the vocabulary
    head       attention heads                layer     blocks, counted from 0

This module validates and derives; it knows nothing of weights, files or text.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from molehill.errors import ConfigError

__all__ = ["Activation", "ModelConfig", "NormPlace", "RopeScaling"]

Activation = Literal["relu", "gelu", "gelu_tanh", "silu"]
NormPlace = Literal["pre", "post", "block_end", "sandwich"]

# Far above any model in use and far below what a hostile file could ask for.
_LARGEST_SIZE = 2**24

# Which fields are what; a config may come from a file, where anything may stand.
_SIZES = ("n_layers", "d_model", "n_heads", "d_head", "d_mlp", "d_vocab", "n_ctx")
_OPTIONAL_SIZES = ("n_kv_heads", "window", "rotary_dims", "d_embed")
_COUNTS = ("position_offset", "token_types")
_NUMBERS = ("norm_eps", "norm_offset", "rope_theta", "embed_scale")
_OPTIONAL_NUMBERS = ("attn_scale", "attn_softcap", "rope_theta_windowed", "final_softcap")
_CHOICES = {
    "activation": get_args(Activation),
    "norm": ("layer", "rms"),
    "norm_place": get_args(NormPlace),
    "positions": ("learned", "rotary", "none"),
}
_FLAGS = (
    "causal",
    "qk_norm",
    "qkv_bias",
    "attn_out_bias",
    "gated",
    "mlp_bias",
    "final_norm",
    "parallel",
    "embed_norm",
    "tied",
    "unembed_bias",
    "head_transform",
    "has_head",
)


@dataclass(frozen=True)
class RopeScaling:
    """How rotary frequencies are stretched for long contexts: `linear`, or Llama 3's piecewise
    rule."""

    kind: Literal["linear", "llama3"]
    factor: float
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_context: int = 8192

    def __post_init__(self) -> None:
        numbers = (self.factor, self.low_freq_factor, self.high_freq_factor, self.original_context)
        known = self.kind in ("linear", "llama3")
        if not known or not all(isinstance(n, int | float) and n > 0 for n in numbers):
            raise ConfigError(
                f"Rotary positions cannot be stretched like this: {self!r:.120}; expected linear "
                "or llama3 and numbers above zero."
            )
        if self.low_freq_factor >= self.high_freq_factor:
            raise ConfigError(
                f"Llama 3's low_freq_factor {self.low_freq_factor} must be below its "
                f"high_freq_factor {self.high_freq_factor}."
            )


@dataclass(frozen=True)
class ModelConfig:
    """Everything that tells one transformer from another. Frozen; construction validates and does
    nothing else.

    Raises:
        ConfigError: sizes or choices that contradict one another; all of them are listed at once.
    """

    n_layers: int
    d_model: int
    n_heads: int
    d_head: int
    d_mlp: int
    d_vocab: int
    n_ctx: int
    """The longest text, in tokens."""

    n_kv_heads: int | None = None
    """Heads that keys and values have; fewer than `n_heads` is grouped attention. None: as many as
    `n_heads`."""
    causal: bool = True
    """Whether a token sees only what stands before it."""
    window: int | None = None
    """A token sees at most this many tokens back, itself included, in the layers of
    `windowed_layers`."""
    windowed_layers: tuple[int, ...] = ()
    attn_scale: float | None = None
    """What scores are multiplied by. None: 1/sqrt(d_head)."""
    attn_softcap: float | None = None
    """Scores become cap * tanh(scores / cap) (Gemma 2)."""
    qk_norm: bool = False
    """An RMS norm over each query's and key's d_head, before the rotation (Qwen 3, Gemma 3)."""
    qkv_bias: bool = False
    attn_out_bias: bool = False

    activation: Activation = "relu"
    gated: bool = False
    """Whether a neuron is act(gate) * up instead of act(up)."""
    mlp_bias: bool = False

    norm: Literal["layer", "rms"] = "layer"
    norm_place: NormPlace = "pre"
    """pre: x + f(norm(x)). post: norm(x + f(x)). block_end: one norm after attention and MLP have
    both been added (the notes' block). sandwich: x + norm(f(norm(x)))."""
    norm_eps: float = 1e-5
    norm_offset: float = 0.0
    """Added to a norm's stored gain (Gemma stores gain - 1)."""
    final_norm: bool = True
    parallel: bool = False
    """Attention and MLP read the same residual stream and are added together (GPT-NeoX)."""

    positions: Literal["learned", "rotary", "none"] = "learned"
    position_offset: int = 0
    """Rows of the position table that stand before position 0 (OPT and RoBERTa: 2)."""
    rotary_dims: int | None = None
    """How many of d_head's dimensions turn. None: all of them."""
    rope_theta: float = 10_000.0
    rope_theta_windowed: float | None = None
    """Another base for windowed layers (Gemma 3). None: the same."""
    rope_scaling: RopeScaling | None = None

    embed_scale: float = 1.0
    """What token embeddings are multiplied by (Gemma: sqrt(d_model))."""
    embed_norm: bool = False
    """A norm after the embeddings are added up (BERT)."""
    token_types: int = 0
    """Rows of a token-type table whose row 0 is added to every token (BERT)."""
    d_embed: int | None = None
    """Width of the token table where it differs from d_model; a projection joins them
    (OPT-350m)."""

    tied: bool = True
    """Whether the unembedding is the token table."""
    unembed_bias: bool = False
    head_transform: bool = False
    """A dense layer, activation and norm before the unembedding (BERT's and RoBERTa's masked-word
    head)."""
    has_head: bool = True
    """Whether the model predicts words at all (MiniLM does not)."""
    final_softcap: float | None = None

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise ConfigError("The model's sizes do not go together: " + "; ".join(problems) + ".")

    def _problems(self) -> Iterator[str]:
        wrong_values = list(self._wrong_values())
        yield from wrong_values
        if not wrong_values:
            yield from self._contradictions()

    def _wrong_values(self) -> Iterator[str]:
        """Values of a wrong type or out of bounds, one by one."""
        for name in (*_SIZES, *_OPTIONAL_SIZES):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            absent = value is None and name in _OPTIONAL_SIZES
            if not absent and not (whole and 0 < value <= _LARGEST_SIZE):
                yield f"{name} is {value!r:.40}, expected a whole number from 1 to {_LARGEST_SIZE}"
        for name in _COUNTS:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**16:
                yield f"{name} is {value!r:.40}, expected a whole number from 0 to {2**16 - 1}"
        for name in (*_NUMBERS, *_OPTIONAL_NUMBERS):
            value = getattr(self, name)
            absent = value is None and name in _OPTIONAL_NUMBERS
            if not absent and not (isinstance(value, int | float) and 0 <= value < float("inf")):
                yield f"{name} is {value!r:.40}, expected a finite number from 0"
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                yield f"{name} is {value!r:.40}, expected one of {', '.join(choices)}"
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                yield f"{name} is {getattr(self, name)!r:.40}, expected true or false"
        if not all(isinstance(layer, int) for layer in self.windowed_layers):
            yield "windowed_layers holds something other than layer numbers"

    def _contradictions(self) -> Iterator[str]:
        if self.n_heads % self.kv_heads:
            yield f"n_heads {self.n_heads} is not a multiple of n_kv_heads {self.kv_heads}"
        if self.parallel and self.norm_place != "pre":
            yield f"parallel blocks need norm_place 'pre', not {self.norm_place!r}"
        if self.rotary_dims is not None and (
            self.rotary_dims > self.d_head or self.rotary_dims % 2
        ):
            yield f"rotary_dims {self.rotary_dims} must be even and at most d_head {self.d_head}"
        if self.positions == "rotary" and self.rotary_dims is None and self.d_head % 2:
            yield f"rotary positions need an even d_head, not {self.d_head}"
        if bad := [layer for layer in self.windowed_layers if not 0 <= layer < self.n_layers]:
            yield f"windowed_layers {bad} lie outside the {self.n_layers} layers"
        if self.windowed_layers and self.window is None:
            yield "windowed_layers are given without a window"

    @property
    def kv_heads(self) -> int:
        """Heads that keys and values have."""
        return self.n_heads if self.n_kv_heads is None else self.n_kv_heads

    @property
    def score_scale(self) -> float:
        """What attention scores are multiplied by."""
        return self.d_head**-0.5 if self.attn_scale is None else self.attn_scale

    @property
    def token_width(self) -> int:
        """Columns of the token table."""
        return self.d_model if self.d_embed is None else self.d_embed

    def window_of(self, layer: int) -> int | None:
        """How far back a token sees in `layer`, itself included; None is without limit."""
        return self.window if layer in self.windowed_layers else None

    def theta_of(self, layer: int) -> float:
        """The rotary base of `layer`."""
        if self.rope_theta_windowed is not None and layer in self.windowed_layers:
            return self.rope_theta_windowed
        return self.rope_theta

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """The inverse of `to_dict`.

        Raises:
            ConfigError: fields that are missing or unknown, all named.
        """
        names = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - names):
            raise ConfigError(
                f"Unknown fields in the model's config: {', '.join(unknown)}. "
                f"Known: {', '.join(sorted(names))}."
            )
        values = dict(values)
        try:
            if values.get("rope_scaling"):
                values["rope_scaling"] = RopeScaling(**values["rope_scaling"])
            values["windowed_layers"] = tuple(values.get("windowed_layers", ()))
            return cls(**values)
        except TypeError as error:
            raise ConfigError(f"The model's config is incomplete: {error}.") from None
