# Each target makes .venv first if need be. `make run NAME=value` and `NAME=value make run` mean the same: make hands both on.

.DEFAULT_GOAL := help
.PHONY: help venv run stop demo audit why dead-letters redrive dismiss token env diagrams declare test lint

# Each line is one plain command, which make starts without a shell in between: a signal sent to make reaches the command itself.
PY := .venv/bin/python

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

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

dead-letters: venv ## list what could not be taken, also by ERROR=…, ORDER=…, SAGA=…; with ALL=1 also what was redriven or dismissed
	@$(PY) -m infra.local dead-letters

redrive: venv ## have it taken after all: make redrive ID=… or ERROR=…; DRY=1 only says what would change
	@$(PY) -m infra.local redrive

dismiss: venv ## say that it will never be taken: make dismiss ID=… REASON="…"
	@$(PY) -m infra.local dismiss

token: venv ## print a JWT: make -s token ROLE=customer SUB=cust_1
	@$(PY) -m infra.local token

env: venv ## print the variables of the running stack as export lines
	@$(PY) -m infra.local env

diagrams: venv ## draw the sagas and list the messages anew, in infra/docs
	@$(PY) -m infra.local diagrams

declare: venv ## write anew what is made from the code: chalicelib/static, infra/aws
	@$(PY) -m infra.aws
	@$(PY) -m infra.documents

test: venv ## run all tests, as many files at a time as there are processors
	@$(PY) -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: venv ## check style, types and imports
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports
