"""Codes and outputs of the same autoencoders here and in the tools whose files are read and
written: sae-lens in both directions, sparsify and dictionary_learning as files to read. Weights are
random and decoder rows of any length. Every line is one architecture: active features a row, and
the largest differences, as they are and as a share of the largest number, in float32 and, on the
same weights, in float64, where rounding no longer shows.

python benchmarks/features_parity.py [--rows 256] [--width 64] [--features 512]
(in an environment with sae-lens, eai-sparsify and dictionary-learning; see scripts/peers)
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
# A torchvision of another torch keeps transformers, which sae-lens imports, from loading.
sys.modules.setdefault("torchvision", None)  # type: ignore[arg-type]
warnings.filterwarnings("ignore")

import torch  # noqa: E402
from _machine import machine, report  # noqa: E402
from torch import Tensor  # noqa: E402

from molehill.features.autoencoder import Autoencoder, Settings  # noqa: E402
from molehill.features.foreign import Placing  # noqa: E402
from molehill.features.formats import read_features  # noqa: E402
from molehill.features.making import make_autoencoder  # noqa: E402
from molehill.features.saelens_writing import write_saelens  # noqa: E402
from molehill.features.trained import Features  # noqa: E402

SITE, OUT = "3.mlp.in", "3.mlp.out"
Coder = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Rows to the table of codes and to what comes out."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--features", type=int, default=512)
    told = parser.parse_args()
    report(machine=machine())
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as place:
        for number, (name, pairs) in enumerate(cases(told, Path(place))):
            x = torch.randn(told.rows, told.width, generator=torch.Generator().manual_seed(number))
            report(benchmark="features_parity", case=name, **compared(pairs, x))


def compared(pairs: Callable[[torch.dtype], tuple[Coder, Coder]], x: Tensor) -> dict[str, object]:
    found: dict[str, object] = {}
    for dtype in (torch.float32, torch.float64):
        with torch.no_grad():
            ours, theirs = (coder(x.to(dtype)) for coder in pairs(dtype))
        name = str(dtype).removeprefix("torch.")
        found["active"] = round((theirs[0] > 0).sum(1).double().mean().item(), 2)
        for what, mine, other in zip(("codes", "outputs"), ours, theirs, strict=True):
            apart, largest = (mine - other).abs().max().item(), other.abs().max().item()
            found[f"{name}_{what}"] = float(f"{apart:.2g}")
            found[f"{name}_{what}_relative"] = float(f"{apart / largest:.2g}")
    return found


def cases(told: argparse.Namespace, place: Path) -> Iterator[tuple[str, Callable]]:
    yield from written_by_us(told, place)
    yield from written_by_sae_lens(told, place)
    yield from trained_by_sae_lens(told, place)
    yield from written_by_sparsify(told, place)
    yield from of_dictionary_learning(told, place)


# --- coders ---------------------------------------------------------------------------------------


def ours(autoencoder: Autoencoder, dtype: torch.dtype) -> Coder:
    model = autoencoder.to(dtype)
    model.products = dtype

    def code(x: Tensor) -> tuple[Tensor, Tensor]:
        codes = model.encode(x)
        return codes.dense(), model.decode(codes) + model.skipped(x)

    return code


def of_sae_lens(folder: Path, dtype: torch.dtype) -> Coder:
    from sae_lens import SAE

    sae = SAE.load_from_disk(folder, dtype=str(dtype).removeprefix("torch."))
    return lambda x: (sae.encode(x), sae(x))


def both(folder: Path, *, theirs: Path | None = None) -> Callable:
    placing = Placing(reads=SITE, writes=SITE)
    return lambda dtype: (
        ours(read_features(folder, placing).features.autoencoder, dtype),
        of_sae_lens(theirs or folder, dtype),
    )


# --- folders that we write ------------------------------------------------------------------------


def written_by_us(told: argparse.Namespace, place: Path) -> Iterator[tuple[str, Callable]]:
    plain = {name: {} for name in ("relu", "topk", "batchtopk", "jumprelu", "gated", "matryoshka")}
    uncentred = {f"{name}, uncentred": {"centred": False} for name in plain}
    coders = {"relu": {}, "jumprelu": {}, "batchtopk": {}}
    transcoders = {f"{name}, transcoder": {"d_out": told.width // 2} for name in coders}
    skip = {f"{name}, skip": {"d_out": told.width // 2, "skip": True} for name in coders}
    for name, changes in {**plain, **uncentred, **transcoders, **skip}.items():
        autoencoder = random_autoencoder(name.partition(",")[0], told, **changes)
        writes = OUT if "d_out" in changes else SITE
        folder = place / f"ours {name}"
        write_saelens(Features(autoencoder, (SITE,), (writes,)), folder)
        yield (
            f"written by us: {name}",
            lambda dtype, made=autoencoder, at=folder: (ours(made, dtype), of_sae_lens(at, dtype)),
        )


def random_autoencoder(name: str, told: argparse.Namespace, **changes) -> Autoencoder:
    d_out = changes.pop("d_out", told.width)
    changes.setdefault("centred", d_out == told.width)
    made = make_autoencoder(Settings(name, told.width, d_out, told.features, k=16, **changes))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
        if "threshold" in made.state_dict():
            made.threshold.fill_(1.4)
    return made


# --- folders that sae-lens writes -----------------------------------------------------------------


def written_by_sae_lens(told: argparse.Namespace, place: Path) -> Iterator[tuple[str, Callable]]:
    from sae_lens import SAE
    from sae_lens.registry import get_sae_class

    plain = ("standard", "topk", "jumprelu", "gated")
    changes: dict[str, dict] = {name: {} for name in plain}
    changes |= {f"{name}, uncentred": {"apply_b_dec_to_input": False} for name in plain}
    changes["topk, rescaled"] = {"rescale_acts_by_decoder_norm": True}
    for skip in ("", "skip_"):
        for kind in ("", "jumprelu_"):
            changes[f"{kind}{skip}transcoder"] = {
                "d_out": told.width // 2,
                "apply_b_dec_to_input": False,
            }
    for name, more in changes.items():
        architecture = name.partition(",")[0]
        if architecture == "topk":
            more = {"k": 16, **more}
        sizes = {"d_in": told.width, "d_sae": told.features, "architecture": architecture}
        config = get_sae_class(architecture)[1].from_dict({**sizes, **more})
        sae: SAE = get_sae_class(architecture)[0](config)
        randomise(sae)
        folder = place / f"theirs {name}"
        sae.save_model(folder)
        yield f"written by sae-lens: {name}", both(folder)
    yield from flat(place)
    yield from with_a_factor(told, place)


def randomise(module: torch.nn.Module) -> None:
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape))
            if name == "threshold":
                parameter.copy_(parameter.abs() + 0.5)


def flat(place: Path) -> Iterator[tuple[str, Callable]]:
    """Descriptions from before version 6, for weights of today's."""
    for name in ("standard", "topk", "jumprelu", "gated"):
        source, folder = place / f"theirs {name}", place / f"flat {name}"
        folder.mkdir()
        (folder / "sae_weights.safetensors").symlink_to(source / "sae_weights.safetensors")
        new = json.loads((source / "cfg.json").read_text())
        old = {key: new[key] for key in ("d_in", "d_sae", "dtype", "device")}
        old |= {"hook_point": "blocks.3.hook_resid_pre", "normalize_activations": False}
        old |= {"model_name": "gpt2-small", "architecture": name}
        if name == "topk":
            old["architecture"] = "standard"
            old |= {"activation_fn_str": "topk", "activation_fn_kwargs": {"k": new["k"]}}
        (folder / "cfg.json").write_text(json.dumps(old))
        yield f"flat description: {name}", both(folder)


def with_a_factor(told: argparse.Namespace, place: Path) -> Iterator[tuple[str, Callable]]:
    """Trained on inputs times a factor that is kept beside the weights."""
    from sae_lens import SAE

    for name in ("standard", "topk, rescaled", "jumprelu", "gated"):
        source, folder = place / f"theirs {name}", place / f"factor {name}"
        folder.mkdir()
        (folder / "sae_weights.safetensors").symlink_to(source / "sae_weights.safetensors")
        (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": 0.37}))
        cfg = json.loads((source / "cfg.json").read_text())
        cfg["normalize_activations"] = "expected_average_only_in"
        (folder / "cfg.json").write_text(json.dumps(cfg))

        def theirs(dtype: torch.dtype, folder: Path = folder) -> Coder:
            sae = SAE.load_from_disk(folder, dtype=str(dtype).removeprefix("torch."))
            sae.fold_activation_norm_scaling_factor(0.37)
            return lambda x: (sae.encode(x), sae(x))

        yield (
            f"a factor put into the weights: {name}",
            lambda dtype, at=folder, theirs=theirs: (
                ours(read_features(at, Placing(reads=SITE)).features.autoencoder, dtype),
                theirs(dtype),
            ),
        )


def trained_by_sae_lens(told: argparse.Namespace, place: Path) -> Iterator[tuple[str, Callable]]:
    """A run's own files against what sae-lens saves of it for use."""
    from sae_lens.registry import get_sae_training_class

    for name in ("batchtopk", "matryoshka_batchtopk"):
        for rescaled in (True, False):
            kind, config_class = get_sae_training_class(name)
            more = {"matryoshka_widths": [told.features // 8, told.features]}
            config = config_class(
                d_in=told.width,
                d_sae=told.features,
                k=16.5,
                rescale_acts_by_decoder_norm=rescaled,
                **(more if "matryoshka" in name else {}),
            )
            sae = kind(config)
            randomise(sae)
            sae.topk_threshold = torch.tensor(2.0, dtype=torch.double)
            folder, used = place / f"run {name} {rescaled}", place / f"used {name} {rescaled}"
            sae.save_model(folder)
            sae.save_inference_model(used)
            says = ", rescaled" if rescaled else ""
            yield f"trained by sae-lens: {name}{says}", both(folder, theirs=used)


# --- the others -----------------------------------------------------------------------------------


def written_by_sparsify(told: argparse.Namespace, place: Path) -> Iterator[tuple[str, Callable]]:
    from sparsify import SparseCoder
    from sparsify.config import SparseCoderConfig

    for name, changes in {
        "autoencoder": {},
        "transcoder": {"transcode": True},
        "skip transcoder": {"transcode": True, "skip_connection": True},
    }.items():
        config = SparseCoderConfig(num_latents=told.features, k=16, **changes)
        coder = SparseCoder(told.width, config)
        randomise(coder)
        folder = place / name / "layers.3.mlp"
        coder.save_to_disk(folder)

        def theirs(x: Tensor, coder: SparseCoder = coder) -> tuple[Tensor, Tensor]:
            coder = coder.to(x.dtype)
            values, indices, pre = coder.encode(x)
            table = torch.zeros_like(pre).scatter(1, indices, values)
            return table, coder(x).sae_out

        yield (
            f"written by sparsify: {name}",
            lambda dtype, at=folder, theirs=theirs: (
                ours(read_features(at, Placing(reads=SITE)).features.autoencoder, dtype),
                theirs,
            ),
        )


def of_dictionary_learning(told: argparse.Namespace, place: Path) -> Iterator[tuple[str, Callable]]:
    from dictionary_learning.dictionary import AutoEncoder, GatedAutoEncoder, JumpReluAutoEncoder
    from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
    from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
    from dictionary_learning.trainers.top_k import AutoEncoderTopK
    from safetensors.torch import save_file

    d, n = told.width, told.features
    made = [AutoEncoder(d, n), JumpReluAutoEncoder(d, n), GatedAutoEncoder(d, n)]
    made += [AutoEncoderTopK(d, n, 16), BatchTopKSAE(d, n, 16)]
    made += [MatryoshkaBatchTopKSAE(d, n, 16, [n // 4, n - n // 4])]
    for model in made:
        name = type(model).__name__
        if name == "GatedAutoEncoder":  # its three biases are not set before training
            for each in (model.r_mag, model.gate_bias, model.mag_bias):
                torch.nn.init.zeros_(each)
        randomise(model)
        if name in ("BatchTopKSAE", "MatryoshkaBatchTopKSAE"):
            model.threshold.fill_(1.5)
        folder = place / name
        folder.mkdir()
        state = {key: value.clone().contiguous() for key, value in model.state_dict().items()}
        save_file(state, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"trainer": {"dict_class": name}}))

        def theirs(x: Tensor, model: torch.nn.Module = model) -> tuple[Tensor, Tensor]:
            model = model.to(x.dtype)
            codes = model.encode(x)
            return codes, model.decode(codes)

        placing = Placing(reads=SITE)
        yield (
            f"converted from dictionary_learning: {name}",
            lambda dtype, at=folder, theirs=theirs, placing=placing: (
                ours(read_features(at, placing).features.autoencoder, dtype),
                theirs,
            ),
        )


if __name__ == "__main__":
    main()
