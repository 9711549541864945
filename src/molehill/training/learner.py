"""One step of learning: gradients gathered from micro-batches, then applied once, or not at all.

The model's own parameters are the master weights, in float32. Products are made with copies in
bfloat16 that are casts inside the graph, so that gradients come back to the masters in float32 and
whatever wraps the objective (DDP, FSDP2) sees ordinary parameters. Token and position tables are
read in float32: their gradients are sums over many tokens. This module knows nothing of files,
schedules, texts or of how many processes there are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from molehill.errors import CheckpointError, ConfigError, TextError
from molehill.model import ModelConfig, Products, Transformer
from molehill.training.loss import next_token_loss, score_loss
from molehill.training.optimizers import OptimizerChoice, make_optimizers

__all__ = ["Applied", "Learner", "Objective"]

# What makes the start of the residual stream: it stays in the masters' dtype.
_READ_WIDE = ("w_token", "w_pos", "w_type", "w_embed_in", "embed_norm.")
# What the unembedding's product casts by itself.
_CAST_BY_LOSS = ("w_unembed", "b_unembed")
# Told by their names: the compiler's own module takes 0.8 s to import, which nobody who compiles
# nothing should wait for.
_COMPILER_FAILED = {"TorchDynamoException", "CppCompileError", "InvalidCxxCompiler"}


@dataclass(frozen=True)
class Applied:
    """What became of a step."""

    grad_norm: float
    """The length of the whole gradient before it was clipped."""
    finite: bool
    """Whether it was a number: only then was anything changed."""


class _Trunk(nn.Module):
    """The start of the residual stream -> what the unembedding reads, by a model whose weights may
    be of two dtypes."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, start: Tensor, positions: Tensor) -> Tensor:
        """start [batch, pos, d_model], positions [batch, pos] -> [batch, pos, token_width]."""
        final = self.model(None, resid=start, positions=positions, logits="none").final
        return self.model.to_head(final)


class Objective(nn.Module):
    """A model as what is minimised: rows of tokens -> their summed loss.

    Its parameters are the model's own, so that it can be wrapped as a whole:
    `DistributedDataParallel(objective)` averages gradients in the backward pass. For FSDP2, make it
    with `cast=False`, `fully_shard` each of `objective.trunk.model.blocks` and then the objective
    itself, with `MixedPrecisionPolicy(param_dtype=dtype, reduce_dtype=torch.float32)`: there the
    policy makes the casts.

    Args:
        dtype: of products and of the residual stream.
        cast: whether to cast weights to `dtype` here.
    """

    def __init__(
        self, model: Transformer, dtype: torch.dtype = torch.bfloat16, *, cast: bool = True
    ) -> None:
        super().__init__()
        self.trunk = _Trunk(model)
        self.dtype = dtype
        self.cast = cast
        self._read: Callable[[Tensor, Tensor], Tensor] = self._final
        self._score_loss = score_loss

    def compile_passes(self) -> None:
        """From now on the pass and the scores' loss are compiled, at their first use."""
        self._read = torch.compile(self._final, dynamic=False)
        self._score_loss = torch.compile(score_loss, dynamic=False)

    def run_plain(self) -> None:
        """Undoes `compile_passes`."""
        self._read, self._score_loss = self._final, score_loss

    def forward(self, rows: Int[Tensor, "batch pos"]) -> Float[Tensor, ""]:
        """Each row's tokens after the first are predicted from those before them: the sum of their
        losses in nats. Ids below zero end a row and are not counted."""
        model = self.trunk.model
        ids = rows[:, :-1].clamp(min=0)
        positions = torch.arange(ids.shape[1], device=ids.device).expand(ids.shape)
        # Not compiled: a compiled table's gradient is added up by whichever thread comes first, and
        # the same step would have other last digits every time.
        start = model.embed(ids, positions).to(self.dtype)
        final = self._read(start, positions)
        return next_token_loss(
            final.flatten(0, 1),
            model.unembedding,
            rows[:, 1:].flatten(),
            bias=model.b_unembed,
            softcap=model.config.final_softcap,
            by=self._score_loss,
        )

    def _final(self, start: Tensor, positions: Tensor) -> Tensor:
        if not self.cast:
            return self.trunk(start, positions)
        weights = {
            f"model.{name}": weight.to(self.dtype)
            for name, weight in self.trunk.model.named_parameters()
            if not name.startswith((*_READ_WIDE, *_CAST_BY_LOSS))
        }
        return functional_call(self.trunk, weights, (start, positions))


class Learner:
    """A model, its optimizers and the one step that they make together.

        learner = Learner(model, OptimizerChoice())
        for rows in micro_batches:
            loss = learner.accumulate(rows, scale=1 / len(micro_batches))
        applied = learner.apply(rate=schedule(step))

    Everything is a function of weights, state and rows: the same seeds give the same bits on the
    same machine and number of threads.

    Args:
        model: a causal model with a head, in float32 (float64 in tests); it is trained in place.
        choice: optimizers and their rates.
        dtype: of products: bfloat16, or the model's own.
        compile: whether to compile the passes (`torch.compile`), which takes a C++ compiler and up
            to a minute at the first step. Where that fails, `notice` says so in a line and the
            passes run as they are.
        wrap: Objective -> the module that is called in its place: DDP, or FSDP2 (see `Objective`).
        cast: as in `Objective`.

    Attributes:
        objective: what is called with rows: the `Objective`, wrapped.
        notice: one line on what is not as asked for; None if there is nothing to say.

    Raises:
        ConfigError: a model that does not predict the next token, or is not in float32.
    """

    def __init__(
        self,
        model: Transformer,
        choice: OptimizerChoice | None = None,
        *,
        dtype: torch.dtype = torch.bfloat16,
        compile: bool = True,
        wrap: Callable[[Objective], nn.Module] | None = None,
        cast: bool = True,
    ) -> None:
        _check_model(model, dtype)
        self.model = model.train()
        self.choice = choice or OptimizerChoice()
        self.dtype = dtype
        self.notice: str | None = None
        self._plain = Objective(model, dtype, cast=cast)
        if compile:
            self._plain.compile_passes()
        self._compiling = compile
        self.objective: nn.Module = self._plain if wrap is None else wrap(self._plain)
        # After wrapping: FSDP2 puts sharded parameters in the place of whole ones.
        self.optimizers: list[Optimizer] = make_optimizers(model.named_parameters(), self.choice)

    def accumulate(self, rows: Int[Tensor, "batch pos"], scale: float = 1.0) -> Float[Tensor, ""]:
        """Adds `scale` times the gradient of these rows' mean loss to what `apply` will apply.

        Args:
            rows: token ids; each token is predicted from those before it in its row. Ids below zero
                end a row.
            scale: this micro-batch's share of all tokens of the step that are predicted. With
                these shares the gradient is that of one large batch.

        Returns:
            The mean loss in nats per predicted token, detached, in float32.

        Raises:
            TextError: rows that the model cannot read.
        """
        counted = _check_rows(rows, self.model.config)
        rows = rows.to(self.model.device)
        if self._compiling:
            loss = self._first_time(rows, scale, counted)
        else:
            loss = self._backward(rows, scale, counted)
        return loss.detach() / counted

    def apply(self, rate: float = 1.0) -> Applied:
        """Clips the gathered gradient, takes one step of every optimizer and forgets the gradient.

        A gradient that is not finite is forgotten and nothing else happens: weights and optimizers
        stay bit for bit as they were.

        Args:
            rate: what the choice's rates are multiplied by: the schedule's value, 1 at its top.
        """
        gradients = [weight.grad for weight in self.model.parameters() if weight.grad is not None]
        assert gradients, "apply() follows accumulate()"
        norm = _whole(get_total_norm(gradients))
        length = float(norm)
        finite = math.isfinite(length)
        if finite:
            if self.choice.max_norm is not None:
                clip_grads_with_norm_(self.model.parameters(), self.choice.max_norm, norm)
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = group["top_rate"] * rate
                optimizer.step()
        self.forget()
        return Applied(length, finite)

    def forget(self) -> None:
        """Drops what was gathered since the last step."""
        for weight in self.model.parameters():
            weight.grad = None

    @torch.no_grad()
    def evaluate(self, rows: Int[Tensor, "batch pos"]) -> float:
        """The mean loss of rows in nats per predicted token, in the dtype of training."""
        counted = _check_rows(rows, self.model.config)
        rows = rows.to(self.model.device)
        products, self.model.products = self.model.products, Products("torch")
        try:
            return float(self.objective(rows)) / counted
        finally:
            self.model.products = products

    def state(self) -> dict[str, Tensor]:
        """Everything that the next steps depend on, by name: weights as `model.NAME`, the
        optimizers' tensors as `optimizer.NAME.SLOT`. The tensors themselves, not copies; gradients
        gathered and not yet applied are not among them."""
        found = {f"model.{name}": weight.detach() for name, weight in self.model.named_parameters()}
        for name, weight in self.model.named_parameters():
            for slot, value in self._optimizer_of(weight).state.get(weight, {}).items():
                found[f"optimizer.{name}.{slot}"] = value
        return found

    @torch.no_grad()
    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of `state`: steps go on as they would have, bit for bit.

        Raises:
            CheckpointError: tensors missing, unknown or of another shape; nothing is changed then.
        """
        wanted = self._slots(state)
        missing = sorted(set(wanted) - set(state))
        unknown = sorted(set(state) - set(wanted))
        if missing or unknown:
            raise CheckpointError(
                f"The state is of another model or optimizer: missing {_few(missing)}; "
                f"unknown {_few(unknown)}. Go on with the recipe that it was saved with."
            )
        for name, shape in wanted.items():
            if state[name].shape != shape:
                raise CheckpointError(
                    f"{name} has shape {tuple(state[name].shape)}, expected {tuple(shape)}: the "
                    "state is of a model of another size."
                )
        self.forget()
        for name, weight in self.model.named_parameters():
            weight.copy_(state[f"model.{name}"])
            slots = self._optimizer_of(weight).state[weight]
            slots.clear()
            prefix = f"optimizer.{name}."
            for key in [key for key in state if key.startswith(prefix)]:
                value = state[key]
                # A fused step counts where the weights are.
                held = (
                    torch.zeros_like(weight)
                    if value.ndim
                    else torch.zeros_like(value, device=weight.device)
                )
                slots[key.removeprefix(prefix)] = held.copy_(value)

    def _slots(self, state: Mapping[str, Tensor]) -> dict[str, torch.Size]:
        """The names that a state of this learner has, with their shapes; those of optimizers only
        if it was saved after a step."""
        wanted = {f"model.{name}": weight.shape for name, weight in self.model.named_parameters()}
        if any(name.startswith("optimizer.") for name in state):
            for name, weight in self.model.named_parameters():
                muon = isinstance(self._optimizer_of(weight), torch.optim.Muon)
                shapes = (
                    {"momentum_buffer": weight.shape}
                    if muon
                    else {"step": torch.Size(), "exp_avg": weight.shape, "exp_avg_sq": weight.shape}
                )
                wanted |= {f"optimizer.{name}.{slot}": shape for slot, shape in shapes.items()}
        return wanted

    def _optimizer_of(self, weight: nn.Parameter) -> Optimizer:
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                if any(one is weight for one in group["params"]):
                    return optimizer
        raise AssertionError("every weight has an optimizer")

    def _backward(self, rows: Tensor, scale: float, counted: int) -> Tensor:
        loss = self.objective(rows)
        (loss * (scale / counted)).backward()
        return loss

    def _first_time(self, rows: Tensor, scale: float, counted: int) -> Tensor:
        """The first pass, which compiles; where that cannot be done, without."""
        self._compiling = False
        try:
            return self._backward(rows, scale, counted)
        except Exception as error:
            if _COMPILER_FAILED.isdisjoint(kind.__name__ for kind in type(error).__mro__):
                raise
            reason = str(error).strip().partition("\n")[0]
            self.notice = f"Training runs uncompiled, since compiling failed: {reason:.200}"
            self._plain.run_plain()
            self.forget()
            return self._backward(rows, scale, counted)


def _check_rows(rows: Tensor, config: ModelConfig) -> int:
    """How many tokens of rows [batch, pos] are predicted.

    Raises:
        TextError: rows that the model cannot read, or in which nothing is predicted.
    """
    if rows.ndim != 2 or rows.dtype != torch.int64:
        raise TextError(
            f"Rows to learn from are {tuple(rows.shape)} of {rows.dtype}, expected token ids "
            "(batch, pos) of torch.int64."
        )
    if config.positions == "learned" and rows.shape[1] > config.n_ctx + 1:
        raise TextError(
            f"Rows hold {rows.shape[1]} tokens and the model reads {config.n_ctx} and predicts one "
            "more: cut them shorter."
        )
    if rows.numel() and int(rows.max()) >= config.d_vocab:
        raise TextError(
            f"Rows hold the token {int(rows.max())} and the vocabulary has {config.d_vocab}: the "
            "text was encoded with another tokenizer."
        )
    counted = int((rows[:, 1:] >= 0).sum())
    if not counted:
        raise TextError(
            f"There is nothing to predict in rows of shape {tuple(rows.shape)}: give rows of two "
            "tokens or more."
        )
    return counted


def _check_model(model: Transformer, dtype: torch.dtype) -> None:
    config = model.config
    if not config.causal or not config.has_head:
        raise ConfigError(
            "Only a causal model with an unembedding predicts the next token; this one is "
            f"causal={config.causal}, has_head={config.has_head}."
        )
    if model.dtype not in (torch.float32, torch.float64):
        raise ConfigError(
            f"The weights are {model.dtype} and steps are too small for it: train in float32 "
            "(model.float()) and choose the dtype of products."
        )
    if dtype not in (torch.bfloat16, model.dtype):
        raise ConfigError(
            f"The dtype of products is {dtype}, expected torch.bfloat16 or the model's own "
            f"{model.dtype}."
        )


def _whole(norm: Tensor) -> Tensor:
    """A norm over all processes, where weights are sharded."""
    gather = getattr(norm, "full_tensor", None)
    return norm if gather is None else gather()


def _few(names: list[str]) -> str:
    return (", ".join(names[:3]) + (", ..." if len(names) > 3 else "")) or "nothing"
