"""A digest of the code that an experiment ran: its module's, and that of all modules of the package that it uses.

Read from the source files, once a process. Comments, docstrings and layout do not count; the version of Python does,
since its grammar decides what the parsed code looks like.
"""

import ast
import functools
import hashlib
import sys
from importlib.util import resolve_name
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
# They keep and show what was made, and change no run.
LEFT_OUT = tuple(
    f"{PACKAGE.name}.course.{name}"
    for name in ("results", "intervals", "stated", "claims", "published", "plots", "fingerprint")
)


def digest(module: str, package: Path = PACKAGE) -> str:
    """SHA-256, 16 hex digits of it, of the code of a module and of every module of the package that it imports in turn.

    A module counts up to its list EXPERIMENTS: more arms or seeds, and claims, which stand below it, change no run.

    Args:
        module: its full name; one that is not of the package has been imported.
        package: the folder of the package.
    Raises:
        ValueError: the module has no source file.
    """
    seen, waiting = {}, [module]
    while waiting:
        name = waiting.pop()
        if name not in seen and name not in LEFT_OUT:
            seen[name], used = _code_and_imports(name, package)
            waiting += used
    return hashlib.sha256(repr(sorted(seen.items())).encode()).hexdigest()[:16]


@functools.cache
def _code_and_imports(module, package):
    tree = parsed(module, package)
    names = [[getattr(each, "id", "") for each in getattr(statement, "targets", ())] for statement in tree.body]
    end = next((place for place, found in enumerate(names) if "EXPERIMENTS" in found), len(names))
    del tree.body[end:]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if ast.get_docstring(node, clean=False) is not None:
                del node.body[0]
    return ast.dump(tree), imported(tree, module, package)


def parsed(module: str, package: Path = PACKAGE) -> ast.Module:
    """A module's source text, parsed.

    Raises:
        ValueError: it has no file, as what is typed into a notebook.
    """
    path = _path(module, package) or getattr(sys.modules.get(module), "__file__", None)
    if path is None:
        raise ValueError(f"the module {module!r} has no file to take a digest of: write the experiment into one")
    return ast.parse(Path(path).read_bytes())


def imported(tree: ast.AST, module: str, package: Path = PACKAGE) -> set[str]:
    """Full names of the package's modules from which a module's code takes something, also inside its functions.

    ``from package.room import name`` takes from the module ``package.room.name`` where there is one, else from
    ``package.room``.
    """
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            path = _path(module, package)
            room = module if path is not None and path.name == "__init__.py" else module.rpartition(".")[0]
            base = resolve_name("." * node.level + (node.module or ""), room)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if _path(inner, package) else base)
    return {name for name in found if _path(name, package)}


def _path(module, package):
    """The file of a module of the package, or None."""
    first, *rest = module.split(".")
    place = package.joinpath(*rest)
    files = (place.with_suffix(".py"), place / "__init__.py") if rest else (place / "__init__.py",)
    return next((path for path in files if path.is_file()), None) if first == package.name else None
