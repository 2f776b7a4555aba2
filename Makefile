# Two commands on a fresh machine with Python >= 3.11: `make demo` and `make test`. Both can be repeated.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-slow lint check bench perf check-study wheel-test clean

demo: $(VENV)/core.done
	$(BIN)/peakday demo

test: $(VENV)/dev.done
	$(BIN)/python -m pytest -m "not slow and not engine"

test-slow: $(VENV)/dev.done
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/dev.done
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

bench: $(VENV)/dev.done
	$(BIN)/python -m bench

# This checkout against another commit, side by side: what CI does to a user's build, done to peakday's own. Files that
# are changed are held against HEAD, a clean checkout against the commit before. Both gates run, whatever the first says.
AGAINST ?= $(shell test -z "$$(git status --porcelain)" && echo HEAD~1 || echo HEAD)
perf: $(VENV)/dev.done
	@against=$(AGAINST); floor=0; perf=0; \
	$(BIN)/peakday check smoke --only exact --against $$against || floor=$$?; \
	$(BIN)/python -m bench.gate --against $$against || perf=$$?; \
	case " $$floor $$perf " in *" 1 "*) exit 1;; esac; exit $$((floor > perf ? floor : perf))

# Equal builds and injected regressions under the real gate; an idle machine, about an hour, resumable.
check-study: $(VENV)/dev.done
	$(BIN)/python -m study.gate

# The package names are generic: prove that an installed wheel, and not the checkout, is what runs.
wheel-test: $(VENV)/dev.done
	$(BIN)/python -m tests.wheel

$(VENV)/core.done: requirements/core.txt pyproject.toml
	@PYTHON="$(PYTHON)" sh requirements/install.sh core

$(VENV)/dev.done: requirements/dev.txt pyproject.toml
	@PYTHON="$(PYTHON)" sh requirements/install.sh dev

clean:
	rm -rf $(VENV) dist build
