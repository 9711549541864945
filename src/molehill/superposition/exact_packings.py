"""Famous packings built exactly: from signs, roots, graphs and the Golay code.

Each function gives unit vectors [count, d] in float64 whose cosines are known in closed form, from
a classical construction that its docstring names. This file knows no bound and no search; what is
special about each packing is said in `known_packings.py`.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "derived_code",
    "difference_set_lines",
    "golay_lines",
    "icosahedron",
    "latin_square_lines",
    "mutually_unbiased",
    "one_of_each_line",
    "orthoplex",
    "petersen_lines",
    "plane_and_cube",
    "root_lines",
    "simplex",
    "twenty_eight_lines",
]

_DOUBLE = torch.float64


def simplex(dimensions: int) -> Tensor:
    """d + 1 vectors in d dimensions, every pair at -1/d: the corners of a regular simplex."""
    count = dimensions + 1
    return _realised(torch.eye(count, dtype=_DOUBLE) * count / dimensions - 1 / dimensions)


def orthoplex(dimensions: int) -> Tensor:
    """The 2d unit vectors along the axes and against them."""
    axes = torch.eye(dimensions, dtype=_DOUBLE)
    return torch.cat([axes, -axes])


def icosahedron() -> Tensor:
    """The 12 corners of an icosahedron, by the golden ratio."""
    golden = (1 + math.sqrt(5)) / 2
    corners = [(0.0, one, other * golden) for one, other in itertools.product((1, -1), repeat=2)]
    turned = [corner[turn:] + corner[:turn] for corner in corners for turn in range(3)]
    return F.normalize(torch.tensor(turned, dtype=_DOUBLE), dim=1)


def plane_and_cube() -> Tensor:
    """7 lines in 3 dimensions: the axes and the diagonals of a cube, at 1/sqrt(3)."""
    diagonals = [(1.0, one, other) for one, other in itertools.product((1.0, -1.0), repeat=2)]
    return torch.cat(
        [torch.eye(3, dtype=_DOUBLE), F.normalize(torch.tensor(diagonals, dtype=_DOUBLE), dim=1)]
    )


def petersen_lines() -> Tensor:
    """10 lines in 5 dimensions at 1/3, from Petersen's graph: pairs of 5 things, joined where they
    share none (J. H. van Lint, J. J. Seidel, Indag. Math. 28 (1966))."""
    pairs = list(itertools.combinations(range(5), 2))
    joined = [[not set(one) & set(other) for other in pairs] for one in pairs]
    return _from_graph(torch.tensor(joined), 3, 5)


def twenty_eight_lines() -> Tensor:
    """28 lines in 7 dimensions at 1/3: the arrangements of (3, 3, -1, -1, -1, -1, -1, -1), all at
    right angles to (1, ..., 1) (van Lint, Seidel 1966)."""
    rows = torch.full((28, 8), -1.0, dtype=_DOUBLE)
    for row, pair in enumerate(itertools.combinations(range(8), 2)):
        rows[row, list(pair)] = 3.0
    return _narrowed(F.normalize(rows, dim=1), 7)


def difference_set_lines(size: int) -> Tensor:
    """2^size lines, size even, in 2^(size-1) - 2^(size/2-1) dimensions, all at one angle: the
    characters of a group at the places where a bent function is 1 (P. Xia, S. Zhou, G. Giannakis,
    IEEE Trans. IT 51 (2005))."""
    points = torch.tensor(list(itertools.product((0, 1), repeat=size)))
    bent = (points[:, 0::2] * points[:, 1::2]).sum(1) % 2 == 1
    signs = 1.0 - 2.0 * ((points @ points[bent].T) % 2).to(_DOUBLE)
    return F.normalize(signs, dim=1)


def latin_square_lines() -> Tensor:
    """36 lines in 15 dimensions at 1/5: the cells of a Latin square of order 6, joined where they
    share row, column or symbol (J. J. Seidel's lines of a strongly regular graph)."""
    cells = list(itertools.product(range(6), repeat=2))
    joined = [
        [(a == c) + (b == d) + ((a + b) % 6 == (c + d) % 6) == 1 for c, d in cells]
        for a, b in cells
    ]
    return _from_graph(~torch.tensor(joined), 5, 15)


def golay_lines() -> Tensor:
    """276 lines in 23 dimensions at 1/5: the 23 points and 253 blocks of the Steiner system of the
    words of weight 7 in the binary Golay code (J.-M. Goethals, J. J. Seidel, 1975; D. Taylor, Proc.
    London Math. Soc. 35 (1977))."""
    blocks = _golay_blocks()
    points = torch.eye(23, dtype=torch.int64)
    shared = blocks @ blocks.T
    seidel = torch.ones(276, 276, dtype=torch.int64)
    seidel[:23, 23:] = 1 - 2 * (points @ blocks.T)
    seidel[23:, :23] = seidel[:23, 23:].T
    seidel[23:, 23:] = torch.where(shared == 1, -1, 1)
    gram = seidel.to(_DOUBLE).fill_diagonal_(0) / 5
    return _realised(gram + torch.eye(276, dtype=_DOUBLE))


def mutually_unbiased(dimensions: int) -> Tensor:
    """d/2 + 1 bases of d = 4 or 16 dimensions, every pair of bases at 1/sqrt(d): the axes and one
    basis of signs for each quadratic form of a Kerdock set (P. Cameron, J. Seidel, Indag. Math. 35
    (1973))."""
    size = dimensions.bit_length() - 1
    assert dimensions == 2**size and size in (2, 4), "forms are searched for in 4 and 16 dimensions"
    points = torch.tensor(list(itertools.product((0, 1), repeat=size)))
    characters = 1.0 - 2.0 * ((points @ points.T) % 2).to(_DOUBLE)
    bases = [torch.eye(dimensions, dtype=_DOUBLE)]
    for form in _kerdock_forms(size, dimensions // 2):
        values = ((points @ form.triu(1)) * points).sum(1) % 2
        bases.append(characters * (1.0 - 2.0 * values.to(_DOUBLE)) / math.sqrt(dimensions))
    return torch.cat(bases)


def derived_code(steps: int) -> Tensor:
    """The 240 roots of E8 (0 steps), or after each step the neighbours of one vector, seen from it:
    56 in 7 dimensions at 1/3, 27 in 6 at 1/4, 16 in 5 at 1/5, 10 in 4 at 1/6 (P. Delsarte, J.-M.
    Goethals, J. J. Seidel, Geometriae Dedicata 6 (1977))."""
    code = _e8()
    for _ in range(steps):
        near = code @ code[0]
        largest = near[near < 0.99].max()
        around = code[(near - largest).abs() < 1e-9] - largest * code[0]
        code = _narrowed(F.normalize(around, dim=1), code.shape[1] - 1)
    return code


def root_lines(dimensions: int) -> Tensor:
    """The lines of the roots of D4, E6, E7 or E8 (4, 6, 7, 8 dimensions), at 1/2: 12, 36, 63, 120.
    E7 is what in E8 is at right angles to a root, E6 to two roots at 1/2."""
    if dimensions == 4:
        return one_of_each_line(_roots_d(4))
    roots = _e8()
    if dimensions < 8:
        roots = roots[(roots @ roots[0]).abs() < 1e-9] if dimensions == 7 else _e6(roots)
    return one_of_each_line(_narrowed(roots, dimensions))


def one_of_each_line(vectors: Tensor) -> Tensor:
    """Of every vector that is there with its opposite, one."""
    signs = vectors.sign() * (vectors.abs() > 1e-9)
    first = (signs != 0).to(torch.int64).argmax(1, keepdim=True)
    return vectors[signs.gather(1, first).squeeze(1) > 0]


# --- from a matrix of cosines, and back -----------------------------------------------------------


def _realised(gram: Tensor) -> Tensor:
    """Unit vectors with these cosines, in as many dimensions as its rank."""
    values, basis = torch.linalg.eigh(gram)
    assert float(values[0]) > -1e-8, "a matrix of cosines has no value below zero"
    kept = values > 1e-8
    return F.normalize(basis[:, kept] * values[kept].sqrt(), dim=1)


def _narrowed(vectors: Tensor, dimensions: int) -> Tensor:
    """The same vectors by their coordinates in the space that they span."""
    basis = torch.linalg.svd(vectors, full_matrices=False).Vh[:dimensions]
    narrow = vectors @ basis.T
    assert torch.allclose(narrow.norm(dim=1), vectors.norm(dim=1)), "they span no more than that"
    return narrow


def _from_graph(joined: Tensor, angle: int, rank: int) -> Tensor:
    """Lines at 1/angle: joined vertices at the one sign, the others at the other."""
    size = len(joined)
    seidel = torch.where(joined, -1.0, 1.0).to(_DOUBLE).fill_diagonal_(0)
    vectors = _realised(torch.eye(size, dtype=_DOUBLE) + seidel / angle)
    assert vectors.shape == (size, rank), f"the graph gives {vectors.shape[1]} dimensions"
    return vectors


# --- pieces ---------------------------------------------------------------------------------------


def _roots_d(dimensions: int) -> Tensor:
    rows = []
    for pair in itertools.combinations(range(dimensions), 2):
        for signs in itertools.product((1.0, -1.0), repeat=2):
            row = torch.zeros(dimensions, dtype=_DOUBLE)
            row[list(pair)] = torch.tensor(signs, dtype=_DOUBLE)
            rows.append(row)
    return torch.stack(rows) / math.sqrt(2)


def _e8() -> Tensor:
    """The roots of D8 and half of the corners of a cube: those with an even number of minuses."""
    corners = torch.tensor(list(itertools.product((1.0, -1.0), repeat=8)), dtype=_DOUBLE)
    return torch.cat([_roots_d(8), corners[corners.prod(1) > 0] / math.sqrt(8)])


def _e6(roots: Tensor) -> Tensor:
    other = int(((roots @ roots[0]) - 0.5).abs().argmin())
    return roots[((roots @ roots[[0, other]].T).abs() < 1e-9).all(1)]


def _golay_blocks() -> Tensor:
    """The 253 words of weight 7 of the Golay code of length 23 [253, 23]: the cyclic code of
    1 + x^2 + x^4 + x^5 + x^6 + x^10 + x^11."""
    rows = torch.zeros(12, 23, dtype=torch.int64)
    for shift in range(12):
        rows[shift, [shift + power for power in (0, 2, 4, 5, 6, 10, 11)]] = 1
    chosen = torch.tensor(list(itertools.product((0, 1), repeat=12)))
    words = (chosen @ rows) % 2
    blocks = words[words.sum(1) == 7]
    assert len(blocks) == 253, "a perfect code has 253 words of weight 7"
    return blocks


def _kerdock_forms(size: int, wanted: int) -> list[Tensor]:
    """Alternating matrices over two elements, all differences of full rank: taken in order, with a
    step back where none is left."""
    pairs = list(itertools.combinations(range(size), 2))
    every = []
    for bits in itertools.product((0, 1), repeat=len(pairs)):
        form = torch.zeros(size, size, dtype=torch.int64)
        for (row, column), bit in zip(pairs, bits, strict=True):
            form[row, column] = form[column, row] = bit
        every.append(form)
    fits = [[_regular((one + other) % 2) for other in every] for one in every]
    found = _clique(fits, wanted, [0])
    assert found is not None, "a Kerdock set of this size exists"
    return [every[place] for place in found]


def _regular(form: Tensor) -> bool:
    return round(float(torch.linalg.det(form.to(_DOUBLE)))) % 2 == 1


def _clique(fits: list[list[bool]], wanted: int, chosen: list[int]) -> list[int] | None:
    if len(chosen) == wanted:
        return chosen
    for place in range(chosen[-1] + 1, len(fits)):
        if all(fits[place][other] for other in chosen):
            found = _clique(fits, wanted, [*chosen, place])
            if found is not None:
                return found
    return None
