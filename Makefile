# firsttoken: `make` lists the targets.  Each sets up what it needs, and is quick the second time.

PYTHON ?=
VLLM_PYTHON ?= python3.11
OUT ?= out

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
READY := .venv/.ready
SERVERS := prometheus prometheus-alertmanager
PIP := $(BIN)/python -m pip --disable-pip-version-check install -qq

.PHONY: help
help: ## List the targets
	@echo "firsttoken: observability and service-level objectives for LLM serving"; echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | \
	  awk -F '|' '{printf "%-19s%s\n", $$1, $$2}'
	@echo; echo "Settings: PYTHON=... (3.11 or newer), VLLM_PYTHON=... (3.11), OUT=folder (default: out)"

.PHONY: setup
setup: $(READY) ## Make .venv with firsttoken (editable) and its development tools

# Made again whenever what it is made from has changed.
$(READY): pyproject.toml ci/python
	@python=$$(ci/python $(PYTHON)); \
	echo "setup: .venv with $$($$python --version); takes about a minute" >&2; \
	$$python -m venv .venv
	@$(PIP) 'pip>=25.1'
	@$(PIP) --editable '.[all]' --group dev
	@touch $@

.PHONY: servers
servers: # Prometheus and Alertmanager where they can be had without asking; else what to do
	@ci/system-packages $(SERVERS) || echo "make: what needs them is reported as skipped" >&2

.PHONY: setup-vllm
setup-vllm: ## Make .vllm with a real vLLM for the CPU and a tiny model (2 GB)
	@ci/vllm/setup $(VLLM_PYTHON)

.PHONY: check
check: setup ## Format, lint, types, and the tests of architecture and packaging
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy ci/vllm/serve.py
	$(BIN)/pytest -q tests/test_architecture.py tests/test_packaging.py

.PHONY: test
test: setup ## Every test but those of the real engine
	@ci/system-packages $(SERVERS) chromium
	$(BIN)/pytest -m "not vllm" -n auto --dist loadfile --no-loadscope-reorder

.PHONY: test-vllm
test-vllm: setup setup-vllm ## The tests against a real vLLM
	@ci/system-packages $(SERVERS)
	$(BIN)/pytest tests/vllm -m vllm

.PHONY: demo
demo: setup servers ## The main job on the embedded engine: half a minute of load, then a report
	$(BIN)/firsttoken validate --simulate \
	  --slo examples/slo.yaml --load examples/load.yaml --out $(OUT)/demo

.PHONY: demo-vllm
demo-vllm: setup servers setup-vllm ## The same on a real vLLM, which it starts and ends
	$(BIN)/python ci/vllm/serve.py --otlp any $(BIN)/firsttoken validate --target {url} \
	  --otlp-listen {otlp} \
	  --slo ci/vllm/slo.yaml --load ci/vllm/load.yaml --out $(OUT)/demo-vllm

.PHONY: pictures
pictures: demo ## Draw docs/pictures anew: a run of five minutes, and 700 MB of npm packages at first
	@ci/system-packages $(SERVERS) chromium
	chromium --headless=new --no-sandbox --disable-gpu --disable-background-networking \
	  --no-first-run --user-data-dir=$(OUT)/chromium --hide-scrollbars --window-size=1200,1690 \
	  --screenshot=docs/pictures/report.png "file://$$(realpath $(OUT))/demo/report.html"
	@test -e build/browser/page/main.js || dashboards/browser/build.sh build/browser
	$(BIN)/python ci/pictures.py

.PHONY: bench
bench: setup ## What the hot paths cost, each beside a yardstick
	$(BIN)/python -m benchmarks

.PHONY: golden
golden: setup ## Write the generated files that the tests compare with anew; then read `git diff`
	@files=$$(grep -rl FIRSTTOKEN_GOLDEN tests --include='test_*.py'); \
	FIRSTTOKEN_GOLDEN=1 $(BIN)/pytest -q $$files >/dev/null || true; \
	$(BIN)/pytest -q $$files
	@git --no-pager diff --stat -- tests/golden

.PHONY: clean
clean: ## Remove everything that the other targets made
	rm -rf .venv .vllm build dist $(OUT) *.egg-info .coverage* \
	  .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
