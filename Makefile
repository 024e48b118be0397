PYTHON ?= python3
SERVICES := core api order_worker shipping_worker cli
PROJECTS := $(SERVICES:%=services/%/pyproject.toml)
BIN := .venv/bin
LOCK_ARGS ?=
PYTEST_ARGS ?=
# Processes of pytest-xdist; PYTEST_ARGS="-n 0 --pdb" runs in one. Integration tests wait more than
# they compute. Each process of tests/e2e has a fleet.
TESTS_unit := -n 2 --dist worksteal
TESTS_workflow := -n 2 --dist worksteal
TESTS_chart := -n 2 --dist worksteal
TESTS_integration := -n 3 --dist worksteal
TESTS_e2e := -n 2 --dist loadfile --no-loadscope-reorder
TESTS_monitoring := -n 2 --dist loadfile
UPGRADE := tests/cluster/test_upgrade.py
SCALING_HPA := tests/cluster/scaling/test_queues.py tests/cluster/scaling/test_no_prometheus.py
DASHBOARDS_ARGS ?=
# The folder of dist/docs; a release has its number.
DOCS_VERSION ?= next
CHAOS_ARGS ?=
SOAK_ARGS ?=
BENCH_ARGS ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# What `make chart-tools` and `make release-tools` built comes before other versions of it.
export PATH := $(CURDIR)/.data/tools:$(PATH)
# uv does not read pip's settings; who has a mirror of the package index set for pip means uv too.
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif

.DEFAULT_GOAL := help
.PHONY: help anew demo up down check test test-unit test-workflow test-replay test-chart test-tilt \
	test-integration test-e2e test-monitoring test-versions test-failover test-restore record-orders chaos chaos-mutants fuzz images test-images test-cluster \
	test-upgrade test-scaling test-scaling-hpa test-nodes test-backup bench bench-full bench-overload bench-overload-short bench-versions \
	bench-encryption bench-feed bench-budget bench-board soak test-bench deploy k8s k8s-secrets \
	release release-tools chart-tools release-artifacts verify-release test-release contract-diff \
	lint-workflows chart-docs dashboards \
	dashboards-json lint docs docs-site test-docs-site format format-check types lock clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "%-20s %s\n", $$1, $$2}' Makefile

demo: .venv/.run-stamp  ## fulfil orders on this machine, without Docker, and show them
	@$(BIN)/orderfleet demo

up: .venv/.run-stamp  ## start Postgres, Temporal, the API and the workers on this machine
	@$(BIN)/orderfleet up

down: .venv/.run-stamp  ## stop what `make up` started
	@$(BIN)/orderfleet down

check: lint format-check types test-unit  ## the fast checks, in two minutes

test:  ## all checks and tests, in order, up to the first failure
	@for t in lint format-check types test-unit test-workflow test-replay test-chart test-tilt \
		test-integration test-e2e test-monitoring; do \
		$(MAKE) --no-print-directory $$t || exit 1; done

test-unit: .venv/.dev-stamp  ## tests that need no process beside them
test-workflow: .venv/.dev-stamp  ## workflows on the time-skipping test server
test-replay: .venv/.dev-stamp  ## recorded histories against today's workflows
test-tilt: .venv/.dev-stamp  ## the Tiltfile, without Tilt and without a cluster; needs helm
test-integration: .venv/.dev-stamp  ## real Postgres, real Temporal
test-monitoring: .venv/.dev-stamp  ## dashboards and alerts, by helm, promtool, prometheus if they are on PATH
test-unit test-workflow test-replay test-tilt test-integration test-monitoring:
	$(BIN)/pytest tests/$(@:test-%=%) $(TESTS_$(@:test-%=%)) $(PYTEST_ARGS)

# With PYTEST_ARGS all in one process; without, the tests of orders in time come last, by themselves.
test-e2e: .venv/.dev-stamp  ## the whole fleet, from the outside
	$(BIN)/pytest tests/e2e $(or $(PYTEST_ARGS),$(TESTS_e2e) -m 'not alone')
	$(if $(PYTEST_ARGS),,$(BIN)/pytest tests/e2e -m alone)

test-chart: .venv/.dev-stamp  ## the chart, without a cluster, by helm, helm-unittest, kubeconform, npm
	@! command -v npm >/dev/null || $(MAKE) --no-print-directory charts/node_modules/.stamp
	$(BIN)/pytest tests/chart $(TESTS_chart) $(PYTEST_ARGS)

test-versions: .venv/.dev-stamp  ## good and bad builds of the workers, under 3 orders a second, in 13 minutes
	$(BIN)/pytest tests/versions $(PYTEST_ARGS)

test-restore: .venv/.dev-stamp  ## both databases restored to different times, under load; TIMES, SEED, GAP: see docs/backup.md
	$(BIN)/python -m tests.restore

test-failover: .venv/.dev-stamp  ## Postgres fails over to a standby, under RATE (5) orders a second, in 7 minutes
	$(BIN)/pytest tests/failover --timeout 300 $(PYTEST_ARGS)

record-orders: .venv/.dev-stamp  ## run 200 orders of all kinds and record their rows for the board's tests, in 3 minutes
	$(BIN)/python -m tests.unit.board.record

chaos: .venv/.dev-stamp  ## 500 orders while every process is killed, stopped and cut off, then judged: ORDERS=, SEED=
	@$(BIN)/python -m tests.chaos --orders $(or $(ORDERS),500) $(if $(SEED),--seed $(SEED)) $(CHAOS_ARGS)

chaos-mutants: .venv/.dev-stamp  ## does chaos find the seeded bugs? In an hour; CHAOS_ARGS=NAME for one
	@$(BIN)/python -m tests.chaos.mutate $(CHAOS_ARGS)

fuzz: .venv/.dev-stamp  ## 500 odd requests for every operation of the API
	FUZZ_EXAMPLES=500 $(BIN)/pytest tests/e2e/test_fuzz.py --timeout 3600 -s

images:  ## build the images: BUILDER=docker|podman|buildah, IMAGES, REGISTRY, TAG, BUILD_ARGS
	@services/images.sh

test-images: .venv/.dev-stamp images  ## build the images and check their contents
	$(BIN)/pytest tests/images $(PYTEST_ARGS)

test-cluster: .venv/.dev-stamp  ## the chart on kubectl's cluster; LOAD, KEEP, ...: see tests/cluster/conftest.py
	$(BIN)/pytest tests/cluster --ignore tests/cluster/scaling --ignore tests/cluster/nodes \
		--ignore tests/cluster/backup --ignore $(UPGRADE) --exitfirst $(PYTEST_ARGS)

test-upgrade: .venv/.dev-stamp  ## an upgrade from an older release, on kubectl's cluster; as test-cluster
	$(BIN)/pytest $(UPGRADE) $(PYTEST_ARGS)

test-scaling: .venv/.pictures-stamp  ## scaling of each task queue, on kubectl's cluster; see tests/cluster/scaling/conftest.py
	$(BIN)/pytest tests/cluster/scaling --exitfirst $(PYTEST_ARGS)

test-scaling-hpa: .venv/.pictures-stamp  ## the queues' scaling and a stopped Prometheus in mode hpa, by prometheus-adapter
	SCALING_MODE=hpa $(BIN)/pytest $(SCALING_HPA) --exitfirst $(PYTEST_ARGS)

test-nodes: .venv/.dev-stamp  ## two nodes, of which one fails, on kubectl's cluster; see tests/cluster/nodes/conftest.py
	$(BIN)/pytest tests/cluster/nodes $(PYTEST_ARGS)

test-backup: .venv/.dev-stamp  ## backups to a volume and a bucket, and restores, on kubectl's cluster; see tests/cluster/backup/conftest.py
	$(BIN)/pytest tests/cluster/backup --exitfirst $(PYTEST_ARGS)

bench: .venv/.bench-stamp  ## orders a second beside an order that does nothing, in 10 minutes
	@$(BIN)/python -m tests.bench short $(BENCH_ARGS)

bench-full: .venv/.bench-stamp  ## beside its peers too, and with growth, in an hour
	@$(BIN)/python -m tests.bench full $(BENCH_ARGS)

bench-overload: .venv/.bench-stamp  ## what becomes of orders beyond the fleet's capacity, in 45 minutes
	@$(BIN)/python -m tests.bench overload $(BENCH_ARGS)

bench-overload-short: .venv/.bench-stamp  ## the same, its first seven goals, in 8 minutes
	@$(BIN)/python -m tests.bench overload-short $(BENCH_ARGS)

bench-versions: .venv/.bench-stamp  ## what workers with versions cost an order, in 10 minutes
	@$(BIN)/python -m tests.bench versions $(BENCH_ARGS)

bench-encryption: .venv/.bench-stamp  ## what encrypted payloads cost an order, in 10 minutes
	@$(BIN)/python -m tests.bench encryption $(BENCH_ARGS)

bench-feed: .venv/.bench-stamp  ## what 2,050 event streams cost the API, in 4 minutes
	@$(BIN)/python -m tests.bench feed $(BENCH_ARGS)

bench-budget: .venv/.bench-stamp  ## CPU of an order as a ratio to one that does nothing, in 2 minutes
	@$(BIN)/python -m tests.bench budget --output .data/bench $(BENCH_ARGS)

bench-board: .venv/.dev-stamp  ## the board in Chromium, with 1,000 open orders and 20 a second, in 10 minutes
	@$(BIN)/python -m tests.bench.board $(BENCH_ARGS)

soak: .venv/.dev-stamp  ## what grows in an hour at half the peak: MINUTES=, SOAK_ARGS="--rate 6"
	@$(BIN)/python -m tests.soak --minutes $(or $(MINUTES),60) $(SOAK_ARGS)

test-bench: .venv/.bench-stamp  ## do the benchmark's peers do the same work?
	$(BIN)/pytest tests/bench $(PYTEST_ARGS)

deploy:  ## deploy the images and the chart to kubectl's cluster: a local one, or YES=CONTEXT
	@k8s/deploy.sh

k8s:  ## render the kustomize bases of k8s/ from the chart
	@$(PYTHON) k8s/render.py

release: VERSION ?= $(error VERSION is not set: make release VERSION=1.2.3)
release:  ## the commit and the tag of a release, from the changelog: VERSION=1.2.3; see docs/releasing.md
	@PYTHONPATH=.ci $(PYTHON) -m release cut '$(VERSION)'

release-artifacts:  ## build, push and sign what the tag at HEAD releases: REGISTRY, BUILDER, COSIGN_KEY
	@PYTHONPATH=.ci $(PYTHON) -m release publish

verify-release:  ## are a release's images and chart what its tag says? VERSION, REGISTRY, COSIGN_KEY
	@PYTHONPATH=.ci $(PYTHON) -m release verify '$(VERSION)'

test-release: .venv/.dev-stamp  ## a release of a clone, on loopback, made twice, verified and spoiled, in 15 minutes
	@$(BIN)/pytest tests/release $(PYTEST_ARGS)

release-tools: $(addprefix .data/tools/,cosign registry syft)  ## build cosign, syft and a registry from Go's module proxy, in 15 minutes

CHART_TOOLS_BUILT := helm helm-unittest kubeconform prometheus promtool
chart-tools: $(addprefix .data/tools/,$(CHART_TOOLS_BUILT))  ## build what the chart's tests run, from Go's module proxy, in 10 minutes

# Prometheus finds what it scrapes by Kubernetes or by a list: without its clients of clouds.
.data/tools/prometheus .data/tools/promtool: export GOFLAGS := -tags=remove_all_sd,enable_kubernetes_sd

# `go install` takes no module that replaces another.
.data/tools/helm-unittest: .ci/release/tools.txt
	@mkdir -p $(@D)
	cd "$$(go mod download -json $$(grep /helm-unittest@ $< | sed 's|/cmd/.*@|@|') | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p')" \
		&& CGO_ENABLED=0 go build -trimpath -o $(CURDIR)/$@ ./cmd/helm-unittest
	@touch $@

# Go checks each module against its public checksum database.
.data/tools/%: .ci/release/tools.txt
	@mkdir -p $(@D)
	GOBIN=$(CURDIR)/$(@D) CGO_ENABLED=0 go install -trimpath $$(grep '/$*@' $<)
	@touch $@

contract-diff: .data/tools/oasdiff  ## what breaks callers of the API and users' values since the last release; SINCE=TAG
	@PYTHONPATH=.ci $(PYTHON) -m release breaking $(SINCE)

lint-workflows: .data/tools/actionlint .venv/.dev-stamp  ## actionlint and zizmor, of .github
	PATH=$(CURDIR)/$(BIN):$$PATH .data/tools/actionlint
	$(BIN)/zizmor --offline --persona pedantic .github

k8s-secrets:  ## generate the passwords, the API key and the payload key of k8s/overlays/dev, unless they exist
	@$(PYTHON) k8s/dev_secrets.py

lint: .venv/.dev-stamp  ## ruff, import-linter, hadolint, shellcheck; are generated documents up to date?
	$(BIN)/ruff check
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint services/Dockerfile
	$(BIN)/shellcheck .ci/run k8s/*.sh services/*.sh tilt/*.sh
	$(BIN)/python -m docs.settings_table --check
	$(BIN)/python -m docs.cli_reference --check
	$(BIN)/python -m docs.openapi --check
	$(BIN)/python -m charts.dashboards --check

docs: .venv/.dev-stamp  ## write the generated parts of the documents anew
	$(BIN)/python -m docs.settings_table
	$(BIN)/python -m docs.cli_reference
	$(BIN)/python -m docs.openapi

docs-site: .venv/.docs-stamp docs/site/node_modules/.stamp  ## the documents as a site in dist/docs, with search, offline; DOCS_VERSION=next
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --jobs auto --conf-dir docs/site \
		--doctree-dir .data/docs-site . dist/docs/$(DOCS_VERSION)
	$(BIN)/python docs/site/versions.py dist/docs

test-docs-site: .venv/.dev-stamp docs-site  ## the site in Chromium: search, diagrams, light and dark, no other host
	$(BIN)/pytest tests/docs_site $(PYTEST_ARGS)

docs/site/node_modules/.stamp: docs/site/package-lock.json docs/site/.npmrc
	@cd docs/site && npm ci --loglevel=error && touch node_modules/.stamp

chart-docs: .venv/.dev-stamp charts/node_modules/.stamp  ## write the chart's values.schema.json and README tables
	$(BIN)/python charts/schema.py

charts/node_modules/.stamp: charts/package-lock.json charts/.npmrc
	@cd charts && npm ci --loglevel=error && touch node_modules/.stamp

dashboards-json: .venv/.dev-stamp  ## write the dashboards' JSON anew, from their code
	$(BIN)/python -m charts.dashboards

dashboards: .venv/.pictures-stamp  ## draw the dashboards from a real fleet: needs prometheus on PATH
	$(BIN)/python -m charts.dashboards.pictures $(DASHBOARDS_ARGS)

format: .venv/.dev-stamp  ## format the code
	$(BIN)/ruff format

format-check: .venv/.dev-stamp  ## is the code formatted?
	$(BIN)/ruff format --check

types: .venv/.dev-stamp  ## mypy, strict; TypeScript, by npm if it is on PATH
	$(BIN)/mypy
	@! command -v npm >/dev/null || $(MAKE) --no-print-directory charts/node_modules/.stamp
	@! command -v npm >/dev/null || charts/node_modules/.bin/tsc --project services/api

# A .venv is of one folder, which its first stamp names: after a move, as a copy, and in a devcontainer
# beside its host, it is made anew; by a link it is the other folder's, and taken as it is.
OURS := $(shell [ "$$(cat .venv/.uv-stamp 2>/dev/null)" -ef .venv ] && echo ours)

# pip brings uv, hash-checked, and uv the rest: half the time of pip alone from an empty cache.
UV_INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python
.venv/.uv-stamp: services/build-requirements.txt $(if $(OURS),,anew)
	@$(PYTHON) -c 'import sys; sys.exit("Orderfleet needs Python 3.11 or newer: make PYTHON=...") if sys.version_info < (3, 11) else None'
	@$(if $(OURS),,$(PYTHON) -m venv --clear .venv)
	@$(BIN)/pip install --quiet --no-compile --require-hashes -r $<
	@cd .venv && pwd -P > .uv-stamp

.venv/.run-stamp: .venv/.uv-stamp services/cli/requirements.txt $(PROJECTS)
	@$(UV_INSTALL) --require-hashes -r services/cli/requirements.txt
	@$(UV_INSTALL) --no-index --no-deps --no-build-isolation $(SERVICES:%=-e services/%)
	@touch $@

.venv/.dev-stamp: .venv/.run-stamp tests/requirements.txt
	@$(UV_INSTALL) --compile-bytecode --require-hashes -r tests/requirements.txt
	@touch $@

.venv/.pictures-stamp: .venv/.dev-stamp charts/dashboards/requirements.txt
	@$(UV_INSTALL) --require-hashes -r charts/dashboards/requirements.txt
	@touch $@

.venv/.docs-stamp: .venv/.run-stamp docs/site/requirements.txt
	@$(UV_INSTALL) --require-hashes -r docs/site/requirements.txt
	@touch $@

.venv/.bench-stamp: .venv/.pictures-stamp tests/bench/requirements.txt
	@$(UV_INSTALL) --require-hashes -r tests/bench/requirements.txt
	@touch $@

# Versions stay as locked unless LOCK_ARGS=--upgrade (or --upgrade-package=NAME) is given. The tests'
# file comes first and bounds the others, so that all agree.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --custom-compile-command 'make lock' $(LOCK_ARGS) \
	--no-emit-package orderfleet $(SERVICES:%=--no-emit-package orderfleet-%)
ALL = services/core services/api services/order_worker services/shipping_worker services/cli[local]
lock: .venv/.uv-stamp  ## write the requirements files anew
	@printf './%s\n' $(ALL) | $(COMPILE) - --group test -o tests/requirements.txt
	@printf './%s\n' $(ALL) | $(COMPILE) - -c tests/requirements.txt -o services/cli/requirements.txt
	@$(COMPILE) --group build -c tests/requirements.txt -o services/build-requirements.txt
	@$(COMPILE) --group pictures -c tests/requirements.txt -o charts/dashboards/requirements.txt
	@$(COMPILE) --group docs -c tests/requirements.txt -o docs/site/requirements.txt
	@$(COMPILE) --group bench -c tests/requirements.txt -o tests/bench/requirements.txt
	@$(COMPILE) --group reload -c tests/requirements.txt -o tilt/image/requirements.txt
	@for s in api order_worker shipping_worker; do \
		printf './services/%s\n' core $$s | $(COMPILE) - -c tests/requirements.txt \
			-o services/$$s/requirements.txt || exit 1; done

clean:  ## stop the fleet, remove what was installed, and .data
	@if [ -x $(BIN)/orderfleet ]; then $(BIN)/orderfleet down || echo 'clean: could not stop the fleet' >&2; fi
	rm -rf .venv .data charts/node_modules docs/site/node_modules
