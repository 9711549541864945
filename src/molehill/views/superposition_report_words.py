"""What a model's geometry says, in sentences: what is surprising first, what is chance after it.

From the data of `views/superposition_report.py`. This module knows no model.
"""

from __future__ import annotations

from typing import Any

from molehill.views.words import bare, enumerated, percent

__all__ = ["KINDS", "figure_of", "kind_name", "quoted", "summary_of"]

KINDS = {
    "mlp.gate": "MLP gate rows",
    "mlp.up": "MLP rows",
    "mlp.columns": "MLP columns",
    "attn.out": "attention outputs",
}
"""The matrices of a layer, in words."""


def figure_of(value: float | None, digits: int = 2) -> str:
    """A number with a proper minus, of so many digits after the point; three where it is small."""
    if value is None:
        return "not finite"
    shown = f"{abs(value):.{digits if abs(value) >= 0.095 or value == 0 else 3}f}"
    return f"{'−' if value < 0 and float(shown) else ''}{shown}"


def kind_name(kind: str, *, gated: bool) -> str:
    """The matrices of a layer in words; of a gated MLP the rows are told apart."""
    return "MLP up rows" if gated and kind == "mlp.up" else KINDS[kind]


def quoted(name: str) -> str:
    """A row's name in a sentence."""
    return f"“{bare(name).strip('“”')}”"


def summary_of(data: dict[str, Any]) -> list[str]:
    """The first sentences of a report."""
    told = []
    tables = [table for table in data["tables"] if table["kind"] != "positions"]
    if tables:
        first = tables[0]
        told = [_common(first), _beyond(first), _dimensions(first)]
        told += [line for line in (_bundles(first), _pairs(first), _hubs(first)) if line]
    told += _layers(data["layers"])
    told += [line for line in [_twins(data["twins"])] if line]
    told += [_together(one) for one in data["together"]]
    if not told:
        told = [_common(table) for table in data["tables"]]
    return told


def _name(table: dict[str, Any]) -> str:
    return f"the {table['name']}" if table["tokens"] or "." not in table["name"] else table["name"]


def _common(table: dict[str, Any]) -> str:
    """Whether the rows have a direction in common, and what is left without it."""
    name = _name(table)
    start = f"{name[0].upper()}{name[1:]}'s {table['count']:,} rows"
    mean, without = table["mean_cosine"] or 0.0, table["rms_centred"]
    times = (without or 0.0) / table["random_rms"]
    chance = f"random directions have {figure_of(table['random_rms'])}"
    if abs(mean) >= 2 * table["random_rms"]:
        return (
            f"{start} share one direction: two of them have a cosine of {figure_of(mean)} on "
            f"average, where random ones have 0. With their mean taken off a typical |cosine| is "
            f"{figure_of(without)}, {times:.1f} times chance ({figure_of(table['random_rms'])})."
        )
    return (
        f"{start} have no direction in common (mean cosine {figure_of(mean)}); a typical |cosine| "
        f"is {figure_of(table['rms'])}, {(table['rms'] or 0) / table['random_rms']:.1f} times "
        f"chance: {chance}."
    )


def _beyond(table: dict[str, Any]) -> str:
    """Whether the closest pairs are closer than the spectrum alone would have them."""
    largest, drawn = abs(table["largest"] or 0.0), table["matched_largest"]
    tail, drawn_tail = table["tail"], table["matched_tail"]
    more = (
        "The spectrum does not explain who is near to whom"
        if largest > 1.05 * drawn
        else "The spectrum alone explains the closest pairs"
    )
    return (
        f"{more}: the largest |cosine| is {figure_of(largest)}, vectors drawn with the same "
        f"spectrum reach {figure_of(drawn)}, random ones {figure_of(table['random_largest'])}, and "
        f"no set could stay below {figure_of(table['bound'])} ({table['bound_name']}). One pair in "
        f"a thousand is above {figure_of(tail)}; drawn, {figure_of(drawn_tail)}."
    )


def _dimensions(table: dict[str, Any]) -> str:
    return (
        f"Of {table['dimensions']} dimensions they use {table['effective_rank']:.0f} by effective "
        f"rank (random: {table['random_rank']:.0f}); the participation ratio is "
        f"{table['participation']:.1f}, and {table['participation_centred']:.0f} with the mean "
        "taken off."
    )


def _bundles(table: dict[str, Any]) -> str:
    found = table["bundles"]
    if not found:
        return ""
    told = []
    for one in found:
        names = enumerated([quoted(name) for name in one["rows"][:4]])
        rest = ", ..." if one["size"] > 4 else ""
        told.append(
            f"{one['size']:,} rows ({names}{rest}; mean cosine {figure_of(one['mean_cosine'])}, "
            f"lengths within {percent(one['spread'])}, of other rows {percent(one['others'])})"
        )
    many = "One bundle shares" if len(found) == 1 else f"{len(found)} bundles share each"
    return (
        f"{many} one direction: {'; '.join(told)}. Rows that training hardly ever met lie so, and "
        "words that are used alike: the names tell which."
    )


def _pairs(table: dict[str, Any]) -> str:
    found = table["collisions"]
    if not found:
        return ""
    named = "; ".join(
        f"{quoted(one['first'])} and {quoted(one['second'])} ({figure_of(one['cosine'])})"
        for one in ([one for one in found if one["kind"] != "marks"] or found)[:3]
    )
    outside = " outside of bundles" if table["bundles"] else ""
    kinds = table["kinds"].get("closest", {})
    total = sum(kinds.values())
    alike = kinds.get("case or space", 0) + kinds.get("form", 0)
    told = f" Of the closest {total}, {alike} are one word in two forms." if alike else ""
    return f"The closest pairs{outside}: {named}.{told}"


def _hubs(table: dict[str, Any]) -> str:
    found = table["hubs"]
    if found is None:
        return ""
    names = enumerated([f"{quoted(name)} ({times:,})" for name, times in found["largest"][:3]])
    compared = {name: value for name, _, value in found["compared"]}
    real, drawn = compared.get("as they are"), compared.get("same spectrum")
    beside = (
        ""
        if real is None or drawn is None
        else f" On {found['compared'][0][1]:,} rows the skewness is {figure_of(real)}, drawn with "
        f"the same spectrum {figure_of(drawn)}, random {figure_of(compared['random'])}."
    )
    return (
        f"Nearness is {'uneven' if (found['skewness'] or 0) > 1 else 'even'}: {names} are among "
        f"the {found['k']} nearest of so many others, and {percent(found['orphans'])} of rows of "
        f"none (skewness {figure_of(found['skewness'])}).{beside}"
    )


def _layers(lines: list[dict[str, Any]]) -> list[str]:
    if not lines:
        return []
    gated = any(line["kind"] == "mlp.gate" for line in lines)
    told = []
    for kind in ("mlp.gate", "mlp.up", "mlp.columns"):
        of = [line for line in lines if line["kind"] == kind]
        if not of:
            continue
        ratio = [line["rms"] / line["random_rms"] for line in of]
        most = max(of, key=lambda line: abs(line["largest"]))
        told.append(
            f"{kind_name(kind, gated=gated)} are {min(ratio):.2f} to {max(ratio):.2f} times "
            f"chance in a typical |cosine|; the closest pair is {' and '.join(most['pair'])} "
            f"({figure_of(most['largest'])}; drawn with its spectrum "
            f"{figure_of(most['matched_largest'])})."
        )
    return told


def _twins(layers: list[dict[str, Any]]) -> str:
    """What neurons answer that ask nearly the same."""
    pairs = sum(one["pairs"] for one in layers)
    if not pairs:
        return ""
    gated = any(one["agreeing"] is not None for one in layers)
    opposed = sum(one["pairs"] * one["opposed"] for one in layers) / pairs
    columns = sum(one["pairs"] * one["columns"] for one in layers) / pairs
    most = max((one for one in layers if one["closest"]), key=lambda one: one["closest"][0][2])
    first, second, row, column = most["closest"][0]
    verdict = (
        "answer alike"
        if opposed < 0.35
        else "answer the opposite"
        if opposed > 0.65
        else "answer alike and apart about as often"
    )
    up = ""
    if gated:
        agree = sum(one["pairs"] * (one["agreeing"] or 0) for one in layers) / pairs
        up = f"; with the sign of their up rows {percent(agree)} agree"
    return (
        f"Neurons that ask nearly the same {verdict}: of {pairs:,} pairs of one layer whose "
        f"{'gate rows' if gated else 'rows'} have a cosine of 0.5 or more, {percent(opposed)} have "
        f"columns that point apart (mean {figure_of(columns)}){up}. The closest are {first} and "
        f"{second}: rows {figure_of(row)}, columns {figure_of(column)}."
    )


def _together(one: dict[str, Any]) -> str:
    signed, size = one["signed"], one["size"]
    clear = size["low"] > 0 or size["high"] < 0
    way = "more" if size["difference"] > 0 else "less"
    verdict = (
        f"Interference falls {way} on what occurs together"
        if clear and abs(size["z"]) > 3
        else "Interference falls on what occurs together no more than elsewhere"
    )
    return (
        f"{verdict} ({one['what']}): |cosine| {figure_of(size['linked'], 3)} against "
        f"{figure_of(size['others'], 3)} of pairs of like frequency, a difference of "
        f"{figure_of(size['difference'], 3)} ({figure_of(size['low'], 3)} to "
        f"{figure_of(size['high'], 3)}; chance within "
        f"{figure_of(2 * (size['null'] or 0), 3)}); with its sign "
        f"{figure_of(signed['difference'], 3)}."
    )
