#!/usr/bin/env bash
# Subscribes a telemetry collector that listens on COLLECTOR_PORT, with nothing but curl.
set -euo pipefail

api="http://$AWS_LAMBDA_RUNTIME_API"
headers=$(mktemp)
trap 'rm -f "$headers"' EXIT

curl -sS --fail-with-body -o /dev/null -D "$headers" "$api/2020-01-01/extension/register" \
  -H "Content-Type: application/json" -H "Lambda-Extension-Name: $(basename "$0")" \
  -d '{"events": ["INVOKE", "SHUTDOWN"]}'
identifier=$(tr -d '\r' < "$headers" | sed -n 's/^[Ll]ambda-[Ee]xtension-[Ii]dentifier: //p')

curl -sS --fail-with-body -X PUT "$api/2022-07-01/telemetry" \
  -H "Content-Type: application/json" -H "Lambda-Extension-Identifier: $identifier" \
  -d '{
    "schemaVersion": "2022-12-13",
    "types": ["function"],
    "buffering": {"timeoutMs": 30000},
    "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:'"$COLLECTOR_PORT"'"}
  }'

while :; do
  event=$(curl -sS --fail-with-body "$api/2020-01-01/extension/event/next" -H "Lambda-Extension-Identifier: $identifier")
  case $event in
    *SHUTDOWN*) exit 0 ;;
  esac
done
