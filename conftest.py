"""For every `pytest` in this repository: notebook cells tagged ``tolerance:…`` are compared as tools/tolerance.py says."""

pytest_plugins = ["tolerance"]  # found in tools/ (pyproject.toml, pythonpath)
