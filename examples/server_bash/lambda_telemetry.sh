# A client of the server for bash, with curl and jq; copy this file, and source it.

# Starts a server; it ends with this shell.
lambda_telemetry_start() {
  local folder
  folder=$(mktemp -d)
  # shellcheck disable=SC2086  # it may be several words
  ${LAMBDA_TELEMETRY:-lambda-telemetry} serve --ready-file "$folder/ready.json" --parent $$ "$@" > /dev/null &
  until [ -e "$folder/ready.json" ]; do
    kill -0 $! 2> /dev/null || { echo "the server did not start" >&2; return 1; }
    sleep 0.05
  done
  CONTROL=$(jq -r .control "$folder/ready.json")
  rm -r "$folder"
}

# post NAME [JSON]: what acts or waits; prints what it returns. Fails, with the message, where it is refused.
post() {
  _answer -X POST "http://$CONTROL/v1/$1" -d "${2:-{\}}"
}

# get NAME: prints what is read.
get() {
  _answer "http://$CONTROL/v1/$1"
}

_answer() {
  local answer
  answer=$(curl -sS -H "Content-Type: application/json" "$@")
  if jq -e 'has("error")' <<< "$answer" > /dev/null; then
    jq -r '"\(.error): \(.message)"' <<< "$answer" >&2
    return 1
  fi
  jq -r '.warnings // [] | .[]' <<< "$answer" >&2
  jq -c .value <<< "$answer"
}
