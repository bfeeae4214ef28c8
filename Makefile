# Everything a person does with this repository. `make help` lists it.

# The Python that makes the environment: 3.11 or newer.
PYTHON = python3
# What to measure alone; empty means everything.
ONLY =
# Further words for the command behind test and lock.
ARGS =

VENV = .venv
BIN = $(VENV)/bin
READY = $(VENV)/.complete
DISTS = proto plugin_sdk server adapters/rest adapters/websocket
OURS = mimic-proto mimic-plugin-sdk mimic-server mimic-adapter-rest mimic-adapter-websocket
PYPROJECTS = proto/pyproject.toml plugin_sdk/pyproject.toml server/pyproject.toml \
	adapters/rest/pyproject.toml adapters/websocket/pyproject.toml

# Where HOME is missing or read-only (a build container), caches go into the tree.
CACHES = if [ ! -w "$${HOME:-/nonexistent}" ]; then \
	export XDG_CACHE_HOME="$$PWD/build/cache" PIP_CACHE_DIR="$$PWD/build/cache/pip"; fi

# The machine's own certificates, as pip uses them: a company's proxy may have its own.
export UV_SYSTEM_CERTS = 1

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z.]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: $(READY) ## see personas talk to an agent and be scored
	@$(BIN)/mimic demo

.PHONY: test
test: $(READY) ## run the tests; ARGS='-k sessions' passes words to pytest
	@$(BIN)/pytest -n logical --dist worksteal $(ARGS)

.PHONY: check
check: $(READY) ## all that is checked without running Mimic: style, types, imports, contracts, what is derived
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python proto/generate.py check
	$(BIN)/python -m mimic_server.storage.check_migrations
	@$(BIN)/python proto/generate.py image build/image.binpb
	$(CACHES); $(BIN)/buf lint build/image.binpb

.PHONY: bench
bench: $(READY) ## measure; ONLY=name measures one thing
	@$(BIN)/python -m tests.benchmarks $(ONLY)

.PHONY: format
format: $(READY) ## lay the code out, and mend what can be mended without thought
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: proto
proto: $(READY) ## derive the code of the contracts again after a change of a .proto
	$(BIN)/python proto/generate.py write

.PHONY: lock
lock: $(READY) ## pin again what the pyproject.toml files ask for; ARGS=--upgrade takes the newest
	$(CACHES); $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command 'make lock' \
		$(OURS:%=--no-emit-package %) --all-extras --group dev $(PYPROJECTS) $(ARGS) -o requirements.lock

.PHONY: clean
clean: ## remove all that was made here, the environment too
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

.PHONY: .venv
.venv: $(READY) ## make the environment: everything pinned, and Mimic itself, editable

# uv installs the rest because it is several times faster than pip; pip takes it from the same lock.
$(READY): requirements.lock $(PYPROJECTS)
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Mimic needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": name another, as in make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@mkdir -p build && awk '/^[^ ]/ { uv = /^uv==/ } uv' requirements.lock >build/uv.txt
	@$(CACHES); $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r build/uv.txt
	@$(CACHES); $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	@$(CACHES); $(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps $(DISTS:%=-e ./%)
	@touch $(READY)
