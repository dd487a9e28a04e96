# Postcote. `make help` lists the targets.
GO      ?= go
PREFIX  ?= /usr
DESTDIR ?=
DIR     ?= ./run
BASE    ?= 10000
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo 0.1.0-dev)

DAEMONS := mtad deliverd imapd authd
LDFLAGS := -s -w -X main.version=$(VERSION)
TOOLS   := bin/tools
export CGO_ENABLED := 0

.DEFAULT_GOAL := help
.PHONY: help build run test race layers lint fuzz bench interop isolation install docs clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

build: ## static binaries in ./bin
	@for d in $(DAEMONS); do $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/$$d ./cmd/$$d || exit 1; done
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/authd-checkpassword ./cmd/authd/checkpassword
	@$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/mtad-run ./cmd/mtad/run
	@if [ -e /usr/include/security/pam_appl.h ] && command -v cc >/dev/null; then \
		CGO_ENABLED=1 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/authd-pam ./cmd/authd/pamhelper; \
	else echo "authd-pam is not built: it needs a C compiler and PAM's headers (libpam0g-dev)"; fi

run: build ## a private suite on loopback ports, in DIR (./run), first port BASE (10000)
	@exec $(GO) run ./test/run -dir '$(DIR)' -base $(BASE) -bin ./bin

test: ## unit, transcript, property and whole-suite tests; no root, no network; tells which were skipped and why
	@$(GO) run ./test/report $(GO) test -json ./...

race: ## the same under the race detector
	@CGO_ENABLED=1 $(GO) run ./test/report $(GO) test -json -race -timeout 30m ./pkg/...

layers: ## imports and links against docs/architecture.md
	$(GO) run ./test/layers

lint: $(TOOLS)/staticcheck $(TOOLS)/gofumpt ## vet, staticcheck, gofumpt, size limits
	$(GO) vet ./...
	$(TOOLS)/staticcheck ./...
	@out=$$($(TOOLS)/gofumpt -l cmd pkg test); [ -z "$$out" ] || { echo "gofumpt would change:"; echo "$$out"; exit 1; }
	$(GO) run ./test/layers -sizes

$(TOOLS)/staticcheck: test/tools/go.mod
	cd test/tools && $(GO) build -o ../../$@ honnef.co/go/tools/cmd/staticcheck
$(TOOLS)/gofumpt: test/tools/go.mod
	cd test/tools && $(GO) build -o ../../$@ mvdan.cc/gofumpt

FUZZTIME ?= 10s
fuzz: ## every fuzz target for FUZZTIME (10s) each
	@test/fuzz.sh $(FUZZTIME)

BENCHFLAGS ?=
BENCHTIME  ?= 500ms
bench: build ## Go benchmarks (BENCHTIME=500ms each), then ours beside Postfix and Dovecot, ratios and goals: docs/performance.md (BENCHFLAGS="-suite lmtp -reps 1 -scale 0.5")
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $$(grep -rl --include='*_test.go' '^func Benchmark' pkg | xargs -n1 dirname | sort -u | sed 's,^,./,')
	$(GO) run ./test/bench -bin ./bin $(BENCHFLAGS)

interop: build ## against real Postfix, Dovecot, swaks, curl, mbsync, mutt, ... (Debian packages)
	$(GO) test -count=1 -timeout 30m -v -tags interop ./test/interop

isolation: build ## as root: each process under its own user, trying what it must not do
	$(GO) test -count=1 -v -tags isolation ./test/isolation

install: build ## into DESTDIR: binaries, units, users, folders, man pages, example configurations
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' deploy/install.sh

docs: ## man pages and the configuration reference, from the commands and the config structs
	$(GO) run ./test/docgen

clean: ## what the build made
	rm -rf bin
