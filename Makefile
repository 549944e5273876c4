# `make` alone lists the targets. Everything runs in .venv, which is made when it is first needed.

.DEFAULT_GOAL := help
VENV := .venv
PYTHON := $(VENV)/bin/python
# Looked for only when .venv has to be made; `make run PYTHON3=/path/to/python3` takes another.
PYTHON3 ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
# Installs the rest.
UV := deploy/uv.txt
# Images of containers often set it. Each process of the tests would rewrite the asserts of all of them anew.
unexport PYTHONDONTWRITEBYTECODE
# Servers of other people that tests and benchmarks talk to. Their requirements do not fit together with ours.
PEERS := open-asr-server faster-whisper-server
# The slow tests wait more than they work: four at once keep two cores busy, and more make each other late.
PYTEST := $(PYTHON) -m pytest --numprocesses 4 --dist worksteal
# Into the Python that is given, what the first prerequisite lists. uv takes a third of the time of pip, but does not
# read pip's configuration (of a mirror, say): where it does not get the packages, pip does.
PIP_INSTALL := -m pip install --quiet --disable-pip-version-check
install = { $(PYTHON) $(PIP_INSTALL) --require-hashes -r $(UV) && \
	$(VENV)/bin/uv pip install --quiet --compile-bytecode --require-hashes --python $(1) -r $<; } || \
	$(1) $(PIP_INSTALL) --require-hashes -r $<

# Hashes, so that another file under the same name and version is refused.
COMPILE := --universal --python-version 3.11 --no-emit-index-url --generate-hashes

.PHONY: help run dev setup setup-dev setup-peers venv test lint format requirements migrations-check drawing clean \
	bench-overhead bench-memory bench-quality bench-latency bench-recording bench-chunks \
	bench-openai bench-provider bench-tus bench-probe bench-invented bench-waiting bench-live \
	bench-live-site bench-live-stop bench-live-sockets bench-early bench-languages bench-speakers

# Where CI=true, the few tests that failed beside others are run once more, and named.
define tests
rm -f .pytest_cache/v/cache/lastfailed; $(1) $(PYTEST) $(ARGS) || { \
	[ "$$CI" = true ] && $(PYTHON) .ci/again.py && $(1) $(PYTHON) -m pytest --last-failed; }
endef

help: ## List the targets
	@grep -hE '^[a-z-]+:.* ## ' $(MAKEFILE_LIST) | awk -F ':.* ## ' '{printf "  make %-18s %s\n", $$1, $$2}'

run: setup ## Start the site as production serves it, with a sample transcript (HOST=, PORT= and other settings)
	@$(PYTHON) -m deploy.run --with-parent

dev: setup-dev ## Start the site for development: DEBUG, reload; the workers start again only with it
	@$(PYTHON) -m deploy.run --dev --with-parent

setup: venv $(VENV)/.installed ## Make .venv and install what the site needs

setup-dev: venv $(VENV)/.installed-dev ## The same, and what tests and checks need

setup-peers: $(PEERS:%=.peers/%/.installed) ## Install the two servers of others that some tests talk to (1 GB)

test: setup-dev ## The whole suite, on SQLite and on PostgreSQL (ARGS= goes to pytest)
	@echo "== Tests on SQLite: all of them"
	@$(call tests,)
	@if why=$$($(PYTHON) -m tests.services postgres 2>&1); then \
		echo "== Tests on PostgreSQL: those that use the database"; \
		$(call tests,TEST_DATABASE=postgres); \
	elif [ "$$CI" = true ]; then \
		echo "$$why; CI=true makes that a failure"; exit 1; \
	fi

lint: setup-dev ## Style, import contracts, types
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(VENV)/bin/lint-imports
	@$(PYTHON) -m mypy

format: setup-dev ## Put the code into the project's format
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

migrations-check: setup-dev ## Whether the models and their migrations agree
	@data=$$(mktemp -d) && trap 'rm -rf "$$data"' EXIT && \
		DATA_DIR="$$data" SECRET_KEY=check DATABASE_URL= $(PYTHON) manage.py makemigrations --check --dry-run

drawing: venv ## Draw docs/architecture.svg anew, from what the code imports
	@$(PYTHON) -m docs.picture.draw

requirements: setup-dev ## Pin anew what pyproject.toml asks for (ARGS=--upgrade for newer versions)
	@$(PYTHON) $(PIP_INSTALL) --require-hashes -r $(UV)
	@$(VENV)/bin/uv pip compile --quiet $(COMPILE) $(ARGS) deploy/uv.in -o $(UV)
	@$(VENV)/bin/uv pip compile --quiet $(COMPILE) $(ARGS) pyproject.toml -o requirements.txt
	@$(VENV)/bin/uv pip compile --quiet $(COMPILE) $(ARGS) \
		--extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	@for peer in $(PEERS); do \
		$(VENV)/bin/uv pip compile --quiet $(COMPILE) $(ARGS) \
			tests/peers/$$peer.in -o tests/peers/$$peer.txt || exit; \
	done

bench-overhead: setup-dev ## Time of a job, divided by the engine's own on the same file
	@$(PYTHON) -m benchmarks.overhead $(ARGS)

bench-memory: setup-dev ## Peak memory of workers and web server with large files
	@$(PYTHON) -m benchmarks.memory $(ARGS)

bench-quality: setup-dev ## Word error rate of jobs beside the engine's own
	@$(PYTHON) -m benchmarks.quality $(ARGS)

bench-languages: setup-dev ## Languages found in short recordings, and words in the wrong one where it changes
	@$(PYTHON) -m benchmarks.languages $(ARGS)

bench-invented: setup-dev ## Words that nobody said, with hints and without; names that hints bring out right
	@$(PYTHON) -m benchmarks.invented $(ARGS)

bench-latency: setup-dev ## Time from enqueue to start, and of the status endpoint
	@$(PYTHON) -m benchmarks.latency $(ARGS)

bench-recording: setup-dev ## Recordings in chunks: time from stop to text, seams, word times
	@$(PYTHON) -m benchmarks.chunked_recording $(ARGS)

bench-chunks: setup-dev ## Time of a chunk's answer while 50 people record
	@$(PYTHON) -m benchmarks.chunk_upload $(ARGS)

bench-openai: setup-dev setup-peers ## POST /v1/audio/transcriptions beside the engine alone and beside two peer servers
	@$(PYTHON) -m benchmarks.openai_endpoint $(ARGS)

bench-provider: setup-dev ## An hour through a provider that answers slowly, 1 request at a time and 4
	@$(PYTHON) -m benchmarks.provider $(ARGS)

bench-tus: setup-dev ## 1 GB by tus through a connection that is cut 20 times
	@$(PYTHON) -m benchmarks.tus $(ARGS)

bench-probe: setup-dev ## What looking at an upload in a process of its own costs
	@$(PYTHON) -m benchmarks.probe $(ARGS)

bench-speakers: setup-dev ## Who speaks when: errors, wrong words, numbers found, time, memory; voices by name
	@$(PYTHON) -m benchmarks.speakers $(ARGS)

bench-live: setup-dev ## Words while they are spoken: when they appear, how they change, what they cost
	@$(PYTHON) -m benchmarks.live $(ARGS)

bench-early: setup-dev ## How early text comes without a live connection, and its errors, in small pieces and large
	@$(PYTHON) -m benchmarks.early_windows $(ARGS)

bench-live-site: setup-dev ## The same on a real site by the clock, 1 to 20 sessions; a lost network; errors after the second hearing
	@$(PYTHON) -m benchmarks.live_site $(ARGS)

bench-live-stop: setup-dev ## Live words: time from stop to text after 10 and 60 minutes, and without them (3 hours)
	@$(PYTHON) -m benchmarks.live_stop $(ARGS)

bench-live-sockets: setup-dev ## What 500 idle live sockets and one that streams cost the web process
	@$(PYTHON) -m benchmarks.live_sockets $(ARGS)

bench-waiting: setup-dev ## How many windows of others go before one's own: people, jobs, slots of a provider
	@$(PYTHON) -m benchmarks.waiting $(ARGS)

clean: ## Remove .venv, .peers and caches, never var/ with its data
	rm -rf $(VENV) .peers .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -not -path './var/*' -prune -exec rm -rf {} +

venv:
	@if [ -e $(VENV) ]; then \
		$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
			echo "The Python in $(VENV) is gone or older than 3.11: run \`make clean\`, then this again."; exit 1; }; \
	elif [ -z "$(PYTHON3)" ]; then \
		echo "Python 3.11 or newer was not found: install it, or give its path as PYTHON3=."; exit 1; \
	fi

# Stamps, so that the next start takes no time. A half-made .venv has none and is made again.
$(VENV)/.made: | venv
	@if ! $(PYTHON) -m pip --version >/dev/null 2>&1; then \
		echo "Making $(VENV) with $(PYTHON3) ..."; \
		$(PYTHON3) -m venv --clear $(VENV) || { rm -rf $(VENV); \
			echo "$(PYTHON3) could not make a virtual environment (Debian has that part in python3-venv)."; exit 1; }; \
	fi
	@touch $@

$(VENV)/.installed: requirements.txt | $(VENV)/.made
	@echo "Installing the pinned requirements; the first time takes some minutes ..."
	@$(call install,$(PYTHON))
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt | $(VENV)/.made
	@echo "Installing the requirements of tests and checks ..."
	@$(call install,$(PYTHON))
	@touch $@

.peers/%/.installed: tests/peers/%.txt | venv $(VENV)/.made
	@echo "Installing $* ..."
	@$(PYTHON) -m venv --clear .peers/$*
	@$(call install,.peers/$*/bin/python)
	@touch $@
