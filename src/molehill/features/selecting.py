"""Selecting: the largest entries of every row of a wide matrix, exactly, without sorting the row.

Finding 32 of 4,608 numbers by a general top-k costs more than the product that made them. Here the
row is read once, for the maximum of each group of eight columns; an entry can be among the k
largest only if its group's maximum is among the k largest maxima, so 8 k candidates are left. Both
choices are made on whole numbers that hold a value's bits and its column together, which numpy
divides with vector instructions. On an accelerator torch's own top-k is fast, and is used.

Ties go to the higher column, so that the same numbers always give the same choice. This module
knows nothing of features.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["above", "largest_of_all", "largest_of_each_row"]

_GROUP = 8
"""Columns of one group: fewer leave more maxima, more leave more candidates; 8 is best from 4,608
to 16,384 columns."""
_COLUMN_BITS = 20
_BITS = {torch.bfloat16: torch.int16, torch.float16: torch.int16, torch.float32: torch.int32}


def largest_of_each_row(
    table: Float[Tensor, "rows columns"], k: int
) -> tuple[Float[Tensor, "rows k"], Int[Tensor, "rows k"]]:
    """The k largest entries of every row, in no order; what is below zero counts as zero.

    Args:
        table: bfloat16, float16 or float32; float64 and accelerators take torch's own top-k.
        k: at most the number of columns.

    Returns:
        Their values, not below zero, and their columns as int64.
    """
    rows, columns = table.shape
    assert 0 < k <= columns < 1 << _COLUMN_BITS, f"{k} of {columns} columns cannot be selected"
    if table.device.type != "cpu" or table.dtype not in _BITS:
        values, chosen = table.clamp(min=0).topk(k, dim=1, sorted=False)
        return values, chosen
    groups = columns // _GROUP
    if groups < 2 * k:  # then the candidates would be most of the row
        return _taken(table.clamp(min=0), torch.arange(columns), k, columns)
    maxima = _maxima(table, groups).clamp_(min=0)
    _, best = _taken(maxima, torch.arange(groups), k, groups)
    within = torch.arange(_GROUP)[:, None] * groups
    candidates = (best[:, None, :] + within).flatten(1)
    if groups * _GROUP < columns:  # the few columns that fill no group are all candidates
        rest = torch.arange(groups * _GROUP, columns).expand(rows, -1)
        candidates = torch.cat((candidates, rest), dim=1)
    return _taken(table.gather(1, candidates).clamp_(min=0), candidates, k, columns)


def largest_of_all(
    table: Float[Tensor, "rows columns"], count: int
) -> tuple[Float[Tensor, " count"], Int[Tensor, " count"], Int[Tensor, " count"]]:
    """The `count` largest entries of a whole table: their values, rows and columns, row by row.

    What is not above zero is left out, so that there may be fewer.
    """
    values, rows, columns = above(table, _floor(table, count))
    if len(values) > count:  # entries that equal the smallest kept one
        kept = values.argsort(descending=True, stable=True)[:count].sort().values
        values, rows, columns = values[kept], rows[kept], columns[kept]
    return values, rows, columns


def above(
    table: Float[Tensor, "rows columns"], floor: float = 0.0
) -> tuple[Float[Tensor, " count"], Int[Tensor, " count"], Int[Tensor, " count"]]:
    """All entries that are above zero and not below `floor`: values, rows and columns, row by row.

    Only groups of columns whose maximum passes are looked into.
    """
    columns = table.shape[1]
    groups = columns // _GROUP
    maxima = _maxima(table, groups) if groups else table[:, :0]
    row, group = _passing(maxima, floor).nonzero(as_tuple=True)
    column = (group[:, None] + torch.arange(_GROUP, device=table.device) * groups).flatten()
    row = row.repeat_interleave(_GROUP)
    if groups * _GROUP < columns:
        more, rest = _passing(table[:, groups * _GROUP :], floor).nonzero(as_tuple=True)
        row, column = torch.cat((row, more)), torch.cat((column, rest + groups * _GROUP))
        order = row.argsort(stable=True)
        row, column = row[order], column[order]
    values = table[row, column]
    kept = _passing(values, floor).nonzero().squeeze(1)
    return values[kept], row[kept], column[kept]


def _passing(values: Tensor, floor: float) -> Tensor:
    return values >= floor if floor > 0 else values > 0


def _floor(table: Tensor, count: int) -> float:
    """The `count`-th largest entry of a table, or 0 where fewer are above zero."""
    flat = table.flatten()
    if count >= len(flat):
        return 0.0
    groups = len(flat) // _GROUP
    if table.device.type != "cpu" or table.dtype not in _BITS or groups <= count:
        return max(0.0, flat.kthvalue(len(flat) - count + 1).values.item())
    grouped = flat[: groups * _GROUP].view(_GROUP, groups)
    maxima = grouped.amax(0).clamp_(min=0)
    # At least `count` entries reach the count-th largest maximum, so the floor is not below it.
    least = _kth_largest(maxima, count)
    row = (maxima >= least).nonzero().squeeze(1) if least > 0 else (maxima > 0).nonzero().squeeze(1)
    candidates = torch.cat((grouped[:, row].flatten(), flat[groups * _GROUP :])).clamp_(min=0)
    return 0.0 if len(candidates) < count else _kth_largest(candidates, count)


def _kth_largest(values: Tensor, k: int) -> float:
    """Of values that are not below zero, whose bits are in their order."""
    bits = values.view(_BITS[values.dtype]).numpy().copy()
    bits.partition(len(bits) - k)
    return torch.from_numpy(bits[len(bits) - k :][:1]).view(values.dtype).item()


def _maxima(table: Tensor, groups: int) -> Tensor:
    """The largest of each group. Column c stands in group c mod `groups`, so that whole stretches
    of memory are compared with one another."""
    return table[:, : groups * _GROUP].unflatten(1, (_GROUP, groups)).amax(1)


def _taken(values: Tensor, columns: Tensor, k: int, width: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row by value and column.

    Args:
        values: not below zero, so that their bits, read as a whole number, are in their order.
        columns: of each value, or of each place in a row.
        width: above every column.
    """
    bits = values.contiguous().view(_BITS[values.dtype])
    narrow = bits.dtype == torch.int16 and width <= 1 << 16
    shift = 16 if narrow else _COLUMN_BITS
    whole = torch.int32 if narrow else torch.int64
    keys = bits.to(whole).bitwise_left_shift_(shift).bitwise_or_(columns.to(whole))
    best = _divided(keys, k)
    kept = (best >> shift).to(bits.dtype).view(values.dtype)
    return kept, (best & ((1 << shift) - 1)).long()


def _divided(keys: Int[Tensor, "rows columns"], k: int) -> Int[Tensor, "rows k"]:
    """The k largest keys of each row; rows are shared among as many threads as torch uses."""
    table = keys.numpy()
    best = np.empty((len(table), k), dtype=table.dtype)
    parts = np.array_split(np.arange(len(table)), max(1, torch.get_num_threads()))

    def divide(part: np.ndarray) -> None:
        if len(part):
            rows = table[part[0] : part[-1] + 1]
            rows.partition(rows.shape[1] - k, axis=1)
            best[part[0] : part[-1] + 1] = rows[:, -k:]

    if len(parts) == 1:
        divide(parts[0])
    else:
        with ThreadPoolExecutor(len(parts)) as threads:
            list(threads.map(divide, parts))
    return torch.from_numpy(best)
