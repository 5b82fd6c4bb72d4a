# The developer's commands. Each also works as plain go commands: see
# CONTRIBUTING.md.

GO       ?= go
BENCH    ?= .
FUZZTIME ?= 20s
SOAK     ?= 10m
TARGET   ?= hvt

# Without cgo everywhere, as the tool itself is built.
export CGO_ENABLED = 0

.PHONY: all build test check race bench fuzz soak survey conformance reproduce deps help

all: build

help:
	@echo 'make build   the tool, bin/tailor'
	@echo 'make test    install what is missing, run every test'
	@echo 'make check   the house rules alone: gofmt, vet, staticcheck, imports, docs'
	@echo 'make race    the tests of the pure packages under the race detector (needs gcc)'
	@echo 'make bench   virtual machines beside plain processes (BENCHFLAGS=-short: quickly),'
	@echo '             then every benchmark of a package, or those that match BENCH='
	@echo 'make conformance   the tests of the standard library, docs/conformance.md'
	@echo 'make reproduce     builds the examples three times each and compares the bytes'
	@echo 'make fuzz    every fuzz target for FUZZTIME=20s each'
	@echo 'make soak    attacks examples/pinata for SOAK=10m on TARGET=hvt'
	@echo 'make survey  builds, boots and asks the programs of docs/ecosystem.md'

build:
	$(GO) build -trimpath -ldflags="-s -w" -o bin/tailor ./cmd/tailor

# First what computes, two packages at a time; then those of test/, one after the
# other: they start virtual machines and measure time, and get the machine to
# themselves. Building first uses all cores; what does not build is reported by go
# test, with the rest of the results.
test: deps
	@$(GO) build ./... 2>/dev/null || true
	@ok=true; \
	$(GO) test -p 2 -timeout 20m $$($(GO) list -e ./... | grep -v /test/) || ok=false; \
	$(GO) test -p 1 -timeout 20m ./test/... && $$ok

check:
	$(GO) test -count=1 -timeout 10m ./internal/house

# Packages that only compute; the others need the machine more than the race
# detector needs them.
race: export CGO_ENABLED = 1
race:
	$(GO) test -race -timeout 10m ./abi/... ./libos/... ./virtio/... ./block/... ./logs/... ./volume/tarfs/... ./internal/image/... ./internal/virtq/... ./metrics ./names/... ./ntp ./boot/scrape ./boot/timesync

# The systems, see docs/performance.md, and a short look at
# each package's own benchmarks. test/bench has none of those.
bench: deps
	$(GO) run ./test/bench $(BENCHFLAGS)
	$(GO) test -p 1 -run '^$$' -bench '$(BENCH)' -benchtime 200ms -timeout 5m ./...

# About half an hour on two processors, twice that the first time.
conformance: build
	bin/tailor test std

# make test does so for a small program: cmd/tailor, TestScript/build_verify.
reproduce: build
	@for p in examples/*/; do bin/tailor build --verify -o /dev/null ./$$p || exit; done

fuzz:
	@FUZZTIME=$(FUZZTIME) GO='$(GO)' tools/fuzz.sh

# A machine under attack for a while, with figures every half minute.
soak: deps
	$(GO) test ./test/e2e -run 'TestPinataAttack/$(TARGET)' -soak $(SOAK) -v -count=1 -timeout 24h

# A quarter of an hour where nothing is compiled yet.
survey: deps
	$(GO) test ./test/programs -run Survey -survey -v -count=1 -timeout 60m

deps:
	@tools/deps.sh
