# Every target is one or two commands that you could type as well.

.PHONY: demo live model schedules test test-docs test-docs-docker lint check-metrics check-api test-valkey bench faults faults-without completions man clean up seed compare compare-compose compare-local down up-local down-local engine test-engine

compose = cd deploy && docker compose

# The programs of a comparison on files, without the servers' backend: the same build as that of `cargo loadtest`, `cargo
# seeder`, `cargo hash-svc` and `cargo range-svc` (.cargo/config.toml).
on_files = --release --no-default-features --package hash-svc --package range-svc --package loadtest

# Builds, then compares the strategies under the same load: some two minutes, and a report to open. A machine with other things to
# do gives no verdicts on times (4), and a report all the same.
demo:
	cargo build $(on_files)
	cargo loadtest compare --history 100000 --rate 1500 --out reports/demo || [ $$? -eq 4 ]

# A page on this machine that shows strategies side by side while they are under load: http://127.0.0.1:8089.
live:
	cargo build $(on_files)
	cargo loadtest serve $(if $(PORT),--port $(PORT))

test:
	cargo test --workspace

# The commands of the documents that take long (`make test` runs the quick ones): half an hour, and this machine's ports 8001
# to 8003 are not touched. Those that want Docker have a target of their own.
test-docs:
	cargo build --release --bins
	cargo test --package loadtest --test documents -- --ignored --nocapture slow_commands

test-docs-docker:
	cargo test --package loadtest --test documents -- --ignored --nocapture for_docker

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

# What Prometheus' promtool says of the metrics, the alerts and the configuration in deploy/prometheus.
check-metrics:
	cargo build --bins
	.ci/check-metrics

# What a property tester makes of the API: every answer to requests made from /openapi.json is one that it describes, for hash
# and range, with and without tokens. Needs Python 3 and, the first time, its package index.
check-api:
	cargo build --package hash-svc --package range-svc
	.ci/check-api

# The tests of the gate on a Valkey instead of Redis: the one that is installed or, for root, Debian 13's by debootstrap.
test-valkey:
	.ci/try-valkey

# How fast everything is, each figure beside what this machine allows: bench.json and docs/BENCHMARKS.md, in about
# an hour; QUICK=1 takes a fraction of that, with fewer and shorter rounds.
bench:
	cargo build --release --bins
	cargo run --release --package loadtest-bench -- $(if $(QUICK),--quick)

# Breaks servers and services under load, one fault after the other, on servers of its own, and audits what is left. A
# program of its own is the services with fail points: hash-svc and range-svc stay what they are.
faults:
	cargo build --release --package loadtest-faults --features failpoints
	cargo run --release --package loadtest-faults --features failpoints -- --document docs/RELIABILITY.md

# The same, without one mechanism after the other: exits with 0 only if each time the row failed that must.
faults-without:
	cargo build --release --package loadtest-faults --features failpoints
	cargo run --release --package loadtest-faults --features failpoints -- --without all --document docs/RELIABILITY.md

# Every order of the protocol's steps, crashes and losses within small scopes, then the same without each mechanism in turn:
# some minutes, and 2 GB of memory. docs/RELIABILITY.md
model:
	cargo run --release --package protocol-model -- --deep
	cargo run --release --package protocol-model -- --without all

# Schedules of the services' own code over servers in memory, 10,000 of them, then without one mechanism after the other until
# a schedule finds it: each from a seed, which shows its history. What keeps rows in their place while a layout changes is left out
# in schedules of their own. docs/RELIABILITY.md
schedules:
	cargo run --release --package protocol-schedules --features failpoints -- --seeds 10000
	cargo run --release --package protocol-schedules --features failpoints -- --without all --seeds 1000
	cargo test --release --package protocol-schedules --features failpoints --test schedules -- mutants

programs = hash-svc range-svc seeder loadtest loadtest-bench loadtest-faults coupon-stack

# For your shell: target/completions/NAME.bash, _NAME (zsh), NAME.fish.
completions:
	cargo build --release --bins
	mkdir -p target/completions
	for name in $(programs); do \
		target/release/$$name completions bash >target/completions/$$name.bash && \
		target/release/$$name completions zsh >target/completions/_$$name && \
		target/release/$$name completions fish >target/completions/$$name.fish || exit 1; \
	done

# To read one: man -l target/man/loadtest-compare.1
man:
	cargo build --release --bins
	for name in $(programs); do target/release/$$name man --dir target/man || exit 1; done

# Starts MariaDB, Redis and RabbitMQ, for this folder alone, and says where they are.
up-local:
	cargo run --release --package coupon-stack -- up

down-local:
	cargo run --release --package coupon-stack -- down

# Builds Vitess, for `coupon-stack up --engine vitess`, into a cache folder of yours: with Go, in some seven minutes on two cores,
# and 2.5 GB of Go's caches; as root, it fetches a MySQL server where this machine's is MariaDB. docs/ENGINE.md
engine:
	deploy/engine/build

# Serves from a real engine, changes its shards under load and audits it; where the engine or a MySQL server is missing, it says so.
test-engine:
	cargo build --bins --package coupon-stack --package seeder --package engine-svc --package hash-svc --package loadtest
	deploy/engine/try

# MySQL, Redis, RabbitMQ and both services in containers; deploy/README.md.
up:
	deploy/quick_start.sh

# Replaces what the databases hold. The services stand still meanwhile, and read the new catalogue when they start.
seed:
	$(compose) stop hash-svc range-svc range-room-svc hash-consumer range-consumer
	$(compose) run --rm seeder --reset
	deploy/quick_start.sh --no-seed

# On the servers: those of `make up` when they run, else private ones that are started for it.
compare:
	@if [ -n "$$($(compose) ps --quiet --status running hash-svc 2>/dev/null)" ]; then \
		echo "comparing the services of deploy/compose.yml"; $(MAKE) --no-print-directory compare-compose; \
	else \
		echo "no services in containers: comparing private processes"; $(MAKE) --no-print-directory compare-local; \
	fi

# Both: as in `make demo`, a machine with other things to do gives no verdicts on times (4), and a report all the same.
compare-compose:
	mkdir -p reports
	$(compose) run --rm --user "$$(id -u):$$(id -g)" loadtest || [ $$? -eq 4 ]

compare-local:
	cargo build --release --bins
	cargo run --release --package loadtest -- compare --backend servers --contestants hash,range-time,range-room \
		--rate 2000 --seconds 15 --out reports/servers || [ $$? -eq 4 ]

# Keeps the data; `cd deploy && docker compose down --volumes` deletes it.
down:
	$(compose) --profile '*' down

# Servers of `make up-local` go first: nobody would know of them any more.
clean:
	@[ ! -e data/stack/stack.json ] || $(MAKE) --no-print-directory down-local
	cargo clean
	rm -rf data reports bench.json
