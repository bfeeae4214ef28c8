# Everything a person does with this repository. `make help` lists it.

# The Python that makes the environment: 3.11 or newer.
PYTHON = python3
# What to demonstrate or to measure alone; empty means the default, or everything.
CHANNEL =
ONLY =
# Further words for pytest: make test ARGS='-k sessions'
ARGS =

VENV = .venv
BIN = $(VENV)/bin
READY = $(VENV)/.complete
DISTS = proto plugin_sdk server adapters/rest adapters/websocket
PYPROJECTS = proto/pyproject.toml plugin_sdk/pyproject.toml server/pyproject.toml \
	adapters/rest/pyproject.toml adapters/websocket/pyproject.toml

# Where HOME is missing or read-only (a build container), caches go into the tree.
CACHES = if [ ! -w "$${HOME:-/nonexistent}" ]; then \
	export XDG_CACHE_HOME="$$PWD/build/cache" PIP_CACHE_DIR="$$PWD/build/cache/pip"; fi

.PHONY: help
help: ## list these commands
	@awk -F ':.*## ' '/^[a-z.]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' Makefile

.PHONY: .venv
.venv: $(READY) ## make the environment: everything pinned, and Mimic itself, editable

# uv installs the rest because it is several times faster than pip; pip takes it from the same lock.
$(READY): requirements.lock $(PYPROJECTS)
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON) here: install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Mimic needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": name another, as in make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	@mkdir -p build && awk '/^[^ ]/ { uv = /^uv==/ } uv' requirements.lock >build/uv.lock
	@$(CACHES); $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r build/uv.lock
	@$(CACHES); $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	@$(CACHES); $(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps $(DISTS:%=-e ./%)
	@touch $(READY)
