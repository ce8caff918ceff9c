"""The recorded experiments, one module or more a lesson; the modules ``on_…`` hold what several lessons do on a pair.

A lesson's module has EXPERIMENTS (what is run) and NAMES (what a page calls metrics and arms). What they test stands in
`published`.
"""

import importlib
import pkgutil
import re
from types import ModuleType

from distill_lessons.course.results import Experiment


def modules() -> list[ModuleType]:
    """The lesson modules, in order."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name.startswith("lesson"))
    return [importlib.import_module(f"{__name__}.{name}") for name in names]


def number(lesson: str | int) -> str:
    """A lesson's two digits, however it is called: 1, "1", "01", "lesson01" and "lesson 1" are "01"; else as it came."""
    found = re.fullmatch(r"(?:lesson)?\s*0*(\d+)", str(lesson).strip(), re.IGNORECASE)
    return f"{int(found[1]):02}" if found else str(lesson)


def find(name: str | None = None) -> list[Experiment]:
    """All experiments, or those whose name begins with `name`: an experiment, or a lesson as `number` knows it.

    Raises:
        ValueError: there is none; says which there are.
    """
    every = [experiment for module in modules() for experiment in getattr(module, "EXPERIMENTS", ())]
    begins = "" if name is None else f"lesson{number(name)}" if number(name).isdecimal() else name
    chosen = [experiment for experiment in every if experiment.name.startswith(begins)]
    if not chosen:
        raise ValueError(f"no experiment {name!r}; there are: {', '.join(experiment.name for experiment in every)}")
    return chosen
