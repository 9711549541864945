"""The plan of the house, held true: who imports whom, what is public, and a map of every file."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "molehill"

# A room may import itself and the rooms named here, and no others.
BOTTOM = {"errors", "files", "version"}
FLOOR = BOTTOM | {"text", "model"}
MODELS = FLOOR | {"checkpoints", "language_model"}
ANALYSES = {"journey", "facts", "features", "superposition", "village", "training"}
ARROWS = {
    "errors": set(),
    "version": set(),
    "files": {"errors"},
    "text": BOTTOM,
    "model": BOTTOM,
    "checkpoints": FLOOR,
    "language_model": FLOOR | {"checkpoints"},
    "training": MODELS,
    "trace": MODELS,
    "journey": MODELS | {"trace"},
    "facts": MODELS | {"trace"},
    "features": MODELS | {"trace", "training"},
    "superposition": FLOOR,
    "village": FLOOR,
    "views": MODELS | ANALYSES | {"trace"},
    "questions": MODELS | ANALYSES | {"trace", "views"},
    "explorer": BOTTOM | {"language_model", "questions", "views"},
    "widgets": BOTTOM | {"language_model", "questions", "views"},
    "cli": MODELS | ANALYSES | {"trace", "views", "questions", "explorer", "widgets", ""},
    "__main__": {"cli"},
    "": {"errors", "version"},  # the facade itself, beside its lazy names
}

FILES = sorted(SOURCE.rglob("*.py"))


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {module_name(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
PACKAGES = {module_name(path) for path in FILES if path.name == "__init__.py"}
each_module = pytest.mark.parametrize("module", sorted(TREES))


def room(module: str) -> str:
    """The first part under `molehill`; the facade is ''."""
    return module.split(".")[1] if "." in module else ""


def imported(tree: ast.AST) -> set[str]:
    """The modules of Molehill that a tree imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: imports are written in full"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in TREES else str(node.module) for name in names}
    return {name for name in found if name.split(".")[0] == "molehill"}


def functions(tree: ast.AST) -> list[ast.AST]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def top_level(tree: ast.Module) -> list[ast.stmt]:
    """The statements of a module, those under a top-level `if` or `try` included."""
    branches = [
        getattr(node, "body", []) for node in tree.body if isinstance(node, ast.If | ast.Try)
    ]
    return [*tree.body, *chain.from_iterable(branches)]


def defined(tree: ast.Module) -> set[str]:
    """The public names that a module makes itself."""
    names = set()
    for node in top_level(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign) and not ast.unparse(node.value).startswith("TypeVar("):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def brought_in(tree: ast.Module, *, ours: bool = False) -> set[str]:
    """The names that a module has through imports; with `ours`, through imports of Molehill."""
    imports = [node for node in top_level(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    if ours:
        imports = [node for node in imports if imported(node)]
    return {alias.asname or alias.name for node in imports for alias in node.names}


def exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if any(isinstance(name, ast.Name) and name.id == "__all__" for name in targets):
            return ast.literal_eval(node.value)
    return None


def constants_classes_functions(name: str) -> tuple[int, str]:
    """Sorts as the linter does: CONSTANTS, then Classes, then functions."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2, name)


@each_module
def test_a_room_imports_only_the_rooms_below_it(module):
    assert room(module) in ARROWS, f"the room {room(module)!r} is not in the plan"
    facade = module == "molehill"
    tree = TREES[module]
    if facade:  # its imports for type checkers name what it gives lazily
        tree = ast.Module([node for node in tree.body if not isinstance(node, ast.If)], [])
    allowed = ARROWS[room(module)] | {room(module)}
    assert {room(name) for name in imported(tree)} <= allowed


def test_no_two_modules_import_each_other_by_any_way_round():
    graph = {module: imported(tree) - {module} for module, tree in TREES.items()}
    del graph["molehill"]
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, naming the cycle
    assert set(graph) <= set(order)


@each_module
def test_no_import_of_the_project_hides_in_a_function(module):
    if room(module) in ("", "cli"):
        pytest.skip("the facade and the command line are lazy on purpose")
    assert not [name for function in functions(TREES[module]) for name in imported(function)]


@each_module
def test_a_module_says_what_it_is_for(module):
    assert len((ast.get_docstring(TREES[module]) or "").split()) >= 5


@each_module
def test_the_public_names_are_complete_sorted_and_there(module):
    tree, names = TREES[module], exported(TREES[module])
    assert names is not None, "no __all__"
    assert names == sorted(set(names), key=constants_classes_functions)
    own = defined(tree) | {"__version__"}
    assert set(names) <= own | brought_in(tree), "__all__ names what is not there"
    assert defined(tree) <= set(names), "public, yet not in __all__"
    if module in PACKAGES - {"molehill"}:
        assert brought_in(tree, ours=True) <= set(names), "imported here, yet not re-exported"


def test_the_facade_gives_at_run_time_what_it_shows_to_type_checkers():
    import molehill

    block = next(node for node in TREES["molehill"].body if isinstance(node, ast.If))
    shown = {
        node.module: tuple(alias.name for alias in node.names)
        for node in ast.walk(block)
        if isinstance(node, ast.ImportFrom)
    }
    assert shown == molehill._HOMES
    assert all(getattr(molehill, name) is not None for name in molehill.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        molehill.nonsense  # noqa: B018


# --- the map in the README --------------------------------------------------------------------

MAPPED = ("src", "docs", "scripts", "benchmarks", ".ci")
NOT_MAPPED = ("__pycache__", "results")


def read_map() -> dict[str, str]:
    """Path -> phrase, from the README's indented tree of files."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = text.split("<!-- map -->")[1].splitlines()
    found, folders = {}, []
    for line in lines:
        if not line.strip() or line.startswith("```"):
            continue
        depth = (len(line) - len(line.lstrip())) // 2
        name, _, phrase = line.strip().partition(" ")
        folders = [*folders[:depth], name.rstrip("/")]
        found["/".join(folders)] = phrase.strip()
    return found


def test_the_readme_names_every_file_in_a_phrase_and_no_other():
    paths = [path for part in MAPPED for path in (ROOT / part).rglob("*") if path.is_file()]
    files = {
        path.relative_to(ROOT).as_posix()
        for path in paths
        if not set(path.relative_to(ROOT).parts) & set(NOT_MAPPED)
    }
    mapped = {path for path in read_map() if path.split("/")[0] in MAPPED}
    named = {path for path in mapped if not (ROOT / path).is_dir()}
    assert files - named == set(), "not in the map"
    assert named - files == set(), "in the map, yet not there"
    assert [path for path, phrase in read_map().items() if not phrase] == [], "without a phrase"


def menu_pages(menu: list[dict[str, object]]) -> list[str]:
    entries = [entry for item in menu for entry in item.values()]
    inner = [page for entry in entries if isinstance(entry, list) for page in menu_pages(entry)]
    return [entry for entry in entries if isinstance(entry, str)] + inner


def test_every_page_of_the_docs_can_be_reached():
    import tomllib

    site = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))
    pages = set(menu_pages(site["project"]["nav"]))
    assert {
        path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")
    } == pages
