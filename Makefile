# Two things a stranger needs: `make demo` and `make test`.

CARGO ?= cargo

.PHONY: demo test test-long test-real-full check bench bench-growth

# Three shops and an ERP, all simulated, aligned before your eyes.
demo:
	$(CARGO) run --release -- demo

# Everything: installs what it needs, starts what it needs, stops it at the end.
test:
	bash tests/run.sh

# The flow against a real ERP with all 512 invoices and 300 orders; `make test` takes a part of both.
test-real-full:
	$(CARGO) build --release
	python3 tests/real/flow.py --kilter "$${CARGO_TARGET_DIR:-target}/release/kilter" --scale full

# The same laws at their full counts, which take about half an hour: all points to die at, 180 kills and
# twenty beside a real ERP, 5,000 sales and 1,500 where a shop compares, ten storms.
test-long:
	KILTER_CRASH_ALL=1 $(CARGO) test -p kilter --test it crash::
	KILTER_KILLS=180 $(CARGO) test -p kilter --test it kill::
	KILTER_SALES=5000 $(CARGO) test -p kilter --test it what_was_oversold
	KILTER_CERTAIN=1500 $(CARGO) test -p kilter --test it where_a_shop_compares
	KILTER_CASES=10 $(CARGO) test -p kilter --test it storms::converge
	$(CARGO) build -p kilter
	python3 tests/real/flow.py --kilter "$${CARGO_TARGET_DIR:-target}/debug/kilter" --only kills

# What every commit passes.
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

# Kilter and its floors in turn, on a machine that does nothing else; fills BENCHMARKS.md.
BENCH = "$${CARGO_TARGET_DIR:-target}/release/kilter-bench" --write BENCHMARKS.md

bench:
	$(CARGO) build --release -p kilter -p kilter-bench
	$(BENCH) stages
	$(BENCH) flows

# 1,000 to 1,000,000 variants: long. `SIZES=1000,10000` takes fewer.
bench-growth:
	$(CARGO) build --release -p kilter -p kilter-bench
	$(BENCH) growth$(if $(SIZES),=$(SIZES))
