# SUP mesh. `make` lists what there is; everything installs what it needs.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# No binary names a folder of this machine, and what one clone has compiled is in the
# build cache for each other one.
export GOFLAGS := $(strip $(GOFLAGS) -trimpath)

MODULES := $(sort $(patsubst %/go.mod,%,$(wildcard */go.mod)))
CACHE   := $(CURDIR)/.cache
NODE    := tools/e2e/node
GOFILES  = find $(MODULES) -name node_modules -prune -o -name '*.go' -print0

# Tools stand in a folder of their version, so that another version installs anew.
GOLANGCI_LINT := $(CACHE)/golangci-lint-v2.15.0/golangci-lint
GOTESTSUM     := $(CACHE)/gotestsum-v1.13.0/gotestsum

# Of one package at a time: `make test PKG=./chat/... RUN=TestSend`.
PKG  ?= work
RUN  ?= .
TIME ?= 10s

# Tests wait more than they compute: several packages at a time, several tests in each.
TEST_FLAGS := -race -count=1 -p 2 -parallel 4 -ldflags=-w
# Else each process with the race detector waits for a second before it ends.
export GORACE := atexit_sleep_ms=10
# How much of the full length `make test-long` runs, in percent.
LONG ?= 100

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

.PHONY: run
run: ## the whole mesh in one process, with a console page
	@go build -o bin/sup ./tools/sup
	@exec bin/sup up

.PHONY: build
build: ## every program into bin/
	go build work
	go build -o bin/ $$(go list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' work)

# Runs $(2) with the flags $(1). A failure is printed when it happens. The JSON log
# keeps what a killed run did.
define gotest
	@mkdir -p $(CACHE); status=0; \
	$(GOTESTSUM) --format pkgname-and-test-fails --format-hide-empty-pkg --jsonfile $(CACHE)/$@.json -- \
		$(TEST_FLAGS) $(1) $(2) || status=$$?; \
	go run ./tools/testlog $(CACHE)/$@.json; exit $$status
endef

.PHONY: test
test: deps-test $(GOTESTSUM) ## every test of every module, with the race detector; long ones in their short form
	$(call gotest,-timeout 20m -run '$(RUN)',$(PKG))

# The packages with long tests import the package `long`, which checks the tests' names.
LONG_NAMES := ^Test(Soak|Storm|Model|Trial)
LONG_PKG = $$(grep -rl --include='*_test.go' --exclude-dir=node_modules '"supmesh.dev/services/servicestest/long"' $(MODULES) | xargs -n1 dirname | sort -u | sed 's|^|./|')
.PHONY: test-long
test-long: deps-test $(GOTESTSUM) ## soaks, storms, models and trials at LONG percent (100) of their full length
	$(call gotest,-timeout 60m -run '$(if $(filter .,$(RUN)),$(LONG_NAMES),$(RUN))',$(if $(filter work,$(PKG)),$(LONG_PKG),$(PKG)))
test-long: export TEST_LONG = $(LONG)

# The mesh as separate processes under load: figures for a quiet machine.
RUNS ?= 3
.PHONY: bench bench-idle bench-fanout bench-pairs bench-storm bench-presence
bench: bench-idle bench-fanout bench-pairs bench-storm bench-presence ## the mesh under load: memory, fan-out, pairs, one large chat, a gateway's death (RUNS=3 for medians)

bench-idle: build
	bin/sup bench idle --runs $(RUNS)
bench-fanout: build
	bin/sup bench fanout --runs $(RUNS) --rate 200,400,600,800,1000
bench-pairs: build
	bin/sup bench pairs --runs $(RUNS) --rate 1000,5000,10000,15000
bench-storm: build
	bin/sup bench storm --runs $(RUNS)
bench-presence: build
	bin/sup bench presence --runs $(RUNS)

.PHONY: bench-go
bench-go: ## Go benchmarks (PKG=./proto/... RUN=Encode)
	go test -run '^$$' -bench '$(RUN)' -benchmem $(PKG)

.PHONY: fuzz
fuzz: ## every fuzz target for TIME (10s) each
	@go list -f '{{$$d := .Dir}}{{range .TestGoFiles}}{{$$d}}/{{.}}{{"\n"}}{{end}}{{range .XTestGoFiles}}{{$$d}}/{{.}}{{"\n"}}{{end}}' $(PKG) \
	| xargs -r grep -oHE '^func Fuzz[A-Za-z0-9_]+' | sed 's/:func / /' \
	| while read -r file target; do \
		echo "$$target"; (cd "$$(dirname "$$file")" && go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(TIME) -fuzzminimizetime 200ms .) </dev/null; \
	done

# Packages without servers, whose tests take milliseconds.
MUTATE ?= ./proto ./services/wire ./presence/state ./signaling/state ./notify/push ./notify/decide ./reactions/emoji \
	./gateway/typing ./gateway/catchup ./gateway/offset ./gateway/plain ./gateway/engineio/deadline
.PHONY: mutate
mutate: ## what the tests of the pure packages notice: at least 80 % of all small changes
	go run ./tools/mutate -floor 80 $(MUTATE)

.PHONY: lint
lint: $(GOLANGCI_LINT) ## golangci-lint over all modules
	$(GOLANGCI_LINT) run $$(go list -f '{{.Dir}}/...' -m)

.PHONY: tidy
tidy: ## go mod tidy in every module, gofmt everywhere
	$(GOFILES) | xargs -0 gofmt -w
	@for m in $(MODULES); do echo "tidy $$m"; (cd $$m && GOWORK=off go mod tidy); done

.PHONY: gen
gen: ## generated code and documents
	go generate work

.PHONY: gen-emoji
gen-emoji: ## the table of emoji, from the pinned Unicode package
	cd reactions/emoji/gen && npm ci --ignore-scripts --no-audit --no-fund </dev/null && node generate.mjs

.PHONY: verify
verify: verify-format verify-tidy verify-build verify-gen lint verify-arch ## all checks that are not tests

.PHONY: verify-format
verify-format:
	@wrong=$$($(GOFILES) | xargs -0 gofmt -l); [ -z "$$wrong" ] || { echo "not formatted (make tidy): $$wrong"; exit 1; }

# Each module for itself: the workspace would let an undeclared sibling through.
.PHONY: verify-tidy
verify-tidy:
	@for m in $(MODULES); do echo "tidy -diff $$m"; (cd $$m && GOWORK=off go mod tidy -diff); done

.PHONY: verify-build
verify-build:
	@for m in $(MODULES); do echo "build, vet $$m"; (cd $$m && GOWORK=off go build ./... && GOWORK=off go vet ./...); done

# Compares the work tree with itself, so that it also works before a commit.
TREE = { git diff HEAD; git ls-files -z --others --exclude-standard | xargs -0 -r sha256sum; } | sha256sum
.PHONY: verify-gen
verify-gen:
	@before=$$($(TREE)); $(MAKE) --no-print-directory gen; \
	[ "$$before" = "$$($(TREE))" ] || { echo "generated files were stale (make gen, commit):"; git status --short; exit 1; }

.PHONY: verify-arch
verify-arch:
	go test -count=1 ./tools/archtest

.PHONY: deps
deps: deps-test $(GOTESTSUM) $(GOLANGCI_LINT) ## install everything the other targets need
	@for m in $(MODULES); do (cd $$m && GOWORK=off go mod download); done

# Real parts for the tests, from Debian where a program is missing.
.PHONY: deps-test
deps-test: deps-debian $(NODE)/node_modules/.package-lock.json

DEBIAN := gcc:gcc curl:curl redis-server:redis-server chromium:chromium node:nodejs npm:npm
.PHONY: deps-debian
deps-debian:
	@want=; for p in $(DEBIAN); do command -v "$${p%%:*}" >/dev/null || want="$$want $${p##*:}"; done; \
	if [ -z "$$want" ]; then exit 0; fi; \
	if ! command -v apt-get >/dev/null; then echo "the tests need:$$want; install them with this system's package manager"; exit 1; fi; \
	sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	echo "installing$$want"; \
	$$sudo apt-get update -qq </dev/null; \
	$$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends $$want </dev/null

$(NODE)/node_modules/.package-lock.json: $(NODE)/package-lock.json $(NODE)/package.json
	cd $(NODE) && npm ci --ignore-scripts --no-audit --no-fund </dev/null
	@touch $@

$(GOLANGCI_LINT):
	GOWORK=off GOBIN=$(@D) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(patsubst golangci-lint-%,%,$(notdir $(@D)))

$(GOTESTSUM):
	GOWORK=off GOBIN=$(@D) go install gotest.tools/gotestsum@$(patsubst gotestsum-%,%,$(notdir $(@D)))

.PHONY: clean
clean: ## what was built; keeps data/ and the installed tools
	rm -rf bin
