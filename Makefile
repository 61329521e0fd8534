# Each command sets up what it needs: nothing has to be installed but make and Python >= 3.11
# (and for `make e2e` Go >= 1.26, which builds a LiveKit server, and Node >= 20, for npm). The tests
# drive Chromium: root on Debian gets it installed, anybody else is told that it is missing.
# What each command does: docs/operating.md.

PYTHON ?= python3
GO_VERSION := 1.26
BIN := .venv/bin

# Somebody else's active environment is none of ours. Without bytecode kept, each process would
# compile every package that it imports again, which doubles the time that it takes to start.
unexport VIRTUAL_ENV UV_PROJECT_ENVIRONMENT PYTHONPATH PYTHONHOME PYTHONDONTWRITEBYTECODE


# The installer of everything else, of the version and with the hashes that uv.lock has for it.
LOCKED_UV := import tomllib; \
  uv = next(each for each in tomllib.load(open("uv.lock", "rb"))["package"] if each["name"] == "uv"); \
  print("uv==" + uv["version"], *("--hash=" + wheel["hash"] for wheel in uv["wheels"]))

.PHONY: setup install python help chromium demo run test types tests e2e firefox libreoffice pictures bench sizing chaos fuzz \
  deployments findings audit

setup: .venv/synced  ## Install everything into .venv.

# Nothing but what the processes need, compiled: not even uv and pip stay.
install: python  ## Install what production needs, and nothing else, into .venv.
	@rm -f .venv/synced
	$(BIN)/uv sync --frozen --quiet --no-default-groups --compile-bytecode
	@$(BIN)/python -m pip uninstall --quiet --yes --disable-pip-version-check uv setuptools pip

help:  ## List these targets.
	@sed -nE 's/^([a-z0-9]+):[^#]*## (.*)/\1\t\2/p' Makefile | expand -t 9

demo: setup  ## Start everything with a simulated class, on new data.
	@exec $(BIN)/python -m webhooks.stack --simulate

run: setup  ## Start everything on this machine.
	@exec $(BIN)/python -m webhooks.stack

test: setup chromium  ## Check style, imports and types, and run the tests: the gate.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	@$(MAKE) --no-print-directory -j 2 types tests

# Without a cache, mypy takes as long as a sixth of the tests: it works beside them.
types: setup  ## Check the types alone.
	$(BIN)/mypy -p models -p worker -p webhooks -p tests

tests: setup chromium  ## Run the tests alone: make tests ARGS=tests/test_drain.py.
	$(BIN)/pytest -n 3 --dist worksteal $(ARGS)

e2e: setup chromium  ## Run the tests against a real LiveKit server.
	@command -v go >/dev/null || \
	  { echo "make e2e builds a LiveKit server: it needs Go $(GO_VERSION) or newer (https://go.dev/dl/)." >&2; exit 1; }
	@found=$$(go env GOVERSION); printf 'go$(GO_VERSION)\n%s\n' "$$found" | sort -CV || \
	  { echo "make e2e builds a LiveKit server: it needs Go $(GO_VERSION) or newer, and this is $$found." >&2; exit 1; }
	$(BIN)/python -m tests.e2e.livekit_binary
	$(BIN)/pytest tests/e2e $(ARGS)

firefox: setup  ## Run the browser tests, and with npm the recipes', in Firefox too, where there is one.
	@test -n "$$FIREFOX" || command -v firefox-esr >/dev/null || command -v firefox >/dev/null || \
	  ! command -v apt-get >/dev/null || test "$$(id -u)" != 0 || \
	  { echo "Installing Firefox."; apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y firefox-esr >/dev/null; } || true
	BROWSER=firefox $(BIN)/pytest -n 2 --dist worksteal tests/browser \
	  $$(! command -v npm >/dev/null || echo tests/e2e/test_recipes.py) $(ARGS)

libreoffice: setup  ## Run the tests that open our files in LibreOffice.
	@command -v soffice >/dev/null || ! command -v apt-get >/dev/null || test "$$(id -u)" != 0 || \
	  { echo "Installing LibreOffice Calc."; apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y libreoffice-calc >/dev/null; } || true
	$(BIN)/pytest tests/e2e/test_libreoffice.py $(ARGS)

pictures: setup chromium  ## Make the README's pictures anew, in docs/pictures.
	$(BIN)/pytest -q tests/browser/pictures.py

bench: setup  ## Measure: make bench ONLY=crew.
	@$(BIN)/uv sync --frozen --quiet --group bench
	@exec $(BIN)/python -m tests.bench

sizing: setup  ## Work out what servers so many people need: make sizing ARGS="--people 20000".
	@exec $(BIN)/python -m tests.bench.needs $(ARGS)

# A storm of faults over 50 rooms, once for each seed: make chaos SEEDS=20 FIRST=100.
SEEDS ?= 10
FIRST ?= 1
chaos: setup  ## Run a storm of faults over 50 rooms, once for each seed.
	@exec $(BIN)/python -W ignore -m tests.chaos --seeds $(SEEDS) --first $(FIRST)

# Hostile requests over every route, by a seed: make fuzz REQUESTS=10000 SEED=2.
REQUESTS ?= 100000
SEED ?= 1
fuzz: setup  ## Send hostile requests to every route.
	@exec $(BIN)/python -W ignore -m tests.fuzz --requests $(REQUESTS) --seed $(SEED)

deployments: setup  ## Post a recorded class to each pair of a database and a Redis.
	@exec $(BIN)/python -W ignore -m tests.deployments

# What surprised us about what we build on, each tried anew (findings/README.md). Takes ten
# to twenty minutes, needs package registries, Go and npm, and is not part of the gate.
findings:  ## Try anew what surprised us about what we build on.
	@changed=0; output=$$(mktemp); \
	printf '%-30s %-14s %s\n' finding result seconds; \
	for script in findings/*.sh; do \
	  began=$$(date +%s); \
	  PYTHON="$(PYTHON)" timeout --foreground 300 bash "$$script" >"$$output" 2>&1; status=$$?; \
	  case $$status in \
	    0) result='as stated' ;; \
	    1) result=CHANGED; changed=1 ;; \
	    *) result='cannot be tried' ;; \
	  esac; \
	  printf '%-30s %-14s %7d\n' "$$(basename "$$script" .sh)" "$$result" $$(($$(date +%s) - began)); \
	  test "$$status" = 0 || sed 's/^/  /' "$$output"; \
	done; \
	rm -f "$$output"; exit $$changed

# By hand, before a release: what is known changes without a change of ours, and may not be reached.
AUDIT ?= https://api.osv.dev/
audit: setup  ## List the known vulnerabilities of what is locked.
	@$(BIN)/uv audit --frozen --preview-features audit-command --service-url $(AUDIT) || { test $$? = 1 || \
	  echo "$(AUDIT), which knows the vulnerabilities, could not be asked: this run says nothing about them." >&2; exit 1; }

chromium:  ## Install the browser that the tests drive, as root on Debian.
	@test -n "$$CHROMIUM" || command -v chromium-headless-shell >/dev/null || \
	  ! command -v apt-get >/dev/null || test "$$(id -u)" != 0 || \
	  { echo "Installing Chromium's headless shell."; apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y chromium-headless-shell >/dev/null; } || \
	  command -v chromium >/dev/null || command -v google-chrome >/dev/null

.venv/synced: pyproject.toml uv.lock
	@$(MAKE) --no-print-directory python
	$(BIN)/uv sync --frozen --quiet
	@touch $@

python:
	@command -v $(PYTHON) >/dev/null || \
	  { echo "Rollcall needs Python 3.11 or newer, and there is no $(PYTHON): say where with make PYTHON=..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("Rollcall needs Python 3.11 or newer, and $(PYTHON) is %d.%d: name another with make PYTHON=..." % v[:2])'
	@echo "Setting up .venv: fetching Rollcall's Python packages, once."
	@{ test -x $(BIN)/uv && $(BIN)/python -c ''; } 2>/dev/null || \
	  $(BIN)/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@test -x $(BIN)/uv || { $(BIN)/python -c '$(LOCKED_UV)' >.venv/uv.txt && $(BIN)/python -m pip install --quiet \
	  --disable-pip-version-check --require-hashes --only-binary :all: --no-deps --requirement .venv/uv.txt; }
