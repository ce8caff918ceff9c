"""The rooms of the package and the arrows between them: who may import whom, read from the source."""

import ast

import pytest

from distill_lessons.course.fingerprint import PACKAGE, imported, parsed

TOP = {"runtime", "losses"}
MAY_IMPORT = {  # a room, and what its modules may take from outside it
    "runtime": set(),
    "losses": {"runtime"},
    "models": TOP,
    "teacher": TOP | {"models"},
    "training": TOP | {"models", "teacher"},
    "evaluation": TOP | {"models", "teacher", "training"},
    "economics": {"runtime"},
    "pairs": TOP | {"models", "teacher"},
    "course": TOP | {"models", "teacher", "training", "evaluation", "economics", "pairs"},
    "project": TOP | {"models", "teacher", "training", "evaluation", "economics"},
    "__main__": TOP | {"training", "pairs", "project", "course"},  # the command line
}
BESIDE = {"bench", "execute", "tools", "tests", "conftest"}  # what lies beside the package


def modules():
    """Full names of all modules of the package."""
    paths = sorted(PACKAGE.rglob("*.py"))
    names = [path.relative_to(PACKAGE.parent).with_suffix("").parts for path in paths]
    return [".".join(parts[:-1] if parts[-1] == "__init__" else parts) for parts in names]


def room_of(module):
    """The room of a full name: "models" of "distill_lessons.models.head"; empty for the package itself."""
    return module.split(".")[1] if "." in module else ""


def forbidden(module, tree):
    """What a module with that code takes from where it may not."""
    room = room_of(module)
    return {name for name in imported(tree, module) if room_of(name) not in {room} | MAY_IMPORT.get(room, set())}


def test_every_room_has_its_arrows():
    rooms = {room_of(module) for module in modules()} - {""}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("module", modules())
def test_a_module_takes_only_from_rooms_below_its_own(module):
    assert not forbidden(module, parsed(module))


@pytest.mark.parametrize("module", modules())
def test_nothing_in_the_package_imports_what_lies_beside_it(module):
    found = set()
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
    assert not found & BESIDE


def cycle(arrows):
    """Modules that import each other in a circle, or an empty list."""
    state, path = {}, []

    def visit(module):
        state[module] = "open"
        path.append(module)
        for other in sorted(arrows[module]):
            if state.get(other) == "open":
                return path[path.index(other) :]
            if other not in state and (found := visit(other)):
                return found
        state[module] = path.pop()
        return []

    return next((found for module in sorted(arrows) if module not in state and (found := visit(module))), [])


def arrows():
    return {module: imported(parsed(module), module) for module in modules()}


def test_no_two_modules_import_each_other_even_by_way_of_others():
    assert cycle(arrows()) == []


@pytest.mark.parametrize(
    "module, line",
    [
        ("distill_lessons.losses", "from distill_lessons import training"),
        ("distill_lessons.runtime", "from distill_lessons import losses"),
        ("distill_lessons.models.head", "from distill_lessons.teacher.text import encode"),
        ("distill_lessons.teacher.targets", "def f():\n    from distill_lessons.pairs import smollm"),
        ("distill_lessons.training.run", "import distill_lessons.pairs.smollm"),
        ("distill_lessons.evaluation.speed", "from ..course import plots"),
        ("distill_lessons.economics.costs", "from distill_lessons import evaluation"),
        ("distill_lessons.pairs.digits", "from distill_lessons import training"),
        ("distill_lessons.pairs.digits", "if True:\n    from distill_lessons.course.results import load"),
        ("distill_lessons.pairs.digits", "import distill_lessons.__main__"),
        ("distill_lessons.project.tuning", "from distill_lessons.pairs import smollm"),
        ("distill_lessons.project.reporting", "from distill_lessons.course import plots"),
        ("distill_lessons.economics.costs", "from distill_lessons import project"),
    ],
)
def test_an_arrow_that_points_up_is_seen(module, line):
    assert forbidden(module, ast.parse(line))


def test_a_circle_is_seen():
    assert cycle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c"]
    here = arrows()
    here["distill_lessons.losses"] = {"distill_lessons.training"}
    assert {"distill_lessons.losses", "distill_lessons.training"} <= set(cycle(here))
