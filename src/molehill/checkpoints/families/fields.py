"""Reading a foreign config field by field, so that a wrong one is named before anything is made
of it.

A config file comes from a stranger: a number may be negative, huge, a string or missing. This
module knows types and bounds, and no architecture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from molehill.errors import ConfigError
from molehill.model import RopeScaling
from molehill.model.config import Activation

__all__ = ["Fields", "read_rope", "write_activation", "write_rope"]

# Above any model known, and small enough that a list of layers can be made without thought.
_MOST_LAYERS = 4096
_LARGEST_SIZE = 2**24
_REQUIRED: Any = object()

_ACTIVATIONS: dict[str, Activation] = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
}


class Fields:
    """A config's values, read by name with type and bounds checked.

    Where several names are given, the first one that the config has (and that is not null) counts:
    the dialects of a config differ in names more than in meaning.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        if not isinstance(values, Mapping):
            raise ConfigError(f"{where} holds {_shown(values)}, expected an object with fields.")
        self.values = values
        self.where = where

    def get(self, *names: str, default: Any = None) -> Any:
        """The value of the first of `names` that is there and not null."""
        for name in names:
            if self.values.get(name) is not None:
                return self.values[name]
        return default

    def size(
        self, *names: str, default: Any = _REQUIRED, least: int = 1, most: int = _LARGEST_SIZE
    ) -> int:
        """A whole number from `least` to `most`."""
        value = self._value(names, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self._wrong(names, value, f"a whole number from {least} to {most}")
        return value

    def size_or_none(self, *names: str) -> int | None:
        """As `size`; None if the config has none of `names`."""
        return None if self.get(*names) is None else self.size(*names)

    def number_or_none(self, *names: str) -> float | None:
        """As `number`; None if the config has none of `names`."""
        return None if self.get(*names) is None else self.number(*names)

    def layers(self, *names: str) -> int:
        """The number of layers."""
        return self.size(*names, most=_MOST_LAYERS)

    def number(self, *names: str, default: Any = _REQUIRED) -> float:
        """A finite number above zero."""
        value = self._value(names, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(names, value, "a number above zero")
        try:
            value = float(value)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value) or value <= 0:
            raise self._wrong(names, value, "a finite number above zero")
        return value

    def flag(self, *names: str, default: bool) -> bool:
        """true or false."""
        value = self._value(names, default)
        if not isinstance(value, bool):
            raise self._wrong(names, value, "true or false")
        return value

    def text(self, *names: str, default: Any = _REQUIRED) -> str:
        """A string."""
        value = self._value(names, default)
        if not isinstance(value, str):
            raise self._wrong(names, value, "a string")
        return value

    def with_defaults(self, defaults: Mapping[str, Any]) -> Fields:
        """The same fields, with `defaults` for what is absent; null stays null."""
        return Fields({**defaults, **self.values}, self.where)

    def part(self, name: str) -> Fields:
        """The fields of a nested object; empty if it is absent."""
        value = self.get(name, default={})
        if not isinstance(value, Mapping):
            raise self._wrong((name,), value, "an object")
        return Fields(value, f"{self.where}, {name}")

    def activation(self, *names: str, default: str) -> Activation:
        """An activation function, by any of its names."""
        value = self.text(*names, default=default)
        if value not in _ACTIVATIONS:
            raise self._wrong(names, value, f"one of {', '.join(_ACTIVATIONS)}")
        return _ACTIVATIONS[value]

    def layer_types(self, n_layers: int) -> list[str] | None:
        """The kind of attention in each layer, where the config lists it."""
        value = self.get("layer_types")
        if value is None:
            return None
        known = ("full_attention", "sliding_attention")
        if not isinstance(value, list) or any(kind not in known for kind in value):
            raise self._wrong(("layer_types",), value, f"a list of {' and '.join(known)}")
        if len(value) != n_layers:
            raise self._wrong(("layer_types",), value, f"{n_layers} entries, one for each layer")
        return value

    def must(self, name: str, expected: Any, *, default: Any) -> None:
        """Refuse a choice that this project's model does not have."""
        value = self.get(name, default=default)
        if value != expected:
            raise ConfigError(
                f"{self.where}: {name} is {_shown(value)}, and only {expected!r} is supported."
            )

    def head_width(self, d_model: int, n_heads: int, *names: str) -> int:
        """The width of a head: as given, or d_model shared out among the heads."""
        given = self.size_or_none(*names)
        if given is not None:
            return given
        if d_model % n_heads:
            raise ConfigError(
                f"{self.where}: a width of {d_model} cannot be shared out among {n_heads} heads."
            )
        return d_model // n_heads

    def _value(self, names: tuple[str, ...], default: Any) -> Any:
        value = self.get(*names, default=default)
        if value is _REQUIRED:
            raise ConfigError(f"{self.where} has no {names[0]!r}, which the model needs.")
        return value

    def _wrong(self, names: tuple[str, ...], value: Any, expected: str) -> ConfigError:
        name = next((name for name in names if self.values.get(name) is not None), names[0])
        return ConfigError(f"{self.where}: {name} is {_shown(value)}, expected {expected}.")


def _shown(value: Any) -> str:
    """A stranger's value for a message: short, on one line."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # absurdly deep, or an integer of absurdly many digits
        text = f"a {type(value).__name__} too large to show"
    return text if len(text) <= 60 else text[:57] + "..."


def read_rope(
    fields: Fields, *, default_theta: float, default_context: int, layer_type: str | None = None
) -> tuple[float, RopeScaling | None, float | None]:
    """Rotary base, stretching and the share of dimensions that turn, from either dialect.

    Args:
        fields: The model's config.
        default_theta: The architecture's own base, for configs that say nothing.
        default_context: The context that `llama3` stretching starts from if it says nothing.
        layer_type: The layers that are asked about, where `rope_parameters` goes by kind of layer.
    """
    own = fields.part("rope_scaling") if fields.get("rope_scaling") else None
    own = own or fields.part("rope_parameters")
    if layer_type is not None and layer_type in own.values:
        own = own.part(layer_type)
    top = fields.number("rope_theta", "rotary_emb_base", default=default_theta)
    theta = own.number("rope_theta", default=top)
    share = own.number_or_none("partial_rotary_factor")
    kind = own.text("rope_type", "type", default="default")
    if kind == "default":
        return theta, None, share
    factor = own.number("factor")
    if kind == "linear":
        return theta, RopeScaling("linear", factor), share
    if kind == "llama3":
        scaling = RopeScaling(
            "llama3",
            factor,
            own.number("low_freq_factor"),
            own.number("high_freq_factor"),
            own.size("original_max_position_embeddings", default=default_context),
        )
        return theta, scaling, share
    raise ConfigError(
        f"{own.where}: rotary positions of type {_shown(kind)} are not supported; "
        "known are default, linear and llama3."
    )


def write_rope(theta: float, scaling: RopeScaling | None) -> dict[str, Any]:
    """The newer dialect's `rope_parameters`; its content is also the older one's
    `rope_scaling`."""
    if scaling is None:
        return {"rope_type": "default", "rope_theta": theta}
    written = {"rope_type": scaling.kind, "rope_theta": theta, "factor": scaling.factor}
    if scaling.kind == "llama3":
        written |= {
            "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor,
            "original_max_position_embeddings": scaling.original_context,
        }
    return written


def write_activation(activation: Activation) -> str:
    """The name that transformers knows an activation by."""
    return {"gelu_tanh": "gelu_pytorch_tanh"}.get(activation, activation)
