# Every task of this repository. `make` lists them; CONTRIBUTING.md explains them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# What `make run` starts: any folder or file with EventLog and ReplicationLink manifests.
EXAMPLE ?= examples/shop
# Extra arguments for `make run`, for example ARGS='--base-port 9000', and for `make bench`.
ARGS ?=

tools := tests/tools
# One selection of packages for build and run of the tests, so that the second does not compile again.
tested := --workspace --exclude tidelog-house --locked
# `make test` finds PostgreSQL; the tests start their own servers in temporary folders.
find_postgres = TIDELOG_POSTGRES_BIN="$$($(tools)/ensure-postgres.sh)"

# Errors of tests are told in words; `make test RUST_LIB_BACKTRACE=1` adds where they came from.
export RUST_LIB_BACKTRACE ?= 0

# Most tests wait for something most of the time.
export RUST_TEST_THREADS ?= $(shell echo $$((2 * $$(getconf _NPROCESSORS_ONLN))))

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## Build and start the example network; Ctrl-C ends it, a second start continues
	@$(tools)/ensure-cc.sh > /dev/null
	cargo run --locked -p tidelog-cli --bin tidelog -- dev -f $(EXAMPLE) $(ARGS)

.PHONY: demo
demo: ## Play the tour of the example network, with an explanation of each step; ends by itself
	@$(tools)/demo.sh

.PHONY: test
test: ## All tests
	@$(tools)/run-tests.sh

.PHONY: check
check: ## What else CI wants: dependency rules, lints, documentation of the code
	@code=0; for step in deny lint check-docs; do $(MAKE) --no-print-directory $$step || { code=1; echo "--- FAILED; again alone: make $$step"; }; done; exit $$code

.PHONY: bench
bench: ## Measure: the log and the raw database side by side, in one run
	@$(tools)/ensure-cc.sh > /dev/null
	@$(find_postgres); export TIDELOG_POSTGRES_BIN; set -x; cargo build --locked --release -p tidelog-sidecar -p tidelog-cli -p tidelog-bench; target/release/tidelog-bench $(ARGS)

.PHONY: fmt
fmt: ## Format all code
	cargo fmt --all

.PHONY: lint
lint: ## Clippy over everything, warnings are errors
	@$(tools)/lint.sh cargo clippy --workspace --all-targets --all-features --locked -- -D warnings

.PHONY: deny
deny: ## Licences, banned crates and sources of all dependencies (deny.toml)
	@cargo_deny="$$($(tools)/ensure-cargo-deny.sh)"; set -x; "$$cargo_deny" --locked check --hide-inclusion-graph licenses bans sources

.PHONY: advisories
advisories: ## Known vulnerabilities of dependencies; needs the network, no part of `make test`
	@cargo_deny="$$($(tools)/ensure-cargo-deny.sh)"; set -x; "$$cargo_deny" --locked check advisories

.PHONY: docs
docs: reference check-docs ## Write docs/reference anew and build the documentation of the code into target/doc
	@echo "guides are in docs/guides, the map is docs/ARCHITECTURE.md, the code is told in target/doc/tidelog_model/index.html"

.PHONY: reference
reference: ## Write docs/reference anew from the code that it describes
	UPDATE_EXPECT=1 cargo test --locked -p tidelog-docs-tests --test reference

.PHONY: test-pages
test-pages: ## Run every command that README and guides show
	@$(find_postgres); export TIDELOG_POSTGRES_BIN; set -x; cargo test --locked -p tidelog-docs-tests --test pages

.PHONY: tools
tools: ## Find or install what the tests need: C compiler, PostgreSQL, grpcurl, Kubernetes API server, Helm, Python packages, rustfmt, clippy
	@cargo fmt --version || { echo "rustfmt is missing: rustup component add rustfmt"; exit 1; }
	@cargo clippy --version || { echo "clippy is missing: rustup component add clippy"; exit 1; }
	@echo "C compiler: $$($(tools)/ensure-cc.sh)"
	@bin="$$($(tools)/ensure-postgres.sh)"; echo "PostgreSQL: $$bin ($$("$$bin/postgres" --version))"
	@echo "grpcurl: $$($(tools)/ensure-grpcurl.sh)"
	@echo "Kubernetes API server and Helm: $$(tests/cluster/kit/install.sh helm)"
	@echo "curl: $$($(tools)/ensure-curl.sh)"
	@echo "Python with gRPC: $$($(tools)/ensure-python-client.sh)"

.PHONY: check-format
check-format: ## Fail when `make fmt` would change something
	cargo fmt --all --check

.PHONY: check-docs
check-docs: ## Fail on dead links and other warnings in the documentation of the code
	@RUSTDOCFLAGS="-D warnings" $(tools)/lint.sh cargo doc --workspace --no-deps --document-private-items --locked

.PHONY: house
house: ## Rules of the house: arrows, purity, sizes, words, links, manifests
	cargo test --locked --no-fail-fast -p tidelog-house

.PHONY: build-tests
build-tests: ## Build all tests without running them
	cargo test $(tested) --no-run

.PHONY: test-unit
test-unit: ## Unit, property and documentation tests
	@$(find_postgres); export TIDELOG_POSTGRES_BIN; code=0; set -x; \
	cargo test $(tested) --no-fail-fast --lib --bins || code=$$?; \
	cargo test $(tested) --no-fail-fast --doc || code=$$?; \
	exit $$code

.PHONY: test-integration
test-integration: ## Conformance of the stores, generated files, command line, multi-location tests
	@$(find_postgres); export TIDELOG_POSTGRES_BIN; set -x; $(tools)/run-integration.sh $(tested)

# With which profile the simulations are built; `sim` takes minutes to build and is three times as fast.
PROFILE := dev
# All tests, where they are built already: their selection of packages.
BUILT ?=
# Builds what $(1) selects, or nothing that the tests have built.
build = $(if $(BUILT),cargo test --locked --quiet $(BUILT) --no-run,cargo build --locked --quiet --profile $(PROFILE) $(1))
# Where its programs are.
programs = $${CARGO_TARGET_DIR:-target}/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

.PHONY: sim
# How many seeds, and the first one; with SEED one alone, with STEPS only these steps of it.
SEEDS ?= 20000
FROM ?= 0
SEED ?=
STEPS ?=
sim: ## The state machines in a world of chance: make sim SEEDS=20000; make sim SEED=17 STEPS=3,9-12 replays
	$(call build,-p tidelog-sim)
	$(programs)/tidelog-sim $(if $(SEED),--seed $(SEED) $(if $(STEPS),--steps $(STEPS)),--seeds $(SEEDS) --from $(FROM)) $(ARGS)
	$(if $(SEED)$(ARGS),,$(programs)/tidelog-sim --operated --seeds $$(($(SEEDS) / 4)) --from $(FROM))

.PHONY: sim-network
# How many seeds of whole sidecars.
NETWORK_SEEDS ?= 200
sim-network: ## Whole sidecars on a simulated network: make sim-network NETWORK_SEEDS=200; make sim-network SEED=17 replays
	$(call build,-p tidelog-sim-network --bins)
	$(programs)/tidelog-sim-network $(if $(SEED),--seed $(SEED),--seeds $(NETWORK_SEEDS) --from $(FROM)) $(ARGS)

.PHONY: faults
# How long, PostgreSQL and SQLite together.
MINUTES ?= 5
faults: ## Real processes, databases and connections are broken for MINUTES=5, and judged
	@$(tools)/ensure-cc.sh > /dev/null
	@$(find_postgres); export TIDELOG_POSTGRES_BIN; set -x; $(call build,-p tidelog-sidecar -p tidelog-cli -p tidelog-faults); \
	$(programs)/tidelog-faults --minutes $(MINUTES) $(ARGS)

.PHONY: cluster
cluster: ## Two real Kubernetes clusters on this machine (as root), with the images; QUICK=1 without optimisation
	@tests/cluster/kit/two.sh up

.PHONY: cluster-down
cluster-down: ## End them and forget their data
	@tests/cluster/kit/two.sh down

.PHONY: test-cluster
# One test alone, by a part of its name. On clusters of somebody else one at a time: there `orders.eu.example.com` leads to one address.
CASE ?=
test-cluster: ## Two real clusters under faults: make test-cluster CASE=cut; QUICK=1 without optimisation
	code=0; set -x; programs="$$(realpath -m $${CARGO_TARGET_DIR:-target})"; \
	cargo test $(tested) --quiet --no-run; \
	if [ -n "$(CASE)" ] && ! cargo test $(tested) --quiet --features tidelog-cluster-tests/clusters --test clusters -- --list $(CASE) | grep ': test$$'; then \
	  echo "no test has $(CASE) in its name" >&2; exit 2; \
	fi; \
	TIDELOG_CLI="$$programs/debug/tidelog" cargo test $(tested) --features tidelog-cluster-tests/clusters --test clusters -- --test-threads=$(if $(TIDELOG_CONTEXTS),1,3) --nocapture $(CASE) || code=$$?; \
	if [ -z "$(CASE)" ]; then \
	  TIDELOG_OPERATOR="$$(tests/cluster/kit/product-images.sh --where)/tidelog-operator" cargo test $(tested) --features tidelog-cluster-tests/clusters --test api-server -- --nocapture figures:: || code=$$?; \
	fi; \
	exit $$code

.PHONY: images
# Build them once more from nothing, and compare.
TWICE ?=
images: ## The images of operator, sidecar and command line, built without a daemon (as root); TWICE=1 shows that they come out the same again
	@tests/cluster/kit/install.sh node > /dev/null
	@tests/cluster/kit/product-images.sh $(if $(TWICE),--twice)

.PHONY: fuzz
# One target alone; all when empty.
TARGET ?=
fuzz: ## Hostile input guided by coverage (libFuzzer), each target for MINUTES=5 in all; goes on where it was stopped; TARGET=wire for one
	@$(tools)/ensure-cc.sh > /dev/null
	tests/fuzz/fuzz.sh $(MINUTES) $(TARGET)

.PHONY: mutants
mutants: ## Who catches the seeded bugs: fails while one of them is alive (half an hour; ARGS='--only ID', ARGS='--resume FILE')
	@$(find_postgres); export TIDELOG_POSTGRES_BIN; export CARGO_TARGET_DIR=$${CARGO_TARGET_DIR:-target}/mutants; set -x; cargo run --locked --quiet -p tidelog-mutants -- $(ARGS)

.PHONY: map
map: ## Write the map of rooms into docs/ARCHITECTURE.md anew
	UPDATE_EXPECT=1 cargo test --locked -p tidelog-house --test tidy architecture_shows
