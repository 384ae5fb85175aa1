# Each target makes .venv first if need be. `make run NAME=value` and `NAME=value make run` mean the same: make hands both on.

.DEFAULT_GOAL := help
.PHONY: help venv run stop demo grow waterfall audit why dead-letters redrive dismiss logs top roles token env migrate topics keys lock declare test test-fast test-ground explore soak chaos crash-matrix mutants bench bench-peers bench-coldstart scale lint infra-check infra-tools package deploy undeploy hooks ministack lambda browser screenshots kafka kafka-jars actionlint

# Many short programs are started; each would compile all it imports once more.
unexport PYTHONDONTWRITEBYTECODE

# Each line is one plain command, which make starts without a shell in between: a signal sent to make reaches the command itself.
PY := .venv/bin/python

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' Makefile

venv: ## make .venv with everything in requirements.txt
	@$(or $(PYTHON),python3) -I -S infra/stack/bootstrap.py

run: venv ## start the whole stack, in the foreground until Ctrl-C
	@$(PY) -m infra.stack run

stop: venv ## end the stack of DATA_DIR
	@$(PY) -m infra.stack stop

demo: venv ## take an order through its whole life and print the timeline
	@$(PY) -m infra.stack demo

grow: venv ## add finished orders of the past months to the running stack: make grow ORDERS=1000000
	@$(PY) -m infra.stack grow

waterfall: venv ## draw where an order's milliseconds went: make waterfall ORDER=…
	@$(PY) -m infra.stack waterfall

audit: venv ## print what must never be true of orders, sagas and money; fails if anything is
	@$(PY) -m infra.operator audit

why: venv ## say what a saga waits for: make why SAGA=… or ORDER=…
	@$(PY) -m infra.operator why

dead-letters: venv ## list what could not be taken, also by ERROR=…, ORDER=…, SAGA=…; with ALL=1 also what was redriven or dismissed
	@$(PY) -m infra.operator dead-letters

redrive: venv ## have it taken after all: make redrive ID=… or ERROR=…; DRY=1 only says what would change
	@$(PY) -m infra.operator redrive

dismiss: venv ## say that it will never be taken: make dismiss ID=… REASON="…"
	@$(PY) -m infra.operator dismiss

logs: venv ## follow an order through all functions: make logs ORDER=…, of a deployed service with STAGE=… and HOURS=24
	@$(PY) -m infra.operator logs

top: venv ## show what is under way and what the last hour was like, until Ctrl-C; with ONCE=1 once
	@$(PY) -m infra.operator top

roles: venv ## make the owner's and the functions' role in DATABASE_URL: make roles DATABASE_OWNER_ROLE=… DATABASE_FUNCTIONS_ROLE=…
	@$(PY) -m infra.operator roles

token: venv ## print a JWT: make -s token ROLE=customer SUB=cust_1
	@$(PY) -m infra.stack token

env: venv ## print the variables of the running stack as export lines
	@$(PY) -m infra.stack env

migrate: venv ## make or change the tables of a database, as the function `migrate` does: make migrate DATABASE_URL=…
	@$(PY) -m infra.stack migrate

topics: venv ## make the topics that another broker lacks: make topics KAFKA_BROKERS=…
	@$(PY) -m infra.stack topics

keys: venv ## make the key pair that tokens of DATA_DIR are signed with, if it is missing
	@$(PY) -m infra.stack keys

# For every platform and Python that a requirement has files for. pip itself is what installs them.
LOCK := pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-package pip --custom-compile-command "make lock"

lock: venv .tools/lock/complete ## write infra/locked anew from the requirements: every version with the hashes of its files
	@.tools/lock/bin/uv $(LOCK) requirements.txt --output-file infra/locked/development.txt
	@.tools/lock/bin/uv $(LOCK) orders_app/requirements.txt --output-file infra/locked/functions.txt
	@.tools/lock/bin/uv $(LOCK) infra/docker/requirements.txt --output-file infra/locked/image.txt
	@.tools/lock/bin/uv $(LOCK) tests/tools/bench-peers.txt --output-file infra/locked/tool-bench-peers.txt
	@.tools/lock/bin/uv $(LOCK) tests/tools/browser.txt --output-file infra/locked/tool-browser.txt
	@.tools/lock/bin/uv $(LOCK) tests/tools/infra-check.txt --output-file infra/locked/tool-infra-check.txt
	@.tools/lock/bin/uv $(LOCK) tests/tools/lambda.txt --output-file infra/locked/tool-lambda.txt
	@.tools/lock/bin/uv $(LOCK) tests/tools/lock.txt --output-file infra/locked/tool-lock.txt
	@.tools/lock/bin/uv $(LOCK) tests/tools/ministack.txt --output-file infra/locked/tool-ministack.txt

.tools/lock/complete: infra/locked/tool-lock.txt | venv
	@$(PY) -m venv --clear .tools/lock
	@.tools/lock/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement infra/locked/tool-lock.txt
	@touch .tools/lock/complete

declare: venv ## write anew what is made from the code: chalicelib/static, diagrams and tables in infra/docs
	@$(PY) -m infra.documents

test: venv ## run all tests, some files at a time
	@$(PY) -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test-fast: venv ## run the tests that need no database and no broker
	@$(PY) -m pytest --numprocesses auto --dist loadfile tests/unit

test-ground: venv ## run the tests that use a server on the oldest and newest PostgreSQL and Apache Kafka, or on DATABASE_URL=… KAFKA_BROKERS=…
	@$(PY) -m tests.ground

chaos: venv ## kill, freeze and cut off the parts of a stack under load; nothing may be lost: make chaos MINUTES=3 ORDERS=600 SEED=1, also KAFKA_BROKERS=… or STAGE=home
	@$(PY) -m tests.chaos

crash-matrix: venv ## kill whoever works at every operation of every path, and check what is left: ONLY=create POINT=http:4 for one
	@$(PY) -m tests.crash_matrix

mutants: venv ## plant faults one by one and say which test notices each, in a quarter of an hour: make mutants ONLY="lock_left_out …"
	@$(PY) -m tests.mutants

explore: venv ## visit every state of larger worlds than `make test` does: make explore WORLD=accept MORE=1 STATES=1000000
	@$(PY) -m tests.explorer

soak: venv ## run consumers, publishers and sweeps on a virtual clock with kills and losses: make soak MINUTES=10; SEED=7 alone shows that run
	@$(PY) -m tests.simulation

bench: venv ## measure every figure that has a goal, in ten minutes, also AGAINST="CHECKOUT …" in turns, or on other KAFKA_BROKERS
	@$(PY) -m tests.benchmarks

bench-peers: venv ## measure the whole stack in turns with DBOS, which gets an environment of its own
	@$(PY) -m venv .tools/bench-peers
	@.tools/bench-peers/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement infra/locked/tool-bench-peers.txt
	@$(PY) -m tests.benchmarks --only peers

scale: venv ## say what AWS would carry, what breaks first and what it costs, also for one load: make scale ORDERS_PER_MINUTE=…
	@$(PY) -m tests.benchmarks.scale

bench-coldstart: venv ## measure what importing each function takes, beside a package made without a thought of it
	@$(PY) -m tests.benchmarks --only cold

lint: venv ## check style, types and imports
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@.venv/bin/lint-imports

package: venv ## make what is deployed to AWS, in .build: make package ARCH=arm64
	@$(PY) -m infra.aws package

deploy: venv ## deploy the package: make deploy STAGE=home, or on AWS by your credentials STAGE=dev PARAMETERS="JwksUrl=… JwtIssuer=…"
	@$(PY) -m infra.deploy deploy

undeploy: venv ## delete what was deployed: make undeploy STAGE=home; on AWS the data's stack only with DATA=1
	@$(PY) -m infra.deploy undeploy

infra-check: venv .tools/infra-check/complete ## check both stacks for AWS: schemas, references, what each role may do
	@$(PY) -m infra.aws infra-check

infra-tools: venv .tools/infra-check/complete ## install what `make infra-check` and its test need, beside .venv

# Beside .venv, as they pin other versions; not compiled, as little of them is imported.
.tools/infra-check/complete: infra/locked/tool-infra-check.txt | venv
	@$(PY) -m venv --clear .tools/infra-check
	@.tools/infra-check/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes --requirement infra/locked/tool-infra-check.txt
	@touch .tools/infra-check/complete

ministack: venv ## install MiniStack beside .venv, for `make deploy STAGE=home` and the tests with it
	@$(PY) -m venv .tools/ministack
	@.tools/ministack/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement infra/locked/tool-ministack.txt

lambda: venv ## install Lambda's own runtime client beside .venv, for the tests that run the package as Lambda does
	@$(PY) -m pip install --quiet --disable-pip-version-check --target .tools/lambda/packages --upgrade --require-hashes --requirement infra/locked/tool-lambda.txt

browser: venv .tools/browser/complete ## install Playwright and axe beside .venv, for the tests in a real browser; needs Chromium

.tools/browser/complete: infra/locked/tool-browser.txt | venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --target .tools/browser/packages --upgrade --require-hashes --requirement infra/locked/tool-browser.txt
	@$(PY) -m tests.support.browser
	@touch .tools/browser/complete

screenshots: venv .tools/browser/complete ## take the pictures of the console in infra/docs anew
	@$(PY) -m tests.support.screenshots

kafka: venv ## start Apache Kafka itself (Java 17, Maven) and print its KAFKA_BROKERS, in the foreground until Ctrl-C
	@$(PY) -m infra.stack kafka

kafka-jars: venv ## fetch what `make kafka` runs, for the tests with it
	@$(PY) -m infra.stack kafka-jars

actionlint: ## check .github/workflows; needs Go
	@go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

hooks: ## have git run `make lint` before each commit
	@git config core.hooksPath .githooks
