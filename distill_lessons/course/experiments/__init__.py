"""The recorded experiments, one module a lesson. Each module has EXPERIMENTS (what is run) and CLAIMS (what it tests)."""

import importlib
import pkgutil


def modules():
    """The lesson modules, in order."""
    names = sorted(found.name for found in pkgutil.iter_modules(__path__) if found.name.startswith("lesson"))
    return [importlib.import_module(f"{__name__}.{name}") for name in names]


def find(name=None):
    """All experiments, or those whose name begins with `name` (an experiment, or a lesson: ``lesson02``)."""
    every = [experiment for module in modules() for experiment in getattr(module, "EXPERIMENTS", ())]
    chosen = [experiment for experiment in every if name is None or experiment.name.startswith(name)]
    if not chosen:
        raise ValueError(f"no experiment {name!r}; there are: {', '.join(experiment.name for experiment in every)}")
    return chosen
