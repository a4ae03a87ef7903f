#!/usr/bin/env bash
# Tests of extension.sh: the server's fake backend stands in for the collector.
set -euo pipefail
cd "$(dirname "$0")"
source ./lambda_telemetry.sh

begin() {
  post reset > /dev/null # a fresh environment
  local port
  port=$(post backend | jq .port)
  post run_extension '{"argv": ["./extension.sh"], "env": {"COLLECTOR_PORT": "'"$port"'"}}' > /dev/null
  post wait_until_ready '{"timeout": 30}' > /dev/null
}

end() {
  post end > /dev/null # fails where the extension broke a rule of Lambda's
  echo "ok: $1"
}

equal() {
  [ "$1" = "$2" ] || { echo "expected $2, got $1" >&2; exit 1; }
}

lambda_telemetry_start

begin
post emit '{"events": [{"type": "function", "record": "hello"}]}' > /dev/null
equal "$(post advance '{"seconds": 29.999}')" "[]"
equal "$(post advance '{"ms": 1}' | jq length)" 1
equal "$(get backend/backend/requests | jq -r '.[0].json[0].record')" hello
end "half a minute of buffering takes no time"

begin
post fail_next_delivery '{"fault": 503}' > /dev/null
post emit '{"events": [{"type": "function", "record": "hello"}]}' > /dev/null
equal "$(post advance '{"seconds": 31}' | jq -c '[.[0].attempts[].status]')" "[503,200]"
end "a delivery that fails comes again"

begin
post fail_next_delivery '{"fault": "refuse", "times": 2}' > /dev/null
post emit '{"events": [{"type": "function", "record": "one"}, {"type": "function", "record": "two"}]}' > /dev/null
post advance '{"seconds": 31}' > /dev/null
post invoke '{"logs": ["three"]}' > /dev/null
post shutdown > /dev/null
post assert_exactly_once > /dev/null
end "every line reaches the collector exactly once, whatever fails"
