#!/usr/bin/env bash
# Every test there is: format, lints, Rust tests, then the flow against a real ERP.
#
# What it needs beyond Rust it installs: Debian packages if it may, Python ones in an environment of
# their own below .local/. What it starts ends with it.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

# Installs Debian packages that are missing, where we may; else says which.
need() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' ||
            missing+=("$package")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
        say "installing ${missing[*]}"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    else
        echo "these packages are missing; install them, as root: apt-get install ${missing[*]}" >&2
        return 1
    fi
}

# Whatever was started here, in process groups of its own, ends here.
children=()
stop() {
    local child
    for child in "${children[@]}"; do
        kill -TERM -- "-$child" 2>/dev/null || true
    done
}
trap stop EXIT

command -v cc >/dev/null || need gcc libc6-dev

say "format and lints"
make --no-print-directory check

say "Rust tests"
if command -v cargo-nextest >/dev/null; then
    cargo nextest run --workspace --no-fail-fast
else
    cargo test --workspace --no-fail-fast
fi

target=${CARGO_TARGET_DIR:-target}

# Built by the tests; built alone, what it depends on would be built anew with fewer features.
say "the demo"
mkdir -p .local
"$target/debug/kilter" demo --json >.local/demo.json || { cat .local/demo.json; exit 1; }
python3 -c 'import json, sys; d = json.load(open(".local/demo.json")); print("in kilter after", d["seconds"], "s"); sys.exit(not d["ok"])'

# The demo must be able to fail, each time for its own reason: without echo suppression what stands
# there is written again; without the stock rule what was sold is offered again while the ERP takes no
# orders; without permits an order whose answer got lost stands in the ERP twice.
control() {
    local guard=$1 until=$2 reason=$3 code=0
    say "the demo without $guard"
    KILTER_UNSAFE_WITHOUT=$guard "$target/debug/kilter" demo --json --until "$until" \
        --folder ".local/control.$$" >.local/control.json 2>/dev/null || code=$?
    rm -rf ".local/control.$$"
    [ "$code" -eq 1 ] || { echo "the demo without $guard ended with $code, not 1" >&2; exit 1; }
    python3 - "$reason" <<'PYTHON'
import json, sys

found = json.load(open(".local/control.json"))
problems = found["referee"]["problems"]
orders, outage = found["referee"]["orders"], found["referee"]["outage"] or {"wrong": 0}
reasons = {
    "written again": any("write calls" in problem for problem in problems),
    "wrong figures": outage["wrong"] > 0,
    "duplicates": orders["duplicated"] > 0,
}
sys.exit(not reasons[sys.argv[1]] and f"it failed for another reason: {problems}")
PYTHON
}
control echo_suppression prices "written again"
control stock_rule orders "wrong figures"
control permits orders "duplicates"

python3 -c 'import ensurepip, venv' 2>/dev/null || need python3 python3-venv

# It installs the pinned clients below .local/, starts its twins on free ports and stops them.
command -v npm >/dev/null || need nodejs npm
say "the vendor's own clients against the twin of Shopify"
setsid python3 tests/real/shopify_clients.py --kilter "$target/debug/kilter" &
children+=($!)
wait $!

if [ -f tests/real/flow.py ]; then
    say "the flow against a real ERP"
    command -v curl >/dev/null || need curl
    setsid python3 tests/real/flow.py --kilter "$target/debug/kilter" &
    children+=($!)
    wait $!
fi

say "all passed"
