"""Parts: vectors written out as features by their values, the bias, and the error.

    value_1 · direction_1 + value_2 · direction_2 + ... + bias (+ skip) + error  =  the vector

Nothing is left out: the error is the vector minus the reconstruction, and the sum is the vector
again to the last bits. A ledger can show a site's rows so (`Journey.ledger(rows=...)` takes these
tensors), and the difference of two such sums says which features part two vectors. This module
knows no journey.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from molehill.errors import SiteError
from molehill.features.trained import Features, heads_joined

__all__ = ["FeatureParts", "feature_parts"]


@dataclass(frozen=True, eq=False)
class FeatureParts:
    """Some vectors at one site as sums over the features that are active in any of them."""

    name: str
    site: str
    vectors: Float[Tensor, "rows width"]
    """What is written out: what stands there, not the reconstruction."""
    numbers: Int[Tensor, " active"]
    """Features, in rising order."""
    values: Float[Tensor, "rows active"]
    directions: Float[Tensor, "active width"]
    rest: Mapping[str, Float[Tensor, "rows width"]]
    """`bias` (the decoder's), `skip` (what a skip transcoder's linear map adds) and `error`."""

    def __repr__(self) -> str:
        return (
            f"FeatureParts at {self.site}: {len(self.numbers)} features of {self.name} in "
            f"{len(self.vectors)} vectors, the error {self.error_share:.1%} of their length"
        )

    def total(self) -> Float[Tensor, "rows width"]:
        """The sum of all parts."""
        return self.values @ self.directions + sum(self.rest.values())

    @property
    def error_share(self) -> float:
        """The error's length against the vectors', over all of them."""
        return float(self.rest["error"].norm() / self.vectors.norm().clamp(min=1e-30))


@torch.no_grad()
def feature_parts(
    features: Features, values: Mapping[str, Float[Tensor, "rows ..."]], site: str | None = None
) -> FeatureParts:
    """The vectors at the site that features write, as parts.

    Args:
        values: what stands at every site that is read or written, in the same rows.
        site: which of a crosscoder's written sites; None: the first.

    Raises:
        SiteError: a site that the features do not write.
    """
    site = features.writes[0] if site is None else site
    if site not in features.writes:
        raise SiteError(f"{features.name} writes {', '.join(features.writes)}, not {site}.")
    sites = (*features.reads, *features.writes)
    read = features.rows(values, features.reads)
    values = {each: heads_joined(each, values[each]) for each in sites}
    autoencoder = features.autoencoder.to(values[site].device)
    codes = autoencoder.encode(read)
    numbers = codes.features[codes.active].unique()
    active = codes.dense()[:, numbers]
    widths = [values[each].shape[-1] for each in features.writes]
    here = features.writes.index(site)
    columns = slice(sum(widths[:here]), sum(widths[: here + 1]))
    directions = autoencoder.w_dec[numbers][:, columns]
    vectors = values[site].to(torch.promote_types(values[site].dtype, directions.dtype))
    active, directions = active.to(vectors.dtype), directions.to(vectors.dtype)
    rest = {"bias": autoencoder.b_dec.detach()[columns].to(vectors.dtype).expand_as(vectors)}
    skipped = autoencoder.skipped(read)
    if isinstance(skipped, Tensor):
        rest["skip"] = skipped[:, columns].to(vectors.dtype)
    rest["error"] = vectors - active @ directions - sum(rest.values())
    return FeatureParts(features.name, site, vectors, numbers, active, directions, rest)
