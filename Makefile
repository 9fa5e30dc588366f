# Every target is one or two commands that you could type as well.

.PHONY: demo test lint bench clean

# Builds, then compares the strategies under the same load: some two minutes, and a report to open.
demo:
	cargo build --release --bins
	cargo run --release --package loadtest -- compare --history 100000 --rate 1500 --out reports/demo

test:
	cargo test --workspace

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

# What one service takes on this machine, against an echo of the same JSON.
bench:
	cargo build --release --bins
	cargo run --release --package loadtest -- bench

clean:
	cargo clean
	rm -rf data reports bench.json
