# Everything happens in .venv; stamp files remember which requirements it was made from: `enhance` alone is quick to
# install, and all that `make demo` needs. It is installed without bytecode, which halves the time: Python compiles what
# it uses.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test lint clean

setup: .venv/.installed

.venv/.enhance: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --constraint constraints.txt --editable .
	touch $@

.venv/.installed: .venv/.enhance
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: .venv/.enhance
	$(BIN)/smnet enhance --samples --compare --overwrite -o demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The TPU compiler is kept out of .venv: where it is installed, JAX looks for TPUs at each start, and complains. Where it
# cannot be had (it is made for Linux on x86-64) the tests that need it are skipped.
build/libtpu: constraints.txt | setup
	-$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-deps --upgrade --target $@ libtpu

test: lint build/libtpu
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

clean:
	rm -rf .venv build dist *.egg-info
