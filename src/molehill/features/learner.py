"""Learner: one autoencoder on its way, with what it reads, its scales and its optimizer.

Several learners can share the batches of one source. This module knows nothing of files, loops and
processes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from molehill.errors import ConfigError
from molehill.features.autoencoder import Autoencoder, Settings
from molehill.features.making import make_autoencoder
from molehill.features.sharing import ALONE, Sharing

__all__ = ["Job", "Learner", "Learnt", "Products", "settings_for"]

Products = Literal["float32", "bfloat16"]

_MOST = 2.0
"""How many times as long as usual a gradient may be."""
_MEMORY = 0.9
"""How much of the usual length a step keeps."""
_LONGEST = 1000
"""One row of so many is left out where a batch's scale is taken."""


@dataclass(frozen=True)
class Job:
    """What one autoencoder is to become."""

    name: str
    settings: Settings
    reads: tuple[str, ...]
    """Sites whose vectors, side by side, are the input; several make a crosscoder."""
    writes: tuple[str, ...] = ()
    """Sites whose vectors are the target; none: the input. Others make a transcoder."""
    rate: float = 4e-4
    """Adam's, after warming up."""
    seed: int = 0

    @property
    def targets(self) -> tuple[str, ...]:
        """Sites of the target."""
        return self.writes or self.reads

    @property
    def sites(self) -> tuple[str, ...]:
        """All sites that are read."""
        return tuple(dict.fromkeys((*self.reads, *self.targets)))


@dataclass(frozen=True)
class Learnt:
    """What one step did."""

    terms: Mapping[str, float]
    """The loss's parts, for inputs of mean squared length d."""
    explained: float
    """The share of the batch's variance that the reconstruction explains."""
    l0: float
    """Active features in a row, on average."""
    dead: int
    """Features that have been silent for too long."""


class Learner:
    """An autoencoder that learns.

    Args:
        job: what it is to become.
        first: a batch by site, from which the scales, the decoder's first bias and the encoder's
            first scale are taken.
        products: what is multiplied in; masters and Adam's moments are float32.
        sharing: this process's part, if there are several.
    """

    def __init__(
        self,
        job: Job,
        first: Mapping[str, Tensor],
        *,
        products: Products = "bfloat16",
        device: torch.device | str = "cpu",
        sharing: Sharing = ALONE,
    ) -> None:
        self.job = job
        self.device = torch.device(device)
        self.scale_in, self.scale_out = (
            torch.cat([_scale(first[site]) for site in sites]).to(self.device)
            for sites in (job.reads, job.targets)
        )
        self.sharing = sharing
        whole = make_autoencoder(job.settings, seed=job.seed)
        self.model: Autoencoder = whole.shared(sharing).to(self.device)
        self.model.products = getattr(torch, products)
        x, y = self._input(first), self._target(first)
        kept = _ordinary(y)
        self.model.begin(x[kept], y[kept])
        # The running mean of gradients' lengths; 0: none was seen yet.
        self.usual = torch.tensor(0.0)
        # One pass over all numbers, where the plain form takes five.
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=job.rate, fused=True)

    def learn(self, batch: Mapping[str, Tensor], rate: float = 1.0, penalty: float = 1.0) -> Learnt:
        """One step.

        Args:
            batch: values by site.
            rate, penalty: shares of the job's own, by which they rise and fall during a run.
        """
        batch = {site: self.sharing.mine(rows) for site, rows in batch.items()}
        x = self._input(batch)
        y = self._target(batch) if self.job.writes else x
        losses = self.model.learn(x, y, penalty=penalty)
        total = losses.total.detach().clone()
        self.sharing.mean(total)
        if not math.isfinite(total.item()):
            raise FloatingPointError(f"the loss of {self.job.name} is {total.item()}")
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        self.sharing.average(self.model)
        self.model.tidy_gradients()
        self._shorten()
        self.optimizer.param_groups[0]["lr"] = self.job.rate * rate
        self.optimizer.step()
        self.model.tidy()
        variance = _variance(y)
        return Learnt(
            losses.terms,
            1 - losses.terms["error"] / variance if variance else math.nan,
            self.sharing.total(losses.codes.l0),
            int(self.sharing.total(int(self.model.dead.sum()))),
        )

    @torch.no_grad()
    def finished(self) -> Autoencoder:
        """The autoencoder for the model's own vectors, in float32; every process has to ask."""
        made = self.model.whole().unscaled(self.scale_in, self.scale_out)
        made.products = torch.float32
        return made.eval()

    # --- going on ---------------------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """Every number that the next step needs."""
        kept = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        kept |= {"scale_in": self.scale_in, "scale_out": self.scale_out, "usual": self.usual}
        names = [name for name, _ in self.model.named_parameters()]
        for number, moments in self.optimizer.state_dict()["state"].items():
            kept |= {f"adam.{names[number]}.{name}": value for name, value in moments.items()}
        return kept

    def restore(self, kept: Mapping[str, Tensor]) -> None:
        """Go on from a state."""
        own = {n.removeprefix("model."): v for n, v in kept.items() if n.startswith("model.")}
        self.model.load_state_dict(own)
        self.scale_in.copy_(kept["scale_in"])
        self.scale_out.copy_(kept["scale_out"])
        self.usual.copy_(kept.get("usual", self.usual))
        moments: dict[int, dict[str, Tensor]] = {}
        for number, (name, _) in enumerate(self.model.named_parameters()):
            start = f"adam.{name}."
            mine = {n.removeprefix(start): v for n, v in kept.items() if n.startswith(start)}
            if mine:
                moments[number] = mine
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})

    @torch.no_grad()
    def _shorten(self) -> None:
        """Shorten a gradient that is much longer than usual.

        In models' streams one vector in some thirty thousand is a hundred times as long as others:
        its batch would move everything that it touches, and Adam would remember its square for a
        thousand steps. (Norms are clipped as in Pascanu et al. 2013, at a length that is found.)
        """
        grads = {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}
        squares = dict.fromkeys((True, False), 0.0)
        for name, grad in grads.items():
            alike = name in ("b_dec", "w_skip")  # in all processes that share features
            squares[alike] += torch.linalg.vector_norm(grad).double().square().item()
        length = math.sqrt(squares[True] + self.sharing.total(squares[False]))
        known = self.usual.item()
        if known > 0 and length > _MOST * known:
            for grad in grads.values():
                grad.mul_(_MOST * known / length)
            length = _MOST * known
        self.usual.fill_(length if known == 0 else _MEMORY * known + (1 - _MEMORY) * length)

    # --- rows -------------------------------------------------------------------------------------

    def _input(self, batch: Mapping[str, Tensor]) -> Float[Tensor, "rows d_in"]:
        return _joined(batch, self.job.reads, self.device) * self.scale_in

    def _target(self, batch: Mapping[str, Tensor]) -> Float[Tensor, "rows d_out"]:
        return _joined(batch, self.job.targets, self.device) * self.scale_out


def _joined(batch: Mapping[str, Tensor], sites: Sequence[str], device: torch.device) -> Tensor:
    parts = [batch[site].to(device, torch.float32) for site in sites]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _variance(y: Float[Tensor, "rows d"]) -> float:
    """E‖y - E y‖², by one pass and the mean."""
    whole = torch.linalg.vector_norm(y).double().square() / len(y)
    return (whole - torch.linalg.vector_norm(y.mean(0)).double().square()).item()


def _scale(rows: Float[Tensor, "rows d"]) -> Float[Tensor, " d"]:
    """One factor for a site, after which its rows' mean squared length is their width."""
    rows = rows.float()
    rows = rows[_ordinary(rows)]
    power = rows.square().sum(1).mean().item()
    if not 0 < power < math.inf:
        raise ConfigError(
            f"The first batch has a mean squared length of {power}: there is nothing to learn from."
        )
    return torch.full((rows.shape[1],), math.sqrt(rows.shape[1] / power))


def _ordinary(rows: Float[Tensor, "rows d"]) -> Tensor:
    """Which rows are not among the longest thousandth: one of these can hold more of a batch's
    power than all others, and would make the scale of a run a matter of chance."""
    lengths = torch.linalg.vector_norm(rows, dim=1)
    return lengths.argsort()[: len(rows) - len(rows) // _LONGEST].sort().values


def settings_for(
    widths: Mapping[str, int],
    architecture: str,
    reads: Sequence[str],
    writes: Sequence[str],
    n_features: int,
    **choices: Any,
) -> Settings:
    """Settings that fit the sites: sizes, and whether the decoder's bias is taken from the
    input."""
    same = not writes or tuple(writes) == tuple(reads)
    return Settings(
        architecture,
        sum(widths[site] for site in reads),
        sum(widths[site] for site in (writes or reads)),
        n_features,
        centred=same and choices.pop("centred", True),
        **choices,
    )
