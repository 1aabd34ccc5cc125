# The two commands of the README: `make demo` and `make test`. Both do all the set-up that they need.
SHELL := /bin/bash
PYTHON ?= python3
DURATION ?= 0
VENV := .venv
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test lint unit packages-demo packages-test clean help

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

demo: packages-demo $(VENV)/.runtime ## the whole system on this machine; DURATION=60 ends by itself
	@$(VENV)/bin/gatehouse demo --duration $(DURATION)

test: packages-test $(VENV)/.all $(VENV)/.npm $(VENV)/.ipycam ## everything that CI runs: lint, types, house rules, contract, all tests
	@.ci/steps

packages-demo:
	@.ci/packages demo

packages-test:
	@.ci/packages test

$(VENV)/bin/python:
	@echo "==> virtual environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit("Gatehouse needs Python 3.11 or newer; this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python requirements/runtime.txt pyproject.toml
	@echo "==> Python packages of the gateway, the hub and the demo (pinned, with hashes)"
	@$(VENV)/bin/pip install --quiet --no-deps --require-hashes -r requirements/runtime.txt
	@$(VENV)/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.all: $(VENV)/bin/python requirements/lock.txt pyproject.toml
	@echo "==> Python packages, those of the tests included (pinned, with hashes)"
	@$(VENV)/bin/pip install --quiet --no-deps --require-hashes -r requirements/lock.txt
	@$(VENV)/bin/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.runtime

$(VENV)/.npm: $(VENV)/.all requirements/npm/package.json requirements/npm/package-lock.json requirements/npm/.npmrc
	@echo "==> npm packages of the tests (pinned, with hashes)"
	@mkdir -p $(VENV)/npm
	@cp requirements/npm/package.json requirements/npm/package-lock.json requirements/npm/.npmrc $(VENV)/npm/
	@PATH="$$PWD/$(VENV)/bin:$$PATH" npm ci --prefix $(VENV)/npm --loglevel=error >/dev/null
	@touch $@

$(VENV)/.ipycam: $(VENV)/.all requirements/ipycam.txt
	@echo "==> the tests' ONVIF camera (pinned, with hashes)"
	@rm -rf $(VENV)/ipycam
	@$(VENV)/bin/pip install --quiet --no-deps --require-hashes --target $(VENV)/ipycam -r requirements/ipycam.txt
	@touch $@

clean: ## remove the virtual environment and what the demo left
	rm -rf $(VENV) .demo build *.egg-info
