# Everything runs in .venv, from locked and hashed requirements.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A demo starts a dozen processes, the tests hundreds: without bytecode each compiles everything.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(BIN)/python -m pytest
# A file is what a worker takes, in the order of tests/order.py; SHUFFLE=SEED draws another order.
# A third worker computes on two cores while others wait for their processes.
WORKERS ?= 3
SPREAD := -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(if $(SHUFFLE),--shuffle $(SHUFFLE))

.DEFAULT_GOAL := help
.PHONY: help demo install web webcheck dev check test full green lint types contracts soak bench docs proto lock clean

help: ## Show the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.core: requirements/core.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/core.txt -r requirements/build.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	touch $@

install: $(VENV)/.core ## Set up .venv with what running needs

dev: $(VENV)/.dev ## Set up .venv with what developing needs

web: install ## Build the web console and the owner's page
	@$(BIN)/python web/bundle.py node 2>/dev/null \
	|| $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/node.txt
	@$(BIN)/python web/bundle.py build

webcheck: web
	@$(BIN)/python web/bundle.py check

demo: install ## Train one model with three banks on this machine
	$(BIN)/secureflow demo

lint: dev ## Lint, format check, types, import contracts
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/ruff format --check src tests benchmarks examples
	@$(MAKE) --no-print-directory --jobs 2 --output-sync types contracts

types: dev
	$(BIN)/mypy

contracts: dev
	$(BIN)/lint-imports --no-cache

check: dev ## For daily work: lint and the fast tests, in a minute and a half
	@began=$$(date +%s) && $(MAKE) --no-print-directory lint \
	&& $(PYTEST) $(SPREAD) -q --fast tests/unit \
	&& echo "make check: $$(($$(date +%s) - began)) s"

test: lint webcheck ## What every change must pass
	$(PYTEST) $(SPREAD) --durations=15

full: dev ## Further forms of what `make test` shows
	$(PYTEST) $(SPREAD) -m full --durations=15

green: dev ## Run `make test` ten times: quiet, beside busy loops, shuffled; logs in .green
	$(BIN)/python -m tests.green

soak: dev ## The long versions
	$(PYTEST) -m soak --timeout 7200

bench: dev ## Print the benchmarks' JSON
	$(BIN)/python -m benchmarks.round_overhead --mb 1 --clients 3
	$(BIN)/python -m benchmarks.round_overhead --mb 25 --clients 3
	$(BIN)/python -m benchmarks.ledger
	$(BIN)/python -m benchmarks.policy
	$(BIN)/python -m benchmarks.secagg --parties 8 --dim 100000
	$(BIN)/python -m benchmarks.peers

docs: dev ## Regenerate api/openapi.json, api/owner.json and the CLI reference
	$(BIN)/python -m secureflow.server.rest.export api/openapi.json
	$(BIN)/python -m secureflow.agent.console.api.export api/owner.json
	SECUREFLOW_LANG=en $(BIN)/python -m secureflow.cli.reference docs/cli.md

proto: dev ## Regenerate the wire code
	$(BIN)/python -m grpc_tools.protoc -I api/proto --python_out=src --pyi_out=src api/proto/secureflow/wire/v1/link.proto

lock: ## Lock the requirements (needs uv)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements/core.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --extra dev -c requirements/core.txt pyproject.toml -o requirements/dev.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -c requirements/dev.txt requirements/build.in -o requirements/build.txt
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate requirements/node.in -o requirements/node.txt

clean: ## Remove what was built
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache web/node_modules
	rm -rf src/secureflow/server/console/dist src/secureflow/agent/console/dist src/secureflow/cli/verifier
