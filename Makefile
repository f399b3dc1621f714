# Each target sets up what it needs. On Windows: make.bat does the same.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help demo test check bench-quick format clean

help:
	@echo "make demo    set up, then the whole story on drawn persons: a stall, its cause, the solutions, the winner, a report"
	@echo "make test    set up and run all tests"
	@echo "make check   format, lint, types, layers, fast tests"
	@echo "make bench-quick  the main speed ratios against wide limits, a minute or two"
	@echo "make format  put the code into the project's format"

$(READY): pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing unplateau and what it needs into $(VENV) (PyTorch is large: a few minutes) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $(READY)

demo: $(READY)
	$(BIN)/unplateau demo

test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --cov --cov-report=term:skip-covered

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

bench-quick: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/quick.py

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build *.egg-info
