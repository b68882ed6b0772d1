# Ask a server with curl, as TF Serving's own pages do.
set -euo pipefail
url=$1
temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT

expect() { # words that the answer holds, then curl's arguments
    local words=$1 answer
    shift
    answer=$(curl --silent --show-error --max-time 20 "$@")
    if [[ "$(tr -d ' \n' <<<"$answer")" != *"$words"* ]]; then
        echo "expected $words, received: $answer" >&2
        exit 1
    fi
}

predict=$url/v1/models/half_plus_two:predict
expect '"predictions":[3.5,4.0,5.5]' -d '{"instances": [1.0, 2.0, 5.0]}' "$predict"
expect '"predictions":[2.5]' -d '{"instances": [1.0]}' "$url/v1/models/half_plus_two/versions/1:predict"
expect '"state":"AVAILABLE"' "$url/v1/models/half_plus_two"
expect '"signature_def"' "$url/v1/models/half_plus_two/metadata"
expect '"error":"JSONParseerror:' -d '{' "$predict"
expect 'HTTP/1.1404' --include -d '{"instances": [1.0]}' "$url/v1/models/nobody:predict"
# From a file, packed, answered packed; large enough that curl asks first (Expect: 100-continue).
{ printf '{"instances": [0'; seq 400000 | sed 's/.*/, 2.0/' | tr -d '\n'; printf ']}'; } >"$temporary/many"
expect ',4.0,4.0]' --data-binary @"$temporary/many" "$predict"
gzip -k "$temporary/many"
expect ',4.0,4.0]' --compressed -H 'Content-Encoding: gzip' --data-binary @"$temporary/many.gz" "$predict"
# In chunks, and two requests over one connection.
expect '"predictions":[3.5]' -H 'Transfer-Encoding: chunked' -d '{"instances": [1.0]}' "$predict"
expect '[3.5]}{"predictions":[3.5]' -d '{"instances": [1.0]}' "$predict" "$predict"
expect '"live":true' "$url/v2/health/live"
