# The targets that people type. Each works from a fresh clone and is quick when there is nothing left to do.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PREFIX ?= /usr/local
DESTDIR ?=
SWIFT ?= swift

programs = efs efsc efs-server efsctl

bindir = $(DESTDIR)$(PREFIX)/bin
sharedir = $(DESTDIR)$(PREFIX)/share
# mount(8) looks for its helpers only there.
sbindir = $(DESTDIR)/sbin
libdir = $(DESTDIR)$(PREFIX)/lib

.NOTPARALLEL:
.PHONY: help run server-demo build programs deb test test-full test-shipping setup-packaging setup-shipping test-swift test-end-to-end bench bench-server format lint install uninstall clean setup setup-tests

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup build ## Set up, build, and show an encrypted volume at work
	@scripts/demo

server-demo: build ## Build, and show a server and its clients at work
	@scripts/setup --demo
	@scripts/server-demo

setup: ## Install the Debian packages that the build needs
	@scripts/setup

setup-tests: ## Install the packages that the tests use too
	@scripts/setup --tests

setup-packaging:
	@scripts/setup --packaging

setup-shipping:
	@scripts/setup --shipping

build: setup programs ## Build the release executables into .build/release

programs:
	@# With the Swift libraries inside: what is installed runs where there is no toolchain.
	@for program in $(programs); do $(SWIFT) build -c release --product "$$program" --static-swift-stdlib; done

test: setup-tests build test-swift test-end-to-end ## Run all tests

test-swift:
	@scripts/test-swift

test-end-to-end:
	@Tests/EndToEnd/run
	@if [ "$$(id -u)" = 0 ]; then Tests/EndToEnd/run --as-user mounting. command_line. files.; fi

test-full: setup-tests build ## Run all tests and the long ones
	@EFS_TEST_FULL=1 scripts/test-swift
	@Tests/EndToEnd/run --full
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) test-shipping; else echo "make: note: test-shipping needs root and was left out"; fi

test-shipping: setup-shipping programs ## Make packages and images and run what is in them (as root)
	@Tests/Shipping/run

bench-server: setup-tests build ## Compare efs-server with nginx and with rclone over a crypt remote
	@scripts/bench-server

bench: setup-tests build ## Compare a mount with a plain directory, and with gocryptfs if it is installed
	@scripts/bench

format: ## Format the sources
	@$(SWIFT) format format --in-place --recursive --parallel Package.swift Sources Tests

lint: ## Check format, layering, lengths and banned calls
	@$(SWIFT) format lint --strict --recursive --parallel Package.swift Sources Tests
	@scripts/tidy
	@scripts/lint-packaging

deb: setup-packaging programs ## Make Debian packages in .build/packages
	@scripts/package

install: build ## Install under PREFIX (/usr/local), within DESTDIR
	@DESTDIR="$(DESTDIR)" scripts/install "$(bindir)" "$(sharedir)" "$(sbindir)" "$(libdir)"

uninstall: ## Remove what install put there
	@DESTDIR="$(DESTDIR)" scripts/install --remove "$(bindir)" "$(sharedir)" "$(sbindir)" "$(libdir)"

clean: ## Remove what was built
	@rm -rf .build
