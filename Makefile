# Everything happens in .venv; stamp files remember which requirements it was made from: `enhance` alone is quick to
# install, and all that `make demo` needs. It is installed without bytecode, which halves the time: Python compiles what
# it uses.
PYTHON ?= python3
BIN := .venv/bin
# Versions the tests passed with on Python 3.11; `make test CONSTRAINTS=` takes the newest that fit instead.
CONSTRAINTS ?= constraints.txt
INSTALL = -m pip install --quiet $(addprefix --constraint ,$(CONSTRAINTS))

.PHONY: setup demo test lint docs dist dist-check clean

setup: .venv/.installed

.venv/.enhance: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python $(INSTALL) --no-compile --editable .
	touch $@

.venv/.installed: .venv/.enhance
	$(BIN)/python $(INSTALL) --editable '.[dev]'
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
	-$(BIN)/python $(INSTALL) --no-deps --upgrade --target $@ libtpu

# For the tests of the page that needs no server: without npm they are skipped.
build/onnxruntime-web-1.30.0.tgz:
	-mkdir -p build && cd build && npm pack --silent onnxruntime-web@1.30.0

test: lint build/libtpu build/onnxruntime-web-1.30.0.tgz
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

docs: setup
	$(BIN)/python tools/make_docs.py build/docs

build/dist-tools: constraints.txt
	$(PYTHON) -m venv $@
	$@/bin/python $(INSTALL) build twine
	touch $@

dist: build/dist-tools
	rm -rf dist
	build/dist-tools/bin/python -m build
	build/dist-tools/bin/twine check --strict dist/*

# The wheel in an empty environment, used from a folder that is not this one.
dist-check: dist
	rm -rf build/installed
	$(PYTHON) -m venv build/installed
	build/installed/bin/python $(INSTALL) --no-compile dist/*.whl
	cd build/installed && bin/smnet-jax enhance --samples -o pictures && bin/python -m smnet_jax --version

clean:
	rm -rf .venv build dist *.egg-info
