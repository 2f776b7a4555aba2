# Two commands on a fresh machine with Python >= 3.11: `make demo` and `make test`. Both can be repeated.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Hundreds of processes start in a test run: each would compile all it imports where nothing may be kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo clients test test-unit test-system test-slow lint check bench perf docs check-study mutants campaign requirements clean

demo: $(VENV)/core.done
	$(BIN)/peakday demo

# Four processes, as half of the suite waits for servers that keep real time; they are dealt files (tests/by_file.py).
# WHEEL=1 builds the wheel and tests that, from outside the checkout, and then what reads the source tree: the whole
# suite once, as CI runs it.
SPREAD := -n 4 --dist load --maxschedchunk 1
test: $(VENV)/dev.done
ifdef WHEEL
	$(BIN)/python -m tests.wheel $(SPREAD) -m "not slow and not engine and not checkout"
	$(BIN)/python -m pytest $(SPREAD) -m "checkout and not slow and not engine" $$(grep -rl mark.checkout tests --include=*.py)
else
	$(BIN)/python -m pytest $(SPREAD) -m "not slow and not engine"
endif

# Values in, values out.
test-unit: $(VENV)/dev.done
	$(BIN)/python -m pytest $(SPREAD) -m "unit and not slow and not engine"

# What starts processes of ours or puts load on a server.
test-system: $(VENV)/dev.done
	$(BIN)/python -m pytest $(SPREAD) -m "system and not slow and not engine"

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

# The documentation as a site, in site/; a warning is an error. Look at it with `python3 -m http.server -d site`.
docs: $(VENV)/dev.done
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# Equal builds and injected regressions under the real gate; an idle machine, about an hour, resumable.
check-study: $(VENV)/dev.done
	$(BIN)/python -m study.gate

# Does a test fail when the code is wrong? A sample of mutants of the core, resumable; minutes to hours.
mutants: $(VENV)/dev.done
	$(BIN)/python -m tests.mutants

$(VENV)/core.done: requirements/core.txt pyproject.toml
	@PYTHON="$(PYTHON)" sh requirements/install.sh core

$(VENV)/dev.done: requirements/dev.txt pyproject.toml
	@PYTHON="$(PYTHON)" sh requirements/install.sh dev

# The bad day: kills, freezes, full disks and interrupts at seeded random moments of whole runs. Root, Linux, resumable.
campaign: $(VENV)/dev.done
	$(BIN)/python -m tests.campaign --runs 100 --minutes 60

# Unmodified clients (Python, Node, load generators) against the emulator; writes the table of docs/clients.md. A network.
clients: $(VENV)/dev.done
	$(BIN)/python -m tests.clients

# The locked lists, with hashes, for every platform and Python that the project supports; needs uv.
requirements:
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate pyproject.toml -o requirements/core.txt
	uv pip compile --quiet --universal --generate-hashes --no-header --no-annotate --extra dev pyproject.toml -o requirements/dev.txt

clean:
	rm -rf $(VENV) dist build site
