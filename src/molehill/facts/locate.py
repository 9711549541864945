"""Where a fact is kept: causal tracing, exact and by gradients.

    found = trace_fact(lm, Fact("Michael Jordan", "basketball", "The sport that {} plays is"))
    found.peak("mlp")           # the layer and token whose MLPs matter most

The subject's embeddings are corrupted, by noise or by another subject's, and then the state after
one layer at one token (or what a window of MLPs or attention layers adds there) is put back as it
was. How much of the object's probability comes back is that place's indirect effect (Meng et al.,
2022, section 2 and appendix B). Attribution patching replaces the many runs by one gradient (Nanda,
2023; Kramar et al., 2024), integrated gradients by a few along the way from corrupted to clean
(Hanna et al., 2024); how well they agree with the exact effects is stated, since it varies.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from molehill.errors import FactError
from molehill.facts.asking import Question, put, unknown_token
from molehill.facts.fact import Fact, subject_tokens
from molehill.facts.traced import ROLES, Approximation, FactTrace, Kind, RelationTrace, Role
from molehill.language_model import LanguageModel
from molehill.text.tokens import Tokens
from molehill.trace import Add, Edit, Patch, Replace, Sweep, Trace, record

__all__ = ["Approximate", "average", "noise_scale", "trace_fact", "trace_relation"]

Approximate = Literal["attribution patching", "integrated gradients"]
_SITES: Mapping[Kind, str] = {"state": "resid_post", "mlp": "mlp.out", "attention": "attn.out"}
_STEPS = 8
"""Points on the way from corrupted to clean, for integrated gradients."""


def noise_scale(lm: LanguageModel) -> float:
    """The standard deviation of the numbers in the token table, as the stream receives them."""
    table = lm.model.w_token.detach()
    return float(table.float().std()) * lm.config.embed_scale


def trace_fact(
    lm: LanguageModel,
    fact: Fact,
    *,
    against: str | None = None,
    noise: float = 3.0,
    draws: int = 10,
    seed: int = 0,
    kinds: Sequence[Kind] = ("state", "mlp", "attention"),
    window: int | None = None,
    approximate: Sequence[Approximate] = (),
    progress: Callable[[int], object] | None = None,
) -> FactTrace:
    """Trace one fact.

    Args:
        fact: asked by its template; its object is the target, of one or several tokens.
        against: another subject with as many tokens, put in the place of the fact's own. None:
            noise on the subject's embeddings.
        noise: its standard deviation, in units of the token table's.
        draws: how many times noise is drawn.
        kinds: what is restored.
        window: how many layers' MLPs or attention are restored together. None: a third of the
            layers, at most ten.
        approximate: `attribution patching`, `integrated gradients`, or both.
        progress: called with a number of restored places, those worked on since the last call.

    Raises:
        FactError: a subject that the prompt does not have, one to put in its place with another
            number of tokens, or numbers outside their range.
    """
    how = _How.of(lm, against, noise, draws, seed, kinds, window, approximate)
    return _trace(lm, fact, how, progress)


@dataclass(frozen=True)
class _How:
    """How facts of one model are traced: what is the same for all of them."""

    against: str | None
    noise: float
    scale: float
    """The noise's standard deviation, in the stream's own units."""
    draws: int
    seed: int
    windows: Mapping[Kind, int]
    """By what is restored, how many layers together."""
    approximate: tuple[Approximate, ...]

    @classmethod
    def of(
        cls,
        lm: LanguageModel,
        against: str | None,
        noise: float,
        draws: int,
        seed: int,
        kinds: Sequence[Kind],
        window: int | None,
        approximate: Sequence[Approximate],
    ) -> _How:
        """Checked; reads the token table once."""
        _check(noise, draws, kinds, approximate)
        scale = noise * noise_scale(lm) if against is None else 0.0
        layers = min(10, max(1, lm.config.n_layers // 3)) if window is None else window
        windows: dict[Kind, int] = {kind: 1 if kind == "state" else layers for kind in kinds}
        return cls(against, noise, scale, draws, seed, windows, tuple(approximate))


def _trace(
    lm: LanguageModel, fact: Fact, how: _How, progress: Callable[[int], object] | None = None
) -> FactTrace:
    question = put(lm, fact.prompt, fact.object)
    span = subject_tokens(question.tokens, fact.place(), unknown=unknown_token(lm))
    corruption = _corruption(lm, fact, question, span, how)
    kinds = {"state", *how.windows}
    sites = [f"*.{site}" for kind, site in _SITES.items() if kind in kinds]
    clean = record(
        lm, Tokens.of_ids([list(question.ids)]), sites, logits="none", dtype=lm.model.dtype
    )
    restored = _Restored(lm, question, corruption, clean, span[0] if lm.config.causal else 0)
    effects, errors = {}, {}
    for kind, window in how.windows.items():
        effects[kind], errors[kind] = restored.effects(kind, window, progress)
    found: dict[str, Approximation] = {
        name: _approximation(
            lm, question, clean, corruption, name, restored.first, effects.get("state")
        )
        for name in how.approximate
    }
    return FactTrace(
        model=lm.name,
        prompt=fact.prompt,
        subject=fact.subject,
        target=fact.object_text,
        pieces=tuple(question.tokens.pieces[0]),
        subject_span=span,
        clean=_clean(lm, question),
        corrupted=float(restored.corrupted.mean()),
        effects=effects,
        errors=errors,
        corruption=corruption.words,
        windows=how.windows,
        approximations=found,
        gaps=() if lm.config.causal else question.at,
    )


class _Restored:
    """The corrupted run, and what comes back of the object where one place is put back."""

    def __init__(
        self,
        lm: LanguageModel,
        question: Question,
        corruption: _Corruption,
        clean: Trace,
        first: int,
    ) -> None:
        self.layers, self.clean, self.first = lm.config.n_layers, clean, first
        self.length = len(question.tokens.row(0))
        self.answers = _answers(question, corruption)
        self.sweep = Sweep(lm, corruption.tokens, at=list(question.at), base=corruption.edits)
        self.corrupted = _probability(self.sweep.run([]).base_log_probs(self.answers))

    def effects(
        self, kind: Kind, window: int, progress: Callable[[int], object] | None
    ) -> tuple[Tensor, Tensor]:
        """The mean effect of every place and its standard error [layer, pos]."""
        variants = [
            _restoring(self.clean, kind, layer, place, window, self.layers)
            for layer in range(self.layers)
            for place in range(self.first, self.length)
        ]
        swept = self.sweep.run(variants, progress=progress)
        gained = _probability(swept.log_probs(self.answers)) - self.corrupted
        gained = gained.unflatten(0, (self.layers, self.length - self.first))
        return _before(gained.mean(-1), self.first), _before(_standard_error(gained), self.first)


def _check(
    noise: float, draws: int, kinds: Sequence[Kind], approximate: Sequence[Approximate]
) -> None:
    if not 0 < noise < float("inf") or draws < 1:
        raise FactError(f"noise is {noise} and draws {draws}: both must be above zero.")
    if unknown := [kind for kind in kinds if kind not in _SITES]:
        raise FactError(f"Unknown kinds {unknown}: choose among {', '.join(_SITES)}.")
    if unknown := [name for name in approximate if name not in get_args(Approximate)]:
        raise FactError(f"Unknown {unknown}: choose among {', '.join(get_args(Approximate))}.")


@dataclass(frozen=True, eq=False)
class _Corruption:
    """The run in which the subject is spoilt: one text for each draw."""

    tokens: Tokens
    edits: tuple[Edit, ...]
    words: str
    noise: Tensor | None
    """[draw, subject token, d_model]"""


def _corruption(
    lm: LanguageModel,
    fact: Fact,
    question: Question,
    span: tuple[int, int],
    how: _How,
) -> _Corruption:
    ids = list(question.ids)
    first, end = span
    against = how.against
    if against is not None:
        other = Fact(against, fact.object, fact.template, start=fact.start)
        theirs = put(lm, other.prompt, fact.object)
        if len(theirs.ids) != len(ids):
            raise FactError(
                f"{fact.subject!r} has {end - first} tokens here and {against!r} makes the prompt "
                f"{len(theirs.ids)} tokens long instead of {len(ids)}: choose a subject with as "
                "many tokens, or noise."
            )
        words = f"{against} in place of {fact.subject}"
        return _Corruption(Tokens.of_ids([list(theirs.ids)]), (), words, None)
    drawn = torch.Generator().manual_seed(how.seed)
    shape = (how.draws, end - first, lm.config.d_model)
    added = (how.scale * torch.randn(shape, generator=drawn)).to(lm.model.w_token.detach())
    edit = Add("embed", added, positions=list(range(first, end)))
    counted = "1 draw" if how.draws == 1 else f"{how.draws} draws"
    words = f"noise of {how.noise:g} sigma ({how.scale:.4g}), {counted}, seed {how.seed}"
    return _Corruption(Tokens.of_ids([ids] * how.draws), (edit,), words, added)


def _restoring(
    clean: Trace, kind: Kind, layer: int, place: int, window: int, layers: int
) -> list[Edit]:
    """The edits that put a place back as it was: a window of layers around `layer`."""
    low = max(0, layer - window // 2)
    high = min(layers, layer - (-window // 2))
    return [Patch(f"{at}.{_SITES[kind]}", clean, positions=[place]) for at in range(low, high)]


def _answers(question: Question, corruption: _Corruption) -> Tensor:
    """The object's tokens for every draw [draw, at]."""
    return torch.tensor(question.answer).expand(len(corruption.tokens), -1)


def _probability(logs: Tensor) -> Tensor:
    """Of the whole object, from the log probabilities of its tokens [..., draw, at]."""
    return logs.double().sum(-1).exp()


def _standard_error(gained: Tensor) -> Tensor:
    """Over the draws on the last axis; zeros for a single one."""
    draws = gained.shape[-1]
    return gained.std(-1) / draws**0.5 if draws > 1 else torch.zeros_like(gained[..., 0])


def _before(effects: Tensor, first: int) -> Tensor:
    """With exact zeros at the tokens before the subject, which nothing reaches."""
    return torch.cat([effects.new_zeros(len(effects), first), effects], dim=1).cpu()


def _clean(lm: LanguageModel, question: Question) -> float:
    swept = Sweep(lm, Tokens.of_ids([list(question.ids)]), at=list(question.at)).run([[]])
    return float(_probability(swept.base_log_probs(torch.tensor([question.answer]))))


# --- by gradients -----------------------------------------------------------------------------


def _approximation(
    lm: LanguageModel,
    question: Question,
    clean: Trace,
    corruption: _Corruption,
    name: Approximate,
    first: int,
    exact: Tensor | None,
) -> Approximation:
    """Gradient of the object's probability times the difference between clean and corrupted."""
    length = len(question.tokens.row(0))
    one = name == "attribution patching"
    shares = [1.0] if one else [(number + 0.5) / _STEPS for number in range(_STEPS)]
    found = [_gradients(lm, question, clean, corruption, share) for share in shares]
    slope = torch.stack([gradients for _, gradients in found]).mean(0)
    values = found[0][0] if one else _gradients(lm, question, clean, corruption, 1.0)[0]
    moved = clean.site("resid_post") - values  # [layer, draw, pos, d_model]
    effects = (moved * slope).sum(-1).double().mean(1)[:, :length]
    effects[:, :first] = 0.0
    agreement = float("nan")
    if exact is not None:
        pair = torch.stack([effects[:, first:].flatten().cpu(), exact[:, first:].flatten()])
        agreement = float(torch.corrcoef(pair)[0, 1])
    return Approximation(effects.cpu(), agreement)


def _gradients(
    lm: LanguageModel, question: Question, clean: Trace, corruption: _Corruption, share: float
) -> tuple[Tensor, Tensor]:
    """States and gradients with `share` of the corruption [layer, draw, pos, d_model]."""
    if corruption.noise is not None:
        (edit,) = corruption.edits
        edits: tuple[Edit, ...] = (
            Add("embed", corruption.noise * share, positions=edit.positions),
        )
    elif share == 1.0:
        edits = ()
    else:
        theirs = record(lm, corruption.tokens, ["embed"], logits="none")["embed"]
        ours = record(lm, Tokens.of_ids([list(question.ids)]), ["embed"], logits="none")["embed"]
        edits = (Replace("embed", theirs * share + ours * (1 - share)),)
    trace = record(lm, corruption.tokens, ["*.resid_post"], edits=edits, grad=True, logits="all")
    logs = trace.live["logits"].float().log_softmax(-1)
    wanted = _answers(question, corruption)
    rows = torch.arange(len(wanted))[:, None]
    own = logs[rows, torch.tensor(question.at)[None], wanted.to(logs.device)]
    found = trace.gradients(own.sum(-1).exp().sum())
    layers = range(lm.config.n_layers)
    states = torch.stack([trace[f"{layer}.resid_post"].detach() for layer in layers])
    return states, torch.stack([found[f"{layer}.resid_post"] for layer in layers])


# --- many facts -------------------------------------------------------------------------------


def trace_relation(
    lm: LanguageModel,
    facts: Sequence[Fact],
    *,
    relation: str = "",
    noise: float = 3.0,
    draws: int = 10,
    seed: int = 0,
    kinds: Sequence[Kind] = ("state", "mlp", "attention"),
    window: int | None = None,
    resamples: int = 1000,
    progress: Callable[[int], object] | None = None,
) -> RelationTrace:
    """Trace many facts and average by the role of the token.

    Args:
        resamples: how often facts are drawn again for the intervals.
        progress: called with 1 after every fact.

    Raises:
        FactError: no facts; see `trace_fact`.
    """
    how = _How.of(lm, None, noise, draws, seed, kinds, window, ())
    traces = []
    for fact in facts:
        traces.append(_trace(lm, fact, how))
        if progress is not None:
            progress(1)
    return average(traces, relation=relation, resamples=resamples, seed=seed)


def average(
    traces: Sequence[FactTrace], *, relation: str = "", resamples: int = 1000, seed: int = 0
) -> RelationTrace:
    """Traces of one model averaged by role, with 95% intervals from drawing facts again.

    Raises:
        FactError: none, or traces of several models.
    """
    if not traces or len({trace.model for trace in traces}) > 1:
        models = ", ".join(sorted({trace.model for trace in traces})) or "none"
        raise FactError(f"{len(traces)} traces of {models}: give some, all of one model.")
    one = traces[0]
    roles = tuple(role for role in ROLES if any(role in trace.roles() for trace in traces))
    counts = tuple(sum(role in trace.roles() for trace in traces) for role in roles)
    effects, low, high = {}, {}, {}
    for kind in one.effects:
        rows = torch.stack([_by_role(trace, kind, roles) for trace in traces])
        effects[kind], low[kind], high[kind] = _interval(rows, resamples, seed)
    whole = torch.tensor([trace.total_effect for trace in traces], dtype=torch.float64)
    mean, least, most = (float(part) for part in _interval(whole, resamples, seed))
    return RelationTrace(
        model=one.model,
        relation=relation,
        facts=tuple(f"{trace.prompt}{trace.target}" for trace in traces),
        roles=roles,
        counts=counts,
        effects=effects,
        low=low,
        high=high,
        total_effect=(mean, least, most),
        corruption=one.corruption,
        windows=one.windows,
        resamples=resamples,
        seed=seed,
    )


def _by_role(trace: FactTrace, kind: Kind, roles: Sequence[Role]) -> Tensor:
    """One fact's mean effect for each role [layer, role]; NaN where it has no such token."""
    effects = trace.effects[kind].double()
    own = trace.roles()
    columns = []
    for role in roles:
        places = [place for place, given in enumerate(own) if given == role]
        empty = torch.full((len(effects),), torch.nan, dtype=torch.float64)
        columns.append(effects[:, places].mean(1) if places else empty)
    return torch.stack(columns, 1)


def _interval(rows: Tensor, resamples: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Mean over the first axis and the ends of its 95% percentile interval; NaN is left out."""
    drawn = random.Random(seed)
    picks = torch.tensor([[drawn.randrange(len(rows)) for _ in rows] for _ in range(resamples)])
    means = torch.stack([rows[pick].nanmean(0) for pick in picks])
    low, high = torch.nanquantile(means, torch.tensor([0.025, 0.975], dtype=torch.float64), dim=0)
    return rows.nanmean(0), low, high
