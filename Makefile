# Everything happens in .venv; a stamp file remembers which requirements it was made from.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test test-tpu lint clean

setup: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/smnet enhance --samples --compare --overwrite -o demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

# The TPU compiler is kept out of .venv: where it is installed, JAX looks for TPUs at each start, and complains.
test-tpu: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps --upgrade --target build/libtpu libtpu
	PYTHONPATH=build/libtpu JAX_PLATFORMS=cpu $(BIN)/python -m pytest tests/bench/test_tpu.py

clean:
	rm -rf .venv build dist *.egg-info
