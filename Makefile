# Two things a stranger needs: `make demo` and `make test`.

CARGO ?= cargo

.PHONY: demo test check bench

# Two shops and an ERP, all simulated, aligned before your eyes.
demo:
	$(CARGO) run --release -- demo

# Everything: installs what it needs, starts what it needs, stops it at the end.
test:
	bash tests/run.sh

# What every commit passes.
check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

bench:
	@echo "there is no benchmark yet"
