#!/bin/bash
# A real Tryton 8.2, seeded, on 127.0.0.1:PORT (0: a free one).  Prints the path of tryton.json.
#   start.sh DIR [PORT] [luma|retail|small][-plain] [INSTANCE]
# DIR keeps the virtual environment and the seeded databases, so the second start takes about two
# seconds.  INSTANCE (a name) runs a further copy beside the first, in DIR/run/INSTANCE.
# "-plain": without the module web_shop, so that an order has no unique key.
# KILTER_SHARED: folder with data/luma and data/retail.  TRYTON_WORKERS (1; more
# share no cache), TRYTON_THREADS (8), TRYTON_CLEAN (300, trytond's own: seconds between its looks for
# other processes' cache resets; app.py keeps them from ending the request's transaction).
set -euo pipefail
D=${1:?usage: start.sh DIR [PORT] [luma|retail|small][-plain] [INSTANCE]}
PORT=${2:-0}; VARIANT=${3:-small}; INSTANCE=${4:-}
HERE=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$D"; D=$(cd "$D" && pwd)
case $VARIANT in luma|retail|small|luma-plain|retail-plain|small-plain) ;; *) echo "unknown variant $VARIANT" >&2; exit 2;; esac
CATALOGUE=${VARIANT%-plain}; FLAVOUR=base; [ "$VARIANT" = "$CATALOGUE" ] || FLAVOUR=base-plain
export KILTER_SHARED=${KILTER_SHARED:-$HERE/../../../../shared} TZ=UTC
MODULES="account_invoice_stock party_relationship product product_attribute product_price_list sale
 sale_opportunity sale_price_list sale_shipment_cost stock stock_package_shipping"
[ $FLAVOUR = base-plain ] || MODULES="$MODULES web_shop"

if [ -n "$INSTANCE" ]; then RUN=$D/run/$INSTANCE; else RUN=$D; fi
mkdir -p "$RUN/db"
"$HERE/stop.sh" "$D" "$INSTANCE" >/dev/null

# --- once per DIR: environment, base, catalogue (one at a time) ------------------------------
exec 9>"$D/lock"; flock 9
want=$(sha256sum < "$HERE/requirements.txt" | cut -c1-16)
if [ "$(cat "$D/venv/.kilter" 2>/dev/null)" != "$want" ]; then
  rm -rf "$D/venv"
  if ! python3 -m venv "$D/venv"; then             # Debian keeps ensurepip in python3-venv
    rm -rf "$D/venv"
    sudo=; [ "$(id -u)" = 0 ] || sudo=sudo
    $sudo apt-get update -qq && $sudo apt-get install -y -qq --no-install-recommends python3-venv
    python3 -m venv "$D/venv"
  fi
  "$D/venv/bin/pip" install -q --disable-pip-version-check --require-hashes -r "$HERE/requirements.txt"
  echo "$want" > "$D/venv/.kilter"
fi
PY=$D/venv/bin/python
conf() { # conf FILE DBDIR
  printf '[database]\nuri = sqlite://\npath = %s\nretry = 10\n[cache]\nclean_timeout = %s\n[web]\nlisten = 127.0.0.1:%s\n' "$2" "${TRYTON_CLEAN:-300}" "$PORT" > "$1"
}
base=$(cat "$HERE/requirements.txt" "$HERE/seed.py" | cat - <(echo "$MODULES") | sha256sum | cut -c1-16)
data=none
case $CATALOGUE in
  luma) data=$(sha256sum < "$KILTER_SHARED/data/luma/products.csv" | cut -c1-16) ;;
  retail) data=$(sha256sum < "$KILTER_SHARED/data/retail/online-retail-10k.csv" | cut -c1-16) ;;
esac
if [ "$(cat "$D/$VARIANT.seed.hash" 2>/dev/null)" != "$base $data $(date +%Y)" ]; then
  W=$D/work; rm -rf "$W"; mkdir -p "$W"
  conf "$W/trytond.conf" "$W"; export TRYTOND_CONFIG=$W/trytond.conf TRYTONPASSFILE=$W/pass
  printf 'Adm1n!secret-pw' > "$W/pass"
  if [ "$(cat "$D/$FLAVOUR.hash" 2>/dev/null)" != "$base $(date +%Y)" ]; then
    : > "$W/erp.sqlite"                              # the file must exist, empty
    "$D/venv/bin/trytond-admin" -d erp --email admin@example.com --activate-dependencies -u $MODULES
    "$PY" "$HERE/seed.py" base erp "$D/$FLAVOUR.json"
    "$PY" -c 'import sqlite3,sys; sqlite3.connect(sys.argv[1]).execute("PRAGMA wal_checkpoint(TRUNCATE)")' "$W/erp.sqlite"
    cp "$W/erp.sqlite" "$D/$FLAVOUR.sqlite"; echo "$base $(date +%Y)" > "$D/$FLAVOUR.hash"
  fi
  rm -f "$W"/erp.sqlite*; cp "$D/$FLAVOUR.sqlite" "$W/erp.sqlite"
  "$PY" "$HERE/seed.py" load erp "$D/$FLAVOUR.json" "$D/$VARIANT.seed.json" "$CATALOGUE"
  "$PY" -c 'import sqlite3,sys
c = sqlite3.connect(sys.argv[1]); c.execute("ANALYZE"); c.commit(); c.execute("PRAGMA wal_checkpoint(TRUNCATE)")' "$W/erp.sqlite"
  cp "$W/erp.sqlite" "$D/$VARIANT.seed.sqlite"; echo "$base $data $(date +%Y)" > "$D/$VARIANT.seed.hash"
  rm -rf "$W"
fi
flock -u 9; exec 9>&-

# --- every start: a fresh copy of the seed --------------------------------------------------
rm -f "$RUN"/db/erp.sqlite* "$RUN/port" "$RUN/tryton.json"
cp "$D/$VARIANT.seed.sqlite" "$RUN/db/erp.sqlite"
conf "$RUN/trytond.conf" "$RUN/db"
export TRYTOND_CONFIG=$RUN/trytond.conf TRYTOND_DATABASE_NAMES=erp TZ=UTC
setsid nohup "$PY" "$HERE/serve.py" "$PORT" "${TRYTON_WORKERS:-1}" "${TRYTON_THREADS:-8}" "$RUN/port" \
  > "$RUN/trytond.log" 2>&1 < /dev/null & PID=$!
echo $PID > "$RUN/pid"
KEY=$("$PY" -c 'import json,sys; print(json.load(open(sys.argv[1]))["key"])' "$D/$VARIANT.seed.json")
for _ in $(seq 300); do
  kill -0 $PID 2>/dev/null || { echo "trytond did not start:" >&2; tail -20 "$RUN/trytond.log" >&2; exit 1; }
  if [ -s "$RUN/port" ]; then
    URL=http://127.0.0.1:$(cat "$RUN/port")/erp
    curl -sf -m 30 -o /dev/null -H "Authorization: Bearer $KEY" "$URL/rest/model/company.company?f=id" && break
  fi
  sleep 0.1
done
"$PY" - "$D/$VARIANT.seed.json" "$RUN/tryton.json" "$URL" "$PID" "$VARIANT" <<'PY'
import json, os, sys
src, out, url, pid, variant = sys.argv[1:]
info = json.load(open(src))
info.update(url=url, rest=url + '/rest/model', pid=int(pid), variant=variant, database='erp',
            user='admin', password='Adm1n!secret-pw')
with open(out + '.tmp', 'w') as f:
    json.dump(info, f, indent=1, sort_keys=True)
os.rename(out + '.tmp', out)
PY
echo "$RUN/tryton.json"
