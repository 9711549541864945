"""How many directions a set of vectors really uses: mean, covariance, spectrum and what is read
from it.

One pass over the vectors, some rows at a time, gives their mean and covariance; all else here
follows from these. Effective rank: O. Roy, M. Vetterli, "The effective rank: a measure of effective
dimensionality" (EUSIPCO 2007), section 3. The same vectors are looked at twice, as they are and
with their mean, the direction that they have in common, taken off (Mu and Viswanath, "All-but-the-
top", 2018, section 2). This file knows nothing of models.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from molehill.errors import GeometryError

__all__ = ["Moments", "Spectrum", "matched_draw", "random_draw"]

_ROWS = 8192


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The eigenvalues of a second moment: mean squares along its own axes, largest first [d]."""

    eigenvalues: Tensor

    @property
    def total(self) -> float:
        """The vectors' mean squared length."""
        return float(self.eigenvalues.sum())

    @property
    def effective_rank(self) -> float:
        """Roy and Vetterli's: exp of the entropy of the singular values, their sum made one."""
        values = self.eigenvalues.sqrt()
        shares = values / values.sum()
        return float(torch.exp(-torch.special.xlogy(shares, shares).sum()))

    @property
    def participation_ratio(self) -> float:
        """(sum of eigenvalues)^2 / sum of their squares."""
        return float(self.eigenvalues.sum() ** 2 / (self.eigenvalues**2).sum())

    @property
    def stable_rank(self) -> float:
        """The squared Frobenius norm over the squared largest singular value."""
        return float(self.eigenvalues.sum() / self.eigenvalues[0])

    @property
    def top_share(self) -> float:
        """The share of the squared length that lies along the first axis."""
        return float(self.eigenvalues[0] / self.eigenvalues.sum())

    def dimensions_for(self, share: float) -> int:
        """How many axes hold this share of the squared length."""
        held = self.eigenvalues.cumsum(0) / self.eigenvalues.sum()
        return int((held < share - 1e-12).sum()) + 1


@dataclass(frozen=True, eq=False)
class Moments:
    """The mean [d] and the covariance [d, d] of so many vectors, in float64."""

    count: int
    mean: Tensor
    covariance: Tensor

    @classmethod
    @torch.no_grad()
    def of(cls, vectors: Tensor) -> Moments:
        """Of vectors [count, d], some rows at a time.

        Raises:
            GeometryError: no vectors, or numbers that are not finite.
        """
        if vectors.ndim != 2 or not vectors.numel():
            raise GeometryError(
                f"Vectors must be rows of a matrix [count, d], found {tuple(vectors.shape)}."
            )
        parts = vectors.detach().split(_ROWS)
        mean = torch.stack([part.double().sum(0) for part in parts]).sum(0) / len(vectors)
        if not torch.isfinite(mean).all():
            raise GeometryError("The vectors hold numbers that are not finite: leave them out.")
        width = vectors.shape[1]
        total = torch.zeros(width, width, dtype=torch.float64, device=vectors.device)
        # Float32 is enough once the mean is off, unless more was given.
        exact = torch.float64 if vectors.dtype is torch.float64 else torch.float32
        for part in parts:
            centred = (part.double() - mean).to(exact)
            total += (centred.T @ centred).double()
        return cls(len(vectors), mean, total / len(vectors))

    def spectrum(self, *, centred: bool) -> Spectrum:
        """Of the vectors as they are, or with their mean taken off."""
        moment = self.covariance
        if not centred:
            moment = moment + torch.outer(self.mean, self.mean)
        return Spectrum(torch.linalg.eigvalsh(moment).flip(0).clamp(min=0))

    def participation_ratio(self, *, centred: bool) -> float:
        """As of the spectrum, but from the moment's trace and norm alone."""
        moment = self.covariance
        if not centred:
            moment = moment + torch.outer(self.mean, self.mean)
        return float(moment.trace() ** 2 / (moment**2).sum())

    @property
    def common_share(self) -> float:
        """The share of the mean squared length that the mean vector holds: how much of the vectors
        is one direction that all have in common."""
        common = float(self.mean @ self.mean)
        return common / (common + float(self.covariance.trace()))


@torch.no_grad()
def matched_draw(moments: Moments, count: int, *, seed: int = 0) -> Tensor:
    """Vectors drawn from the Gaussian of this mean and covariance [count, d], in float32: as
    unlike one another as their spectrum lets them be, and with nothing else in common."""
    width = len(moments.mean)
    lower, failed = torch.linalg.cholesky_ex(moments.covariance)
    root = lower.T.float()
    if int(failed):  # what lies in fewer dimensions has no such factor
        values, axes = torch.linalg.eigh(moments.covariance)
        root = (axes * values.clamp(min=0).sqrt()).T.float()
    drawn = random_draw(count, width, seed=seed) @ root.cpu()
    return (drawn + moments.mean.float().cpu()).to(moments.mean.device)


def random_draw(count: int, dimensions: int, *, seed: int = 0) -> Tensor:
    """Standard normal vectors [count, d]: directions that prefer nothing."""
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed))
