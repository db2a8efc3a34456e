# Everything happens in .venv; stamp files remember which requirements it was made from: `enhance` alone is quick to
# install, and all that `make demo` needs. It is installed without bytecode, which halves the time: Python compiles what
# it uses.
PYTHON ?= python3
# Written even where the environment says not to, as containers' often do: the suite starts some hundred processes, and
# each would compile JAX anew, for 3 s.
export PYTHONDONTWRITEBYTECODE :=
# Newer than 3.11, which constraints.txt is for.
NEW := $(filter-out 3.11,$(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])'))
# make test PYTHON=python3.13: in an environment of its own.
VENV := .venv$(if $(filter file,$(origin PYTHON)),,$(patsubst %,-%,$(NEW)))
BIN := $(VENV)/bin
ifeq ($(NEW),)
# Versions the tests passed with on Python 3.11; `make test CONSTRAINTS=` takes the newest that fit instead.
CONSTRAINTS ?= constraints.txt
DEV := dev
else # without PyTorch, whose builds for newer Pythons come with gigabytes of CUDA: its tests say so and are skipped
CONSTRAINTS ?= constraints-py313.txt
DEV := checks
endif
# Linter and types beside the tests, and downloads beside each other.
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += --jobs=2
endif
INSTALL = -m pip install --quiet $(addprefix --constraint ,$(CONSTRAINTS))

.PHONY: setup demo test tests test-slow test-avx2 test-newer ci lint docs dist dist-check clean

setup: $(VENV)/.installed

$(VENV)/.enhance: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) --no-compile --editable .
	touch $@

$(VENV)/.installed: $(VENV)/.enhance
	$(BIN)/python $(INSTALL) --no-compile --editable '.[$(DEV)]'
	touch $@

demo: $(VENV)/.enhance
	$(BIN)/smnet enhance --samples --compare --overwrite -o demo

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The TPU compiler is kept out of .venv: where it is installed, JAX looks for TPUs at each start, and complains. Where it
# cannot be had (it is made for Linux on x86-64) the tests that need it are skipped.
build/libtpu: constraints.txt | $(VENV)/.enhance
	-$(BIN)/python $(INSTALL) --no-deps --upgrade --target $@ libtpu

# For the tests of the page that needs no server: without npm they are skipped.
build/onnxruntime-web-1.30.0.tgz:
	-mkdir -p build && cd build && npm pack --silent onnxruntime-web@1.30.0

ifeq ($(NEW),)
test: tests lint
tests: build/libtpu build/onnxruntime-web-1.30.0.tgz
else # linter, types and the TPU compiler are for one set of versions
test: tests
endif
tests: setup
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(TESTS)

# What takes long and rarely breaks: processes killed at random moments, the notebook, benches from end to end.
test-slow: setup build/libtpu
	$(BIN)/python -m pytest --numprocesses 2 -m slow

# The tests of rounding once more with the instruction set held down to AVX2: bounds that hold on one processor only are
# none. XLA, PyTorch and oneDNN each have a switch of their own. All programs are optimised, as they are for users.
NUMERIC := tests/network tests/verification/test_torch_model.py tests/export/test_onnx_graph.py tests/test_losses.py \
	tests/test_vgg16.py tests/training/test_step.py tests/training/test_double.py tests/training/test_nonsmooth.py \
	tests/training/test_hosts.py tests/metrics tests/evaluation tests/exposure tests/export/test_exposure_graph.py
test-avx2: setup
	XLA_FLAGS=--xla_cpu_max_isa=AVX2 ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 JAX_DISABLE_MOST_OPTIMIZATIONS=0 \
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(NUMERIC)

# A short leg on a newer Python, where pyenv has one.
NEWER := $(lastword $(wildcard $(HOME)/.pyenv/versions/3.12.*/bin/python $(HOME)/.pyenv/versions/3.13.*/bin/python))
SHORT := tests/checkpoints tests/host tests/images tests/network/test_published.py tests/training/test_config.py \
	tests/training/test_options.py tests/training/test_inputs.py tests/training/test_schedule.py
test-newer:
ifeq ($(NEWER),)
	@echo "no Python 3.12 or 3.13 under ~/.pyenv/versions: its tests are skipped"
else
	$(MAKE) test PYTHON=$(NEWER) TESTS="$(SHORT)"
endif

# All that a change must pass: the tests, the heart of those of rounding held down, a newer Python.
ci:
	$(MAKE) test
	$(MAKE) test-avx2 NUMERIC="tests/network/test_layers.py tests/network/test_published.py tests/test_vgg16.py \
	tests/test_losses.py tests/verification/test_torch_model.py"
	$(MAKE) test-newer

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
	rm -rf .venv .venv-3* build dist *.egg-info
