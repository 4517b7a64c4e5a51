#!/bin/bash
# Stop the Tryton that start.sh DIR … [INSTANCE] started (only that one, by its pid).
#   stop.sh DIR [INSTANCE]
D=${1:?usage: stop.sh DIR [INSTANCE]}; RUN=$D; [ -z "${2:-}" ] || RUN=$D/run/$2
PID=$(cat "$RUN/pid" 2>/dev/null) || exit 0
if tr '\0' ' ' < "/proc/$PID/cmdline" 2>/dev/null | grep -q 'serve.py\|app:app'; then
  kill -INT "$PID"
  for _ in $(seq 10); do kill -0 "$PID" 2>/dev/null || break; sleep 0.1; done   # idle keep-alives linger
  kill -KILL -- "-$PID" 2>/dev/null
fi
rm -f "$RUN/pid"
exit 0
