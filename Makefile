# One command each. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := target/release

.PHONY: help setup build demo test check hpc interop kill mutate bench clean

help: ## List these commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'
	@echo
	@echo "  make demo RECORDING=DIR LABELS=NAMES INTERVAL=SECONDS  the demo on a recording: DIR/<channel>/, DIR/<label>/"
	@echo "  LAPSEGAN_CUDA=1 make setup                             libtorch with everything a GPU needs"
	@echo "  LIBTORCH=/path make setup                              a libtorch 2.11.0 that is there"

setup: ## Check what is needed and fetch libtorch 2.11.0 into ./libtorch (502 MB; nothing outside the checkout)
	@bash containers/check-prerequisites.sh
	@bash containers/fetch-libtorch.sh libtorch

build: setup ## Build the five programs
	cargo build --release --locked

demo: build ## A recording through all five programs, in minutes on a CPU (phantom, or RECORDING=DIR)
	@RECORDING="$(RECORDING)" LABELS="$(LABELS)" INTERVAL="$(INTERVAL)" bash workflows/demo.sh

test: setup ## Run all tests, and the workflows on this machine
	cargo test --release --locked --workspace
	bash tests/workflows/run.sh quick

hpc: build ## Slurm, containers and workflow engines, really started (Debian, root; tests/workflows)
	bash tests/workflows/run.sh hpc

check: setup ## Everything that must be clean: format, clippy, tests, docs
	cargo fmt --check
	cargo clippy --release --locked --workspace --all-targets -- -D warnings
	cargo test --release --locked --workspace
	RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --workspace --no-deps

interop: build ## Compare inputs, plates and exports with other programs, event files with TensorBoard, train Cellpose and StarDist (Python in ./.venv)
	bash tests/interop/formats.sh
	bash tests/interop/tensorboard.sh
	bash tests/interop/segmenters.sh || [ $$? -eq 77 ]

kill: build ## Kill a training 50 times, and all commands 330 times, at random moments: they must end with the same bytes
	python3 tests/kill/kill.py
	LAPSEGAN_KILLS=330 cargo test --release --locked --workspace --test torch drivers::kills -- --nocapture

mutate: setup ## 2,000 damaged inputs through all programs (minutes): each is taken or refused cleanly
	LAPSEGAN_MUTATIONS=2000 cargo test --release --locked --workspace --test torch -- --nocapture damaged_input_is_taken_or_refused

bench: build ## Measure and write tests/benches/results/
	python3 tests/benches/bench.py
	python=.venv/interop/bin/python; [ -x $$python ] || python=python3; $$python tests/benches/store.py
	cargo test --release --locked -p lapsegan --bench iteration -- --json tests/benches/results/iteration-cpu.json
	target/release/prepare phantom --size 256 --positions 16 --frames-per-position 3 --overwrite --output target/labels.ome.zarr -q >/dev/null
	cargo test --release --locked -p lapsegan-core --bench labels -- target/labels.ome.zarr --json tests/benches/results/labels.json
	python3 tests/benches/learning.py

clean: ## Remove build products and the demo's output; libtorch stays
	cargo clean
	rm -rf demo
