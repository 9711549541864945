"""Certificate: what has been checked of a model, on this machine, in this dtype.

    certificate = certify(lm)
    print(certificate.to_text())

Everything that Molehill says of a model rests on two things: that the parts it names add up to what
the model computes, and that the model computes the same however it is run. Both are measured here,
on a few texts of odd kinds, and in `transformers` too where it is installed. What was found is kept
on this machine (`checkpoints/certificates.py`), and whatever is saved or shown of the same weights
afterwards carries it.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from molehill.checkpoints.certificates import keep_certificate, kept_certificate
from molehill.errors import MolehillError
from molehill.language_model import LanguageModel
from molehill.model.cache import KVCache
from molehill.model.transformer import Block, Norm, Transformer
from molehill.text.tokens import Tokens
from molehill.trace.peer import peer_finals
from molehill.trace.record import named, record, tokens_of
from molehill.trace.trace import Trace
from molehill.version import __version__

__all__ = ["ODD_TEXTS", "Certificate", "Check", "certify"]

ODD_TEXTS = (
    "The mole dug a tunnel under the garden, and the spy was a mole too.",
    "mole",
    "Der Maulwurf gräbt; 土竜が土を掘る 🐾.",
    "def f(x):\n    return x ** 2  # squared\n",
    "1 22 333 4444 55555 666666 7777777 88888888 999999999 1 22 333 4444 55555",
    "   spaces   and\ttabs\n\n\n and an end.   ",
)
"""Prose, a single word, other scripts, code, numbers, blanks."""

_LONGEST = 96  # tokens of a text that are read
# The largest error that is let pass, as a share of the largest number compared. Each is about ten
# times what healthy models of 6 to 30 layers show.
_TOLERANCES = {
    torch.float64: 1e-10,
    torch.float32: 1e-4,
    torch.float16: 3e-2,
    torch.bfloat16: 2e-1,
}


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    passed: bool | None
    """None: it could not be looked at; `what` says why."""
    worst: float | None
    """The largest error found, as a share of the largest number compared."""
    tolerance: float | None
    what: str


@dataclass(frozen=True)
class Certificate:
    """What was checked of a model, and what was found."""

    model: str
    fingerprint: str
    """The sha256 of the weights."""
    dtype: str
    device: str
    tokens: int
    """How many tokens were read."""
    checks: tuple[Check, ...]
    molehill: str
    torch: str
    seconds: float
    date: str = ""
    """The day of the check, UTC: 2026-11-25."""

    @property
    def passed(self) -> bool:
        """Whether nothing failed; what could not be looked at does not count."""
        return all(check.passed is not False for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON-able values: an error that is no number, and so no JSON, is None."""
        return {
            **asdict(self),
            "checks": [asdict(_jsonable(one)) for one in self.checks],
            "passed": self.passed,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Certificate:
        """The inverse of `to_dict`."""
        rest: dict[str, Any] = {name: value for name, value in values.items() if name != "passed"}
        checks = tuple(Check(**one) for one in rest.pop("checks"))
        return cls(checks=checks, **rest)

    def to_text(self) -> str:
        """As lines for people."""
        verdict = "passed" if self.passed else "FAILED"
        lines = [f"{self.model} in {self.dtype} on {self.device}: {verdict}"]
        width = max(len(check.name) for check in self.checks)
        for check in self.checks:
            state = {True: "ok", False: "FAILED", None: "-"}[check.passed]
            error = "" if check.worst is None else f"{check.worst:.1e} of {check.tolerance:.0e}"
            lines.append(f"  {check.name:{width}}  {state:6}  {error:16}  {check.what}".rstrip())
        lines.append(
            f"{self.tokens} tokens, {self.seconds:.1f} s, weights {self.fingerprint[:16]}, "
            f"molehill {self.molehill}, torch {self.torch}{', ' * bool(self.date)}{self.date}"
        )
        return "\n".join(lines)


def _jsonable(check: Check) -> Check:
    if check.worst is None or math.isfinite(check.worst):
        return check
    return replace(check, worst=None, what=f"{check.what} (the error is {check.worst})")


def certify(
    lm: LanguageModel | Transformer,
    texts: Sequence[str] | Tokens | None = None,
    *,
    peer: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Certificate:
    """Check a model: parts against the whole, and every way of running it against the others.

    Errors are the largest difference as a share of the largest number compared, over all texts,
    positions and layers. What is found is kept on this machine for whatever is saved later; of
    texts of one's own, a check that passed does not take the place of one on `ODD_TEXTS`.

    Args:
        lm: a language model, or a bare transformer, which is given random ids.
        texts: what to read; None: `ODD_TEXTS`. Long ones are cut.
        peer: whether to compare with `transformers`, if it is installed.
        progress: called with 1 after each check.

    Raises:
        TextError: texts that the model cannot read.
    """
    begun = time.perf_counter()
    lm = named(lm)
    usual = texts is None
    tokens = _short(_tokens(lm, texts))
    checks = []
    with torch.no_grad():
        for check in _checks(lm, tokens, peer):
            checks.append(check)
            if progress is not None:
                progress(1)
    certificate = Certificate(
        model=lm.name,
        fingerprint=lm.fingerprint,
        dtype=str(lm.model.dtype).removeprefix("torch."),
        device=str(lm.model.device),
        tokens=int(tokens.mask.sum()),
        checks=tuple(checks),
        molehill=__version__,
        torch=torch.__version__,
        seconds=round(time.perf_counter() - begun, 2),
        date=datetime.now(UTC).date().isoformat(),
    )
    known = None if usual else kept_certificate(certificate.fingerprint, certificate.dtype)
    if known is None or not certificate.passed:
        keep_certificate(certificate.to_dict())
    return certificate


def _tokens(lm: LanguageModel, texts: Sequence[str] | Tokens | None) -> Tokens:
    if isinstance(texts, Tokens):
        return tokens_of(lm, texts)
    if texts is not None:
        return tokens_of(lm, lm.encode(list(texts), truncate=True))
    if lm.tokenizer is not None:
        return lm.encode(list(ODD_TEXTS), truncate=True)
    generator = torch.Generator().manual_seed(0)
    lengths = [min(length, lm.config.n_ctx) for length in (24, 1, 7, 16)]
    size = (lm.config.d_vocab,)
    return Tokens.of_ids(
        [torch.randint(*size, (length,), generator=generator).tolist() for length in lengths]
    )


def _short(tokens: Tokens) -> Tokens:
    rows = [tokens.row(text)[:_LONGEST] for text in range(len(tokens))]
    return Tokens.of_ids([row for row in rows if row])


def _checks(lm: LanguageModel, tokens: Tokens, peer: bool) -> Iterator[Check]:
    """All checks, each made when it is asked for."""
    model = lm.model
    tolerance = _TOLERANCES[model.dtype]
    parts = _record_parts(model, tokens)
    yield _judged("parts = whole", _replay(model, parts), tolerance)
    yield _judged("heads = attention", _heads(model, tokens, parts), tolerance)
    yield _judged("neurons = MLP", _neurons(model, parts), tolerance)
    del parts
    alone = [_finals(model, torch.tensor([tokens.row(text)]))[0] for text in range(len(tokens))]
    yield _judged("batched", _batched(model, tokens, alone), tolerance)
    yield _judged("padded", _padded(model, tokens, alone), tolerance)
    if model.config.causal:
        yield _judged("cached", _cached(model, tokens, alone), tolerance)
    else:
        yield _skipped("cached", "a bidirectional model reads the whole text at once")
    yield _judged("plain attention", _plain(model, tokens, alone), tolerance)
    yield _against_float64(model, tokens, alone)
    yield (
        _against_peer(lm, tokens, alone, tolerance)
        if peer
        else _skipped("transformers", "not asked for")
    )


@dataclass(frozen=True)
class _Worst:
    """The largest error of several, and in what."""

    error: float
    what: str


def _judged(name: str, worst: _Worst, tolerance: float) -> Check:
    # A NaN is no number that passes.
    return Check(name, worst.error <= tolerance, worst.error, tolerance, worst.what)


def _skipped(name: str, why: str) -> Check:
    return Check(name, None, None, None, f"not checked: {why}")


def _error(found: Tensor, expected: Tensor) -> float:
    """The largest difference as a share of the largest number, in float64."""
    found, expected = found.double(), expected.double().to(found.device)
    largest = expected.abs().max().clamp(min=torch.finfo(torch.float64).tiny)
    return float((found - expected).abs().max() / largest)


def _worst(errors: Sequence[tuple[float, str]], what: str) -> _Worst:
    """The largest error with where it was; NaN is larger than all."""
    error, where = max(errors, key=lambda one: (one[0] != one[0], one[0]))
    return _Worst(error, f"{what}; worst {where}")


# --- parts and the whole --------------------------------------------------------------------------


def _record_parts(model: Transformer, tokens: Tokens) -> Trace:
    config = model.config
    sites = ["embed", "resid_pre", "attn.mix", "attn.out", "mlp.act", "mlp.out", "resid_post"]
    if config.positions == "learned":
        sites.append("pos_embed")
    if config.embed_norm:
        sites.append("embed_norm_scale")
    if config.norm_place == "post":
        sites.append("norm1_scale")
    if config.norm_place in ("post", "block_end"):
        sites.append("norm2_scale")
    if config.norm_place == "sandwich":
        sites += ["attn_out_scale", "mlp_out_scale"]
    if config.final_norm:
        sites.append("final_norm_scale")
    return record(model, tokens, [*sites, "final"], logits="none")


def _replay(model: Transformer, trace: Trace) -> _Worst:
    """The stream rebuilt from the start by adding up what was written, through norms whose
    divisors are held at what was measured, in float64 and never set right on the way."""
    real = trace.tokens.mask
    at = _values(trace)
    x = at("embed")
    if "pos_embed" in trace:
        x = x + at("pos_embed")
    if model.w_type is not None:
        x = x + model.w_type[0].double()
    if model.embed_norm is not None:
        x = _divided(model.embed_norm, x, at("embed_norm_scale"))
    errors = [(_error(x[real], at("0.resid_pre")[real]), "after the embeddings")]
    for layer, block in enumerate(_blocks(model)):
        x = x + at(f"{layer}.attn.out")
        if block.place == "post" and block.norm1 is not None:
            x = _divided(block.norm1, x, at(f"{layer}.norm1_scale"))
        x = x + at(f"{layer}.mlp.out")
        if block.place in ("post", "block_end"):
            x = _divided(block.norm2, x, at(f"{layer}.norm2_scale"))
        errors.append((_error(x[real], at(f"{layer}.resid_post")[real]), f"after layer {layer}"))
    if model.final_norm is not None:
        x = _divided(model.final_norm, x, at("final_norm_scale"))
    errors.append((_error(x[real], at("final")[real]), "at the end"))
    return _worst(errors, "what was added up gives the stream, and the final vector")


def _values(trace: Trace) -> Callable[[str], Tensor]:
    return lambda site: trace[site].double()


def _blocks(model: Transformer) -> list[Block]:
    """The model's blocks, as what they are."""
    return [block for block in model.blocks if isinstance(block, Block)]


def _divided(norm: Norm, x: Tensor, divisor: Tensor) -> Tensor:
    """A norm as the linear map that it is once its divisor is known, in float64."""
    centred = x if norm.rms else x - x.mean(-1, keepdim=True)
    out = centred / divisor * norm.multiplier.double()
    return out if norm.bias is None else out + norm.bias.double()


class _Heads:
    """Adds up the heads of each layer as they go by, so that their parts need not be kept."""

    def __init__(self) -> None:
        self.sums: list[Tensor] = []
        self.mixes: list[Tensor] = []
        self._pattern: Tensor | None = None
        self._v: Tensor | None = None

    def begin(self, positions: Tensor, real: Tensor) -> None:
        pass

    def wants(self, site: str) -> bool:
        return site.endswith((".attn.v", ".attn.pattern", ".attn.result"))

    def __call__(self, site: str, x: Tensor) -> Tensor:
        if site.endswith("v"):
            self._v = x
        elif site.endswith("pattern"):
            self._pattern = x
        else:
            self.sums.append(x.double().sum(2))
            assert self._v is not None and self._pattern is not None, "they come first"
            share = self._pattern.shape[1] // self._v.shape[2]
            v = self._v.repeat_interleave(share, dim=2).double()
            self.mixes.append(torch.einsum("bhqk,bkhd->bqhd", self._pattern.double(), v))
        return x


def _heads(model: Transformer, tokens: Tokens, trace: Trace) -> _Worst:
    """What attention writes, as the sum over heads; and each head's mix, as the sum over the
    tokens that it looks at."""
    watch = _Heads()
    device = model.device
    model(tokens.ids.to(device), mask=tokens.mask.to(device), watch=watch, logits="none")
    real, at = tokens.mask, _values(trace)
    errors = []
    for layer, block in enumerate(_blocks(model)):
        written = watch.sums[layer]
        if block.attn.b_out is not None:
            written = written + block.attn.b_out.double()
        if block.norm1_post is not None:
            written = _divided(block.norm1_post, written, at(f"{layer}.attn_out_scale"))
        errors.append((_error(written[real], at(f"{layer}.attn.out")[real]), f"layer {layer}"))
        mix = _error(watch.mixes[layer][real], at(f"{layer}.attn.mix")[real])
        errors.append((mix, f"layer {layer}, over the tokens looked at"))
    return _worst(errors, "heads and the tokens they look at add up to what attention writes")


def _neurons(model: Transformer, trace: Trace) -> _Worst:
    """What an MLP writes, as the sum of its columns times its neurons' coefficients."""
    real, at = trace.tokens.mask, _values(trace)
    errors = []
    for layer, block in enumerate(_blocks(model)):
        written = at(f"{layer}.mlp.act") @ block.mlp.w_out.double().T
        if block.mlp.b_out is not None:
            written = written + block.mlp.b_out.double()
        if block.norm2_post is not None:
            written = _divided(block.norm2_post, written, at(f"{layer}.mlp_out_scale"))
        errors.append((_error(written[real], at(f"{layer}.mlp.out")[real]), f"layer {layer}"))
    return _worst(errors, "neurons' columns add up to what the MLP writes")


# --- every way of running it ----------------------------------------------------------------------


def _finals(model: Transformer, ids: Tensor, mask: Tensor | None = None, **how: Any) -> Tensor:
    """The scores of the next word at every position, or the final vectors of a model without a
    head [batch, pos, ...]."""
    mask = None if mask is None else mask.to(model.device)
    out = model(ids.to(model.device), mask=mask, **how)
    found = out.final if out.logits is None else out.logits
    assert found is not None, "the whole model was run"
    return found


def _batched(model: Transformer, tokens: Tokens, alone: Sequence[Tensor]) -> _Worst:
    """Texts side by side without padding: the longest one, backwards too."""
    longest = int(tokens.lengths.argmax())
    row = torch.tensor(tokens.row(longest))
    batch = torch.stack([row, row.flip(0), row])
    found = _finals(model, batch)
    backwards = _finals(model, row.flip(0)[None])[0]
    errors = [
        (_error(found[0], alone[longest]), "in the first row"),
        (_error(found[1], backwards), "in the second row"),
        (_error(found[2], alone[longest]), "in the third row"),
    ]
    return _worst(errors, "texts side by side give what each gives alone")


def _padded(model: Transformer, tokens: Tokens, alone: Sequence[Tensor]) -> _Worst:
    """All texts in one batch, padded on the right, then on the left."""
    errors = []
    for side, (ids, mask) in (("right", (tokens.ids, tokens.mask)), ("left", _left(tokens))):
        found = _finals(model, ids, mask)
        errors += [
            (_error(found[text][mask[text]], alone[text]), f"text {text}, padded on the {side}")
            for text in range(len(tokens))
        ]
    return _worst(errors, "padding changes nothing")


def _left(tokens: Tokens) -> tuple[Tensor, Tensor]:
    """Ids and mask with the padding in front."""
    ids, mask = torch.zeros_like(tokens.ids), torch.zeros_like(tokens.mask)
    for text in range(len(tokens)):
        row = torch.tensor(tokens.row(text))
        ids[text, -len(row) :], mask[text, -len(row) :] = row, True
    return ids, mask


def _cached(model: Transformer, tokens: Tokens, alone: Sequence[Tensor]) -> _Worst:
    """All texts in one batch, in two pieces and then token by token, with what came before in the
    cache."""
    ids, mask = _left(tokens)
    texts, width = ids.shape
    cache = KVCache(model.config, texts, width, dtype=model.dtype, device=model.device)
    cuts = sorted({0, width, *(cut for cut in (width // 3, width - 2, width - 1) if cut > 0)})
    pieces = [
        _finals(model, ids[:, start:end], mask[:, start:end], cache=cache)
        for start, end in pairwise(cuts)
    ]
    found = torch.cat(pieces, dim=1)
    errors = [
        (_error(found[text][mask[text]], expected), f"text {text}")
        for text, expected in enumerate(alone)
    ]
    return _worst(errors, "going on from the cache gives what reading anew gives")


class _Look:
    """Wants to see attention's inside, so that it is computed step by step; changes nothing."""

    def begin(self, positions: Tensor, real: Tensor) -> None:
        pass

    def wants(self, site: str) -> bool:
        return site.endswith((".scores", ".pattern"))

    def __call__(self, site: str, x: Tensor) -> Tensor:
        return x


def _plain(model: Transformer, tokens: Tokens, alone: Sequence[Tensor]) -> _Worst:
    found = _finals(model, tokens.ids, tokens.mask, watch=_Look())
    errors = [
        (_error(found[text][tokens.mask[text]], expected), f"text {text}")
        for text, expected in enumerate(alone)
    ]
    return _worst(errors, "attention step by step gives what the fused one gives")


def _against_float64(model: Transformer, tokens: Tokens, alone: Sequence[Tensor]) -> Check:
    name = "float64"
    if model.dtype == torch.float64:
        return _skipped(name, "the model is in float64 itself")
    exact = Transformer(model.config, dtype=torch.float64, device=model.device)
    exact.load_state_dict(model.state_dict())
    found = _finals(exact, tokens.ids, tokens.mask)
    expected = [found[text][tokens.mask[text]] for text in range(len(tokens))]
    errors = [
        (_error(ours, theirs), f"text {text}")
        for text, (ours, theirs) in enumerate(zip(alone, expected, strict=True))
    ]
    said = "the same weights in float64 give the same" + _agreement(alone, expected, model)
    return _judged(name, _worst(errors, said), _TOLERANCES[model.dtype])


def _agreement(ours: Sequence[Tensor], theirs: Sequence[Tensor], model: Transformer) -> str:
    """At how many positions the best word is the same."""
    if not model.config.has_head:
        return ""
    same = sum(int((a.argmax(-1) == b.argmax(-1)).sum()) for a, b in zip(ours, theirs, strict=True))
    return f", the best word at {same} of {sum(map(len, ours))} positions"


def _against_peer(
    lm: LanguageModel, tokens: Tokens, alone: Sequence[Tensor], tolerance: float
) -> Check:
    name = "transformers"
    if importlib.util.find_spec("transformers") is None:
        return _skipped(name, "transformers is not installed")
    try:
        found, how = peer_finals(lm, tokens)
    except MolehillError as error:
        return _skipped(name, str(error))
    expected = [found[text][tokens.mask[text]] for text in range(len(tokens))]
    errors = [
        (_error(ours, theirs), f"text {text}")
        for text, (ours, theirs) in enumerate(zip(alone, expected, strict=True))
    ]
    said = f"transformers on {how} gives the same" + _agreement(alone, expected, lm.model)
    return _judged(name, _worst(errors, said), tolerance)
