"""`molehill superposition report`: a model's own geometry, on one page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from molehill.cli.common import (
    DEFAULT_MODEL,
    Dtype,
    DtypeOption,
    HtmlOption,
    JsonOption,
    ModelArgument,
    check_writable,
    load_model,
    loads_models,
    print_view,
    print_view_json,
    progress,
    read_lines,
    write_files,
)
from molehill.errors import GeometryError

if TYPE_CHECKING:
    from molehill.language_model import LanguageModel
    from molehill.superposition.matrices import Matrix
    from molehill.superposition.together import Together
    from molehill.trace import Trace

__all__ = ["register"]

# Tokens that are read at most, and how many stand in a window of what occurs together.
_TOKENS, _WINDOW, _FREQUENT = 4096, 16, 1000


def register(app: typer.Typer) -> None:
    """Add this family's verbs to the command line."""
    app.command("report")(loads_models(_report))


def _report(
    model: ModelArgument = DEFAULT_MODEL,
    matrix: Annotated[
        list[str] | None,
        typer.Option(
            "--matrix",
            metavar="NAME",
            help="In full: embedding, positions, unembedding, 3.mlp.gate, 3.mlp.up, 3.mlp.columns, "
            "3.attn.out, or a pattern; repeatable. Default: the tables.",
        ),
    ] = None,
    layers: Annotated[
        bool, typer.Option("--layers/--no-layers", help="Every layer's matrices on one line each.")
    ] = True,
    gains: Annotated[
        bool,
        typer.Option(
            "--gains/--no-gains", help="Rows that read times the gain of the norm before them."
        ),
    ] = True,
    texts: Annotated[
        Path | None,
        typer.Option(
            "--texts", metavar="FILE", help="One text a line: asks what occurs together there."
        ),
    ] = None,
    site: Annotated[
        list[str] | None,
        typer.Option(
            "--site",
            metavar="SITE",
            help="Of the texts: the vectors at a site as a matrix, such as 3.resid_post; "
            "repeatable.",
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file", metavar="FILE", help="Instead of a model: a .safetensors file, with --tensor."
        ),
    ] = None,
    tensor: Annotated[
        str | None,
        typer.Option("--tensor", metavar="NAME", help="A matrix of it, such as an SAE's decoder."),
    ] = None,
    transpose: Annotated[
        bool, typer.Option("--transpose", help="The tensor's columns instead of its rows.")
    ] = False,
    seed: Annotated[
        int, typer.Option("--seed", min=0, max=2**31, help="Of what is drawn beside it.")
    ] = 0,
    html: HtmlOption = None,
    figure: Annotated[
        Path | None,
        typer.Option("--figure", metavar="FILE", help="A figure for print: .png or .svg."),
    ] = None,
    as_json: JsonOption = False,
    dtype: DtypeOption = Dtype.float32,
) -> None:
    """Measure the geometry of a model's matrices: who collides, what is chance, what is not.

    Example: molehill superposition report village
    """
    _check(matrix, texts, site, file, tensor, transpose, figure)
    if file is not None and (model != DEFAULT_MODEL or not layers or not gains):
        raise GeometryError(
            "--file is instead of a model: leave MODEL, --no-layers and --no-gains out."
        )
    check_writable([path for path in (html, figure) if path is not None])
    if file is not None and tensor is not None:
        data = _of_tensor(file, tensor, transpose, seed)
        title = f"Geometry of {tensor}"
    else:
        lm = load_model(model, dtype)
        data = _of_model(lm, matrix, layers, gains, texts, site or [], seed)
        title = f"Geometry of {lm.name}"
    _show(data, title, html, figure, as_json)


def _check(
    matrix: list[str] | None,
    texts: Path | None,
    site: list[str] | None,
    file: Path | None,
    tensor: str | None,
    transpose: bool,
    figure: Path | None,
) -> None:
    if (file is None) != (tensor is None):
        raise GeometryError("Give --file FILE and --tensor NAME together.")
    if file is not None and (matrix or site or texts):
        raise GeometryError("--matrix, --site and --texts are of a model; --tensor is of a file.")
    if transpose and file is None:
        raise GeometryError("--transpose is for a tensor of a file: give --file and --tensor.")
    if site and texts is None:
        raise GeometryError("--site needs texts that the model reads: give --texts FILE.")
    if figure is not None and figure.suffix not in (".png", ".svg"):
        raise GeometryError(f"--figure is {str(figure)!r}: name a .png or a .svg file.")


def _of_model(
    lm: LanguageModel,
    matrix: list[str] | None,
    layers: bool,
    gains: bool,
    texts: Path | None,
    sites: list[str],
    seed: int,
) -> dict[str, Any]:
    from dataclasses import replace

    from molehill.superposition.matrices import matrix_names
    from molehill.superposition.report import detail, report, steps, work
    from molehill.version import __version__
    from molehill.views.provenance import provenance
    from molehill.views.superposition_report import report_data

    tables = [name for name in matrix_names(lm.model) if "." not in name]
    wanted = tables if matrix is None else matrix
    trace = None if texts is None else _read(lm, texts, sites)
    seen = [] if trace is None else [_activations(lm, trace, one) for one in sites]
    total = steps(lm.model, wanted, layers) + sum(work(len(one.vectors)) for one in seen)
    with progress("Measuring", total) as advance:
        found = report(lm.model, wanted, layers=layers, gains=gains, seed=seed, progress=advance)
        more = tuple(detail(one, seed=seed, progress=advance) for one in seen)
    found = replace(found, details=found.details + more)
    compared, notes = ([], []) if trace is None else _compared(lm, trace, seed)
    return report_data(
        found,
        _names(lm),
        provenance=provenance(lm, __version__),
        together=compared,
        notes=notes,
    )


def _names(lm: LanguageModel) -> Any:
    from molehill.views.superposition_report import Names

    if lm.tokenizer is None:
        return Names(None)
    some = range(0, lm.config.d_vocab, max(1, lm.config.d_vocab // 500))
    spaced = any(lm.tokenizer.piece(token).startswith("·") for token in some)
    return Names(lm.tokenizer.piece, spaced)


def _read(lm: LanguageModel, texts: Path, sites: list[str]) -> Trace:
    """The texts' tokens, up to so many, with what is asked for."""
    from molehill.trace import record

    kept, tokens = [], 0
    for line in read_lines(texts):
        kept.append(line)
        tokens += len(lm.encode([line]).row(0))
        if tokens >= _TOKENS:
            break
    middle = f"{lm.config.n_layers // 2}.mlp.act"
    return record(lm, kept, [*sites, middle], logits="none", batch_size=8)


def _kept(trace: Trace) -> tuple[Any, Any]:
    """Which (text, position) are looked at: all but each text's first, which models use as a place
    to rest; as a mask, and as token ids."""
    mask = trace.tokens.mask.clone()
    first = mask.float().argmax(1)
    mask[range(len(mask)), first] = False
    return mask, trace.tokens.ids


def _activations(lm: LanguageModel, trace: Trace, site: str) -> Matrix:
    from molehill.superposition.matrices import Matrix

    mask, ids = _kept(trace)
    values = trace[site]
    if values.ndim != 3:
        raise GeometryError(f"{site} is not one vector a token: name a site such as 3.resid_post.")
    vectors = values[mask][:_TOKENS].float()
    piece = str if lm.tokenizer is None else lm.tokenizer.piece
    places = mask.nonzero()[: len(vectors)].tolist()
    labels = tuple(f"{piece(int(ids[text, at]))} ({text}:{at})" for text, at in places)
    layer = site.split(".")[0]
    return Matrix(
        name=site,
        kind="activations",
        layer=int(layer) if layer.isdecimal() else None,
        vectors=vectors,
        note=f"at {len(vectors):,} tokens of the texts, each text's first left out",
        labels=labels,
    )


def _compared(
    lm: LanguageModel, trace: Trace, seed: int
) -> tuple[list[tuple[str, Together, Callable[[int], str]]], list[str]]:
    """Tokens that stand in one window, and neurons of the middle layer that fire together; what
    there is too little text for is told."""
    from molehill.superposition.matrices import matrices
    from molehill.superposition.together import (
        occurrences_in_windows,
        occurrences_of_largest,
        together,
    )

    found: list[tuple[str, Together, Callable[[int], str]]] = []
    notes = []
    mask, ids = _kept(trace)
    try:
        read = [ids[text][mask[text]].tolist() for text in range(len(ids))]
        occurrences, tokens = occurrences_in_windows(read, _WINDOW, _FREQUENT)
        piece = str if lm.tokenizer is None else lm.tokenizer.piece
        named = tokens.tolist()
        table = lm.model.w_token[tokens.to(lm.model.device)].cpu()
        result = together(table, occurrences, seed=seed)
        found.append((f"windows of {_WINDOW} tokens", result, lambda row: piece(named[row])))
    except GeometryError as error:
        notes.append(f"Tokens that occur together: {error}")
    layer = lm.config.n_layers // 2
    act = trace[f"{layer}.mlp.act"][mask].float().cpu()
    columns = next(matrices(lm.model, f"{layer}.mlp.columns"))
    try:
        result = together(columns.vectors.cpu(), occurrences_of_largest(act), seed=seed)
        what = f"tokens, columns of layer {layer}, a neuron's largest twentieth"
        found.append((what, result, columns.label))
    except GeometryError as error:
        notes.append(f"Neurons that fire together: {error}")
    return found, notes


def _of_tensor(file: Path, name: str, transpose: bool, seed: int) -> dict[str, Any]:
    """The report of one matrix of a file."""
    import hashlib

    from molehill.checkpoints.opening import open_weights
    from molehill.checkpoints.tensorfile import tensor_bytes
    from molehill.superposition.matrices import Matrix
    from molehill.superposition.report import Report, detail, work
    from molehill.version import __version__
    from molehill.views.superposition_report import Names, report_data

    with open_weights(file) as source:
        if name not in source.tensors:
            names = list(source.tensors)
            some = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
            raise GeometryError(f"{file} has no tensor {name!r}; it has {some}.")
        vectors = source.read(name)
    if vectors.ndim != 2:
        raise GeometryError(f"{name} has shape {tuple(vectors.shape)}: a matrix is needed.")
    digest = hashlib.sha256(tensor_bytes(vectors.contiguous())).hexdigest()
    kept = str(vectors.dtype).removeprefix("torch.")
    vectors = vectors.T.contiguous() if transpose else vectors
    note = "columns of the tensor" if transpose else "rows of the tensor"
    with progress("Measuring", work(len(vectors))) as advance:
        found = detail(
            Matrix(name, "tensor", None, vectors.float(), note), seed=seed, progress=advance
        )
    made = {
        "model": file.name,
        "fingerprint": digest,
        "dtype": kept,
        "version": __version__,
        "checked": {"passed": None, "date": None, "failed": [], "told": "a tensor of a file"},
    }
    return report_data(Report((found,), (), (), False, True, seed), Names(None), provenance=made)


def _show(
    data: dict[str, Any], title: str, html: Path | None, figure: Path | None, as_json: bool
) -> None:
    from molehill.views.superposition_report_text import report_renderable, report_text

    if html is not None:
        from molehill.views.html import page

        content = page("superposition-report", data, title=title, text=report_text(data))
        write_files([(html, content.encode("utf-8"))])
    if figure is not None:
        from molehill.views.superposition_report_figure import report_figure

        drawn = report_figure(data, kind="svg" if figure.suffix == ".svg" else "png")
        write_files([(figure, drawn)])
    if as_json:
        print_view_json(data)
        return
    print_view(
        lambda width, ascii_only: report_renderable(data, width=width, ascii_only=ascii_only)
    )
