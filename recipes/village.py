"""Trains the village model that the package ships, scores it, and writes it with its card.

    python recipes/village.py FOLDER

Under three minutes on two cores. The world, its sentences and the scores are `molehill.village`;
here are only the sizes, the loop and the card.
"""

# ruff: noqa: E501 (the card is prose, whose lines are filled in)

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from molehill.checkpoints import load_checkpoint, save_checkpoint
from molehill.files import write_atomically
from molehill.model import ModelConfig, Transformer
from molehill.text import Tokenizer
from molehill.village import (
    World,
    make_world,
    save_world,
    score_facts,
    score_senses,
    tell,
    village_tokenizer,
)

SENTENCES = 60_000
SENTENCES_IN_A_TEXT = 4
STEPS, WARM_UP, BATCH = 1_000, 50, 48
MUON_RATE, ADAM_RATE = 0.02, 0.003
# What one active neuron adds to the loss, per token and unit of its value: enough to silence those
# that say little. (With 2e-4 the second layer has one active neuron a token, with 1e-3 none.)
SPARSENESS = 5e-5
SEED = 0


def config_of(tokenizer: Tokenizer) -> ModelConfig:
    """The notes' block: attention and a ReLU MLP are added, and one layer norm ends it."""
    return ModelConfig(
        n_layers=3,
        d_model=96,
        n_heads=4,
        d_head=24,
        d_mlp=384,
        d_vocab=tokenizer.d_vocab,
        n_ctx=64,
        norm_place="block_end",
        final_norm=False,
    )


def rows_of(world: World, tokenizer: Tokenizer, width: int) -> Tensor:
    """Texts of one to four sentences, packed into rows that each begin with a text; -1 is empty."""
    ids = tokenizer.ids([told.text for told in tell(world, SENTENCES)])
    generator = torch.Generator().manual_seed(SEED)
    sizes = torch.randint(1, SENTENCES_IN_A_TEXT + 1, (SENTENCES,), generator=generator).tolist()
    rows: list[list[int]] = [[]]
    start = 0
    for size in sizes:
        text = [token for one in ids[start : start + size] for token in one]
        start += size
        if not text:
            break
        if len(rows[-1]) + len(text) + 1 > width:
            rows.append([])
        rows[-1] += [*text, tokenizer.eos_id or 0]
    packed = torch.full((len(rows), width), -1)
    for number, row in enumerate(rows):
        packed[number, : len(row)] = torch.tensor(row)
    return packed


class Neurons:
    """Watches a pass and keeps every neuron's value [batch, pos, d_mlp], layer by layer."""

    def __init__(self) -> None:
        self.values: list[Tensor] = []

    def begin(self, positions: Tensor, real: Tensor) -> None:
        self.values = []

    def wants(self, site: str) -> bool:
        return site.endswith("mlp.act")

    def __call__(self, site: str, x: Tensor) -> Tensor:
        self.values.append(x)
        return x


def train(model: Transformer, rows: Tensor) -> float:
    """Trains in place; returns the seconds that it took."""
    matrices = [w for name, w in model.named_parameters() if "blocks" in name and w.ndim == 2]
    chosen = {id(weight) for weight in matrices}
    others = [weight for weight in model.parameters() if id(weight) not in chosen]
    optimizers = [
        torch.optim.Muon(matrices, lr=MUON_RATE, momentum=0.95, weight_decay=0.01),
        torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.0),
    ]
    rates = [MUON_RATE, ADAM_RATE]
    neurons = Neurons()
    generator = torch.Generator().manual_seed(SEED)
    order = torch.empty(0, dtype=torch.int64)
    begin = time.perf_counter()
    for step in range(STEPS):
        if len(order) < BATCH:
            order = torch.randperm(len(rows), generator=generator)
        batch, order = rows[order[:BATCH]], order[BATCH:]
        # Up, level, and down to nothing over the second half.
        scale = min(1.0, (step + 1) / WARM_UP, 2.0 * (1.0 - step / STEPS))
        for optimizer, rate in zip(optimizers, rates, strict=True):
            optimizer.param_groups[0]["lr"] = rate * scale
        wanted = batch[:, 1:]
        real = wanted >= 0
        logits = model(batch[:, :-1].clamp(min=0), watch=neurons).logits
        loss = F.cross_entropy(logits[real], wanted[real])
        active = torch.stack([value[real].sum(-1).mean() for value in neurons.values]).sum()
        (loss + SPARSENESS * active).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
        if (step + 1) % 100 == 0:
            seconds = time.perf_counter() - begin
            print(f"step {step + 1}  loss {float(loss.detach()):.3f}  {seconds:.0f} s", flush=True)
    return time.perf_counter() - begin


@dataclass(frozen=True)
class Measured:
    """Further figures of the card."""

    seconds: float
    tokens: int
    active: list[float]
    """The share of neurons that are not zero, by layer."""
    loss: float
    """Nats per token on sentences of another seed."""


@torch.no_grad()
def measure(model: Transformer, world: World, tokenizer: Tokenizer) -> tuple[list[float], float]:
    """The share of active neurons by layer, and the loss, on sentences of another seed."""
    texts = [told.text for told in tell(world, 2_000, seed=1)]
    tokens = tokenizer.encode(texts)
    neurons = Neurons()
    logits = model(tokens.ids, mask=tokens.mask, watch=neurons).logits
    active = [float((value[tokens.mask] > 0).float().mean()) for value in neurons.values]
    real = tokens.mask[:, 1:]
    return active, float(F.cross_entropy(logits[:, :-1][real], tokens.ids[:, 1:][real]))


def card(model: Transformer, world: World, tokenizer: Tokenizer, measured: Measured) -> str:
    """The model's card: everything measured on the model as it was read back from its file."""
    facts = score_facts(world, model, tokenizer)
    senses = score_senses(world, model, tokenizer)
    blind = score_senses(world, model, tokenizer, cues="after")
    layers = "\n".join(
        f"| {one.point} | {one.accuracy:.1%} | {other.accuracy:.1%} |"
        for one, other in zip(senses.points, blind.points, strict=True)
    )
    config = model.config
    parameters = sum(weight.numel() for weight in model.parameters())
    shares = ", ".join(f"{share:.1%}" for share in measured.active)
    return f"""# village

A small transformer that was trained on sentences of an invented world, so that everything it could know is known.

- **Architecture**: the notes' block. {config.n_layers} layers of {config.n_heads} heads and {config.d_mlp} ReLU neurons, {config.d_model} wide, learned
  positions, one layer norm at the end of each block, no biases; context {config.n_ctx}; {config.d_vocab} tokens, one for each word and three more; the
  unembedding is the token table. {parameters:,} parameters, stored in bfloat16.
- **Data**: {SENTENCES:,} sentences of `molehill.village.tell(make_world(), {SENTENCES})` (seed {world.seed}, noise {world.grammar.noise:g}):
  {len(world.words)} ambiguous words with {len(world.senses)} senses, {len(world.facts)} facts about {len(world.people)} people and {len(world.towns)} towns. No text of anybody's.
- **Recipe**: `recipes/village.py`, seed {SEED}: {STEPS:,} steps of {BATCH} rows ({measured.tokens:,} tokens), Muon for the matrices of the blocks and AdamW
  for the rest, with a small penalty on active neurons. {measured.seconds:.0f} s on two processor cores.
- **Licence**: that of Molehill, Apache-2.0.

## Measured

Facts, as the likeliest next token: **{facts.told:.1%}** in the forms in which they were told, **{facts.withheld:.1%}** in the one form in which each
fact was withheld.

Senses, by the nearest neighbour of held-out sentences ({senses.uses} uses, chance {senses.chance:.1%}):

| point | cue before the word | cue only after it |
|---|---|---|
{layers}

The second column is a control: a reader from left to right cannot know the sense at the word when the cues come after it.
It stays below chance because of what is held out: the nearest sentences that begin alike go on with another sense a little more often.

Loss on new sentences: {measured.loss:.3f} nats a token; most of it is what the world draws at random (who, when, which cue). Active
neurons by layer: {shares}.

## Limits

It knows {len(world.vocabulary)} words and the forms of `village/grammar.py`; any other word is `<unk>`, and no sentence of real English is meant to make sense
to it. `world.json` says which world it belongs to.
"""


def main() -> None:
    """Train, save, read back, score, and write the card."""
    folder = Path(sys.argv[1])
    world = make_world()
    tokenizer = village_tokenizer(world)
    config = config_of(tokenizer)
    rows = rows_of(world, tokenizer, config.n_ctx + 1)
    model = Transformer(config).initialise(SEED)
    seconds = train(model, rows)
    save_checkpoint(model.to(torch.bfloat16), tokenizer, folder, family="molehill", overwrite=True)
    save_world(world, folder)
    loaded = load_checkpoint(folder).model
    tokens = round(STEPS * BATCH * float((rows[:, 1:] >= 0).sum(1).double().mean()))
    measured = Measured(seconds, tokens, *measure(loaded, world, tokenizer))
    text = card(loaded, world, tokenizer, measured)
    write_atomically(folder / "card.md", lambda file: file.write(text.encode()))
    print(text)


if __name__ == "__main__":
    main()
