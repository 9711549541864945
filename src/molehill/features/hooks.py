"""Hook names in files of other tools, to and from our sites, with or without the model at hand.

With a model's configuration every name of TransformerLens' two dialects is understood. Without
one, only names that mean the same in every model are; any other is refused, with the remedy, and
not guessed. This module knows names and no weights.
"""

from __future__ import annotations

import contextlib
import re

from molehill.errors import ConfigError, SiteError
from molehill.model.aliases import foreign_name, resolve_site
from molehill.model.config import ModelConfig
from molehill.model.sites import parse_site

__all__ = ["check_width", "hook_of", "site_of"]

_BLOCK = re.compile(r"blocks\.(\d{1,5})\.(.+)")
_OURS = re.compile(r"\d{1,5}\.[a-z_]+(\.[a-z_]+)?|embed|final")
# The first name of a site is the one that is written.
_PLAIN = {
    "hook_resid_pre": "resid_pre",
    "hook_in": "resid_pre",
    "hook_resid_mid": "resid_mid",
    "hook_resid_post": "resid_post",
    "hook_out": "resid_post",
    "hook_attn_out": "attn.out",
    "attn.hook_z": "attn.mix",
    "attn.o.hook_in": "attn.mix",
    "mlp.hook_in": "mlp.in",
    "mlp.hook_post": "mlp.act",
    "hook_mlp_out": "mlp.out",
}
_OF_NEURONS = {"mlp.act", "mlp.pre", "mlp.gate"}
_OF_HEADS = {"attn.q", "attn.k", "attn.v", "attn.result", "attn.scores", "attn.pattern"}


def site_of(hook: str, config: ModelConfig | None = None) -> str:
    """Our name for a hook; a name of ours stays as it is.

    Args:
        hook: such as `blocks.3.hook_resid_post`, `blocks.3.hook_out` or `3.resid_post`.
        config: the model's, if it is at hand.

    Raises:
        SiteError: no such place in the model; or a name whose meaning depends on the model, which
            is not given.
    """
    if config is not None:
        return resolve_site(hook, config)
    if _OURS.fullmatch(hook):
        return hook
    match = _BLOCK.fullmatch(hook)
    if match and match[2] in _PLAIN:
        return f"{match[1]}.{_PLAIN[match[2]]}"
    if match and match[2].endswith(".hook_normalized"):
        raise SiteError(
            f"{hook[:100]!r} is a norm's output before or after its gain, by the version of "
            "TransformerLens that it was trained with: name the site where it is after, such as "
            f"{match[1]}.mlp.in or {match[1]}.attn.in; before it there is no site."
        )
    raise SiteError(
        f"What {hook[:100]!r} is depends on the model: name the model, or the site itself, such as "
        "3.resid_post or 3.mlp.in."
    )


def hook_of(site: str, config: ModelConfig | None = None) -> str:
    """TransformerLens' name for one of our sites: the older dialect's, else the newer one's.

    Raises:
        SiteError: neither has a name for it, or none that holds for every model where the model
            is not given.
    """
    if config is not None:
        with contextlib.suppress(SiteError):
            return foreign_name(site, config)
        return foreign_name(site, config, "bridge")
    layer, rest = parse_site(site)
    for theirs, ours in _PLAIN.items():
        if layer is not None and ours == rest:
            return f"blocks.{layer}.{theirs}"
    raise SiteError(f"What others call {site!r} depends on the model: name the model.")


def check_width(site: str, found: int, config: ModelConfig, verb: str) -> None:
    """Whether a site of the model has as many numbers as an autoencoder reads or writes there.

    Raises:
        ConfigError: it has not; both numbers are named.
    """
    _, rest = parse_site(site)
    if rest in _OF_HEADS:
        raise ConfigError(f"{site} has a row for each head, and features {verb} one row a token.")
    width = config.d_mlp if rest in _OF_NEURONS else config.d_model
    if rest == "attn.mix":  # all heads side by side
        width = config.n_heads * config.d_head
    if found != width:
        raise ConfigError(
            f"The features {verb} {found} numbers, and {site} of this model has {width}: name the "
            "model that they belong to."
        )
