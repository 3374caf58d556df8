# The same words for a person and for CI. Each target sets up what it needs in .venv with pip.
#   make demo     the whole road in minutes: corpus, tokenizer, ternary model and twin, answers, scores, report
#   make test     every fast test            make check    style, types, import contracts
#   make bench    the benchmarks             make compat   saved models in transformers 4.57 and 5.x
#   make check-native   the C++ tests under sanitizers    make check-arm   the same on an emulated ARM machine
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
NATIVE := CMakeLists.txt $(wildcard native/*.h native/*.cpp)
CXX_TESTS := -S . -DTRITCODER_EXTENSION=OFF -DTRITCODER_TESTS=ON
JOBS ?= $(shell nproc 2>/dev/null || echo 2)

.PHONY: demo test check check-native check-arm bench compat format sandbox clean
.DEFAULT_GOAL := demo

demo: .venv/.demo sandbox
	$(BIN)/tritcoder run configs/demo.toml

test: .venv/.dev sandbox
	$(BIN)/python -m pytest

check: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py tests/test_docs.py

# The C++ tests under sanitizers, with gcc and, where it is installed, clang. Nothing of Python is needed.
check-native:
	@$(call needed,cmake,cmake) && $(call needed,g++,g++)
	@command -v clang++ >/dev/null || echo "clang++ is not installed: left out"
	@$(MAKE) --no-print-directory -j $(JOBS) -Otarget sanitize-g++-address,undefined sanitize-g++-thread \
	  $(if $(shell command -v clang++),sanitize-clang++-address$(COMMA)undefined sanitize-clang++-thread)

COMMA := ,
sanitize-%: compiler = $(firstword $(subst -, ,$*))
sanitize-%: sanitizers = $(lastword $(subst -, ,$*))
sanitize-%: build = build/check-$(firstword $(subst $(COMMA), ,$*))
sanitize-%:
	@echo "== $(compiler), -fsanitize=$(sanitizers)"
	@cmake $(CXX_TESTS) -B $(build) -DCMAKE_CXX_COMPILER=$(compiler) -DTRITCODER_SANITIZE=$(sanitizers) >/dev/null
	@MAKEFLAGS= cmake --build $(build) >/dev/null
	@$(build)/native_tests

# The C++ tests on emulated ARM: with the dot product instructions, and on a processor that lacks them.
QEMU := qemu-aarch64 -L /usr/aarch64-linux-gnu
check-arm:
	@$(call needed,cmake,cmake) && $(call needed,aarch64-linux-gnu-g++,g++-aarch64-linux-gnu) && \
	  $(call needed,qemu-aarch64,qemu-user)
	@cmake $(CXX_TESTS) -B build/check-arm -DCMAKE_TOOLCHAIN_FILE=native/tests/aarch64-linux.cmake >/dev/null
	@cmake --build build/check-arm -j $(JOBS) >/dev/null
	@$(QEMU) -cpu max build/check-arm/native_tests --expect neon
	@$(QEMU) -cpu cortex-a53 build/check-arm/native_tests --expect scalar

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.dev sandbox
	$(BIN)/python benchmarks/bit_linear.py
	$(BIN)/python benchmarks/generation.py
	$(BIN)/python benchmarks/inference.py --shapes 25M,125M
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/verdict_stability.py
	$(BIN)/python benchmarks/scoring_at_scale.py --problems 500

# Two environments of their own, because the two versions cannot live in one.
compat: .venv/.dev
	$(BIN)/python tests/conformance/compat.py

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "error: tritcoder needs Python 3.11 or newer; try: make PYTHON=python3.11"; exit 2; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; $(call apt_install,python3-venv) && $(PYTHON) -m venv .venv; } || \
	  { rm -rf .venv; echo "error: python3 cannot make environments; try: apt-get install python3-venv"; exit 1; }

.venv/.demo: pyproject.toml $(NATIVE) | .venv/bin/python
	$(PIP) -e '.[demo]'
	@touch $@

.venv/.dev: pyproject.toml $(NATIVE) | .venv/bin/python
	$(PIP) -e '.[dev]'
	@touch $@ .venv/.demo

# Untrusted programs run in a jail: bubblewrap makes the tightest one. Without it the jail is weaker, and says so.
sandbox:
	@command -v bwrap >/dev/null || $(call apt_install,bubblewrap libseccomp2) || \
	  echo "bubblewrap is missing: programs run at a lower sandbox level (docs/sandbox.md); apt-get install bubblewrap"

clean:
	rm -rf .venv .venv-* build .mypy_cache .ruff_cache .pytest_cache .hypothesis

needed = { command -v $(1) >/dev/null || { echo "error: $(1) is missing; try: apt-get install $(2)" >&2; exit 2; }; }

apt_install = { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing $(1)" && \
  { apt-get install -y -qq $(1) >/dev/null 2>&1 || \
    { apt-get update -qq >/dev/null 2>&1 && apt-get install -y -qq $(1) >/dev/null 2>&1; }; }; }
