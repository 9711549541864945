"""The account of parameters as data, as text and as a picture (SVG, or a page around it).

Pure: an `Account` goes in, strings and plain values come out. Knows no file and no terminal.
"""

from __future__ import annotations

from html import escape
from typing import Any

from molehill.model.account import Account

__all__ = ["account_data", "account_html", "account_summary", "account_svg"]

_GROUPS = {
    "embedding": ("embeddings", "#7f7f7f"),
    "attention": ("attention", "#0072b2"),
    "mlp": ("MLPs", "#e69f00"),
    "norm": ("norms", "#009e73"),
    "head": ("head", "#cc79a7"),
}
"""The groups' names and colours, which the colour-blind can tell apart (Okabe and Ito)."""

_WIDTH, _LEFT, _RIGHT, _BAR = 860, 150, 130, 18


def account_data(account: Account, model: str) -> dict[str, Any]:
    """Everything the account says, as plain values."""
    return {
        "model": model,
        "total": account.total,
        "in_blocks": account.in_blocks,
        "non_embedding": account.non_embedding,
        "tied": account.tied,
        "mlp_share": account.mlp_share,
        "mlp_share_non_embedding": account.mlp_share_non_embedding,
        "groups": {group: account.of_group(group) for group in _GROUPS},
        "parts": [
            {
                "part": entry.part,
                "group": entry.group,
                "weights": entry.weights,
                "biases": entry.biases,
                "total": entry.total,
                "share": entry.total / account.total,
            }
            for entry in account.by_part()
        ],
        "layers": [dict(layer) for layer in account.by_layer()],
    }


def account_summary(account: Account) -> str:
    """The account in a sentence or two."""
    return " ".join(_sentences(account))


def _sentences(account: Account) -> list[str]:
    tied = ["The unembedding is the token embedding and is counted once."] if account.tied else []
    return [
        f"The MLPs hold {account.of_group('mlp'):,} of {account.total:,} parameters "
        f"({account.mlp_share:.1%}), and {account.mlp_share_non_embedding:.1%} of the "
        f"{account.non_embedding:,} that are not embeddings.",
        *tied,
    ]


def _share(count: int, account: Account) -> str:
    share = count / account.total
    return f"{share:.1%}" if share >= 0.0005 else "under 0.1%"


def account_svg(account: Account, model: str) -> str:
    """Bars: the whole model by group, then part by part. Text stays text."""
    parts = account.by_part()
    longest = max(entry.total for entry in parts)
    room = _WIDTH - _LEFT - _RIGHT
    lines = [_text(0, 16, f"{model}: {account.total:,} parameters", "title"), *_whole(account)]
    top = 108
    for row, entry in enumerate(parts):
        y = top + row * (_BAR + 6)
        width = max(1.0, room * entry.total / longest)
        colour = _GROUPS[entry.group][1]
        lines += [
            _text(_LEFT - 8, y + 13, entry.part, "end"),
            f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{colour}">'
            f"<title>{escape(entry.part)}: {entry.total:,}</title></rect>",
            _text(_LEFT + width + 6, y + 13, f"{entry.total:,} ({_share(entry.total, account)})"),
        ]
    below = top + len(parts) * (_BAR + 6) + 18
    sentences = _sentences(account)
    lines += [_text(0, below + 18 * row, sentence) for row, sentence in enumerate(sentences)]
    height = below + 18 * len(sentences)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{escape(account_summary(account), quote=True)}" '
        'font-family="system-ui, sans-serif" font-size="12" fill="currentColor">\n'
        "<style>.title{font-size:15px;font-weight:600}.end{text-anchor:end}</style>\n"
        + "\n".join(lines)
        + "\n</svg>\n"
    )


def _whole(account: Account) -> list[str]:
    """The whole model as one bar of its groups, with a legend above it."""
    lines, x, legend = [], 0.0, 0.0
    for group, (name, colour) in _GROUPS.items():
        count = account.of_group(group)
        if not count:
            continue
        label = f"{name} {_share(count, account)}"
        lines += [
            f'<rect x="{legend:.0f}" y="32" width="11" height="11" fill="{colour}"/>',
            _text(legend + 16, 42, label),
        ]
        legend += 34 + 6.6 * len(label)
        width = _WIDTH * count / account.total
        lines.append(
            f'<rect x="{x:.1f}" y="54" width="{width:.1f}" height="30" fill="{colour}">'
            f"<title>{escape(label)}: {count:,}</title></rect>"
        )
        x += width
    return lines


def account_html(account: Account, model: str) -> str:
    """A page that needs nothing else: the picture, and the same as a table."""
    rows = "".join(
        f"<tr><td>{escape(entry.part)}</td><td>{entry.weights:,}</td><td>{entry.biases:,}</td>"
        f"<td>{entry.total:,}</td><td>{entry.total / account.total:.2%}</td></tr>"
        for entry in account.by_part()
    )
    layers = "".join(
        f"<tr><td>{number}</td>"
        + "".join(f"<td>{layer[group]:,}</td>" for group in ("attention", "mlp", "norm"))
        + "</tr>"
        for number, layer in enumerate(account.by_layer())
    )
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Parameters of {escape(model)}</title>
<style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; }}
body {{ max-width: 900px; margin: 2rem auto; padding: 0 1rem; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
td, th {{ padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #8884; }}
td:first-child, th:first-child {{ text-align: left; }}
</style>
<h1>Parameters of {escape(model)}</h1>
{account_svg(account, model)}
<h2>By part</h2>
<table><tr><th>part</th><th>weights</th><th>biases</th><th>all</th><th>share</th></tr>{rows}</table>
<h2>By layer</h2>
<table><tr><th>layer</th><th>attention</th><th>MLP</th><th>norms</th></tr>{layers}</table>
</html>
"""


def _text(x: float | int, y: float | int, text: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{style}>{escape(text)}</text>'
