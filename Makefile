# The two commands: `make run` and `make test` do all set-up on Debian and Ubuntu, and are quick when it is done.

.PHONY: run test test-slow bench study fuzz setup cuda clean

run: setup
	cargo build --release --package segue
	if [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ]; then target/release/segue app --demo; else target/release/segue demo; fi

# What CI runs.
test:
	packaging/setup.sh test
	cargo fmt --check
	cargo clippy --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" cargo doc --workspace --no-deps --document-private-items
	cargo build --workspace
	cargo test --workspace

# Full-size models against PyTorch, a GPU that software plays; needs gigabytes and about an hour.
test-slow:
	packaging/setup.sh test
	packaging/setup_slow.sh
	cargo build --release --workspace
	cargo test --release --package tests end_to_end
	RUN_SLOW_TESTS=1 cargo test --release --package tests -- --nocapture slow

# Speed and memory against PyTorch, in turns.
bench: setup
	packaging/setup_slow.sh
	cargo bench --package tests --bench bench
	cargo bench --package tests --bench window
	cargo bench --package tests --bench scrub
	cargo bench --package tests --bench tracks
	cargo bench --package tests --bench formats
	cargo bench --package tests --bench detectors

# How many clicks it takes to correct videos, by several ways of going about it.
study: setup
	cargo bench --package tests --bench study

# Any bytes to everything that reads files and replies of others, ten minutes each.
fuzz: setup
	packaging/fuzz.sh

setup:
	packaging/setup.sh

# For NVIDIA cards: all that ONNX Runtime needs of CUDA, 1.4 GB to download.
cuda: setup
	python3 packaging/fetch_runtime.py --cuda

clean:
	cargo clean
