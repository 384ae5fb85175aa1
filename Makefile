# Each target makes .venv first if need be. `make run NAME=value` and `NAME=value make run` mean the same: make hands both on.

.DEFAULT_GOAL := help
.PHONY: help venv run stop demo audit why token env diagrams test lint

# Each line is one plain command, which make starts without a shell in between: a signal sent to make reaches the command itself.
PY := .venv/bin/python

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

venv: ## make .venv with everything in requirements.txt
	@$(or $(PYTHON),python3) -I -S infra/local/bootstrap.py

run: venv ## start the whole stack, in the foreground until Ctrl-C
	@$(PY) -m infra.local run

stop: venv ## end the stack of DATA_DIR
	@$(PY) -m infra.local stop

demo: venv ## take an order through its whole life and print the timeline
	@$(PY) -m infra.local demo

audit: venv ## print what must never be true of orders, sagas and money; fails if anything is
	@$(PY) -m infra.local audit

why: venv ## say what a saga waits for: make why SAGA=… or ORDER=…
	@$(PY) -m infra.local why

token: venv ## print a JWT: make -s token ROLE=customer SUB=cust_1
	@$(PY) -m infra.local token

env: venv ## print the variables of the running stack as export lines
	@$(PY) -m infra.local env

diagrams: venv ## draw the sagas anew into infra/docs/sagas.md
	@$(PY) -m infra.local diagrams

test: venv ## run all tests
	@$(PY) -m pytest

lint: venv ## check style, types and imports
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports
