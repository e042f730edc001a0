# Bare `make` lists the targets. Only Go (1.26 or newer), make, git and the Go module proxy are needed.

FUZZTIME ?= 30s
PORT     ?= 1443
VERSION  := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -X main.version=$(VERSION)
LINT     := go tool -modfile=tools/lint/go.mod golangci-lint

# The race detector needs a C compiler.
CC_FOUND := $(shell command -v "$$(go env CC 2>/dev/null | cut -d' ' -f1)" 2>/dev/null)
RACE     := $(if $(CC_FOUND),-race)

# Nested modules with tests of their own; the lint module has none, the demo is run by `make demo`.
NESTED := $(filter-out tools/lint tools/demo,$(patsubst %/go.mod,%,$(wildcard tools/*/go.mod bench/*/go.mod)))

.DEFAULT_GOAL := help
.PHONY: help need-go build run demo demo-probe test check lint bench bench-smoke allocs compare density soak figures figures-bench fuzz fuzz-smoke pgo docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

need-go:
	@v=$$(go env GOVERSION 2>/dev/null); v=$${v#go1.}; v=$${v%%[!0-9]*}; \
	if [ "$${v:-0}" -lt 26 ]; then echo "epoxy needs Go 1.26 or newer, see https://go.dev/dl/"; exit 1; fi

build: need-go ## build bin/epoxy and bin/epoxy-bench
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/epoxy ./cmd/epoxy-bench

run: build ## build, then start the real thing on port 1443 (PORT=...)
	bin/epoxy run --listen :$(PORT) $(ARGS)

demo: build ## real client, Epoxy and a fake Telegram on this machine, no network
	@echo "the first time, downloading and compiling gotd takes some minutes"
	cd tools/demo && go run . -bin ../../bin

demo-probe: build ## nginx, Epoxy in front of it, and a censor who looks for a difference; needs nginx and haproxy
	@go run ./tools/probedemo -bin bin $(ARGS)

test: need-go ## what CI runs: vet and all tests, with -race when there is a C compiler
	go vet ./...
	@$(if $(RACE),,echo "no C compiler found: the tests run without -race")
	go test $(RACE) ./...
	$(if $(RACE),go test -run 'Alloc' ./codec/... ./engine/... ./upstream/...,@:) # the race detector allocates by itself
	@set -e; for m in $(NESTED); do (set -x; cd $$m && go test ./...); done

check: lint test fuzz-smoke bench-smoke ## lint, all tests, short fuzzing, each benchmark once

lint: need-go ## golangci-lint as pinned in tools/lint
	$(LINT) run ./...

bench: need-go ## all benchmarks
	go test -run '^$$' -bench . -benchmem ./...

bench-smoke: need-go # each benchmark once; those of the packet path some hundred times, and they may not allocate
	go test -run '^$$' -bench . -benchtime 1x -benchmem ./...
	@$(MAKE) --no-print-directory allocs

allocs: need-go
	go run ./tools/allocs

compare: build ## Epoxy, haproxy and a bare relay side by side, about 40 minutes (ARGS='--runs 1')
	bin/epoxy-bench compare $(ARGS)

density: build ## as many idle clients as there is room for (N=100000), in a guest kernel where descriptors do not suffice
	@bench/density.sh $(N)

figures: need-go ## write measured tables and charts anew from docs/figures (FROM=bin/compare/compare.json takes a report in)
	go run ./tools/figures $(if $(AS),-as $(AS)) $(if $(FROM),keep $(FROM))

figures-bench: need-go ## run the micro-benchmarks that docs/PERFORMANCE.md shows, and write tables anew
	go run ./tools/figures bench

DURATION ?= 30m
soak: build ## everything at once for half an hour (DURATION=30m): flat memory and descriptors, no lost byte
	bin/epoxy-bench soak --duration $(DURATION) --json bin/soak.json

fuzz: need-go ## every fuzz target, FUZZTIME=30s each, with the total of executions
	@FUZZTIME=$(FUZZTIME) tools/fuzz.sh

fuzz-smoke: need-go
	@FUZZTIME=3s tools/fuzz.sh

pgo: build ## refresh cmd/epoxy/default.pgo from a minute of epoxy-bench's load
	tools/pgo.sh

docs: need-go ## write docs/REFERENCE.md and deploy/man anew from settings and commands
	go run ./cmd/epoxy config reference > docs/REFERENCE.md.new && mv docs/REFERENCE.md.new docs/REFERENCE.md
	go run ./cmd/epoxy man deploy/man

clean: ## remove what the other targets built
	rm -rf bin
	find . -name '*.prof' -o -name '*.test' | xargs rm -f
