#!/bin/sh
# The client under test: see ../../conformance/README.md.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
command -v node >/dev/null || { echo '{"status": "missing", "message": "Install Node.js 20 or newer."}'; exit 4; }
[ -d "$here/node_modules/onnxruntime-node" ] || {
  echo '{"status": "missing", "message": "Run npm ci in export/clients/node."}'; exit 4; }
exec node "$here/run.js" "$@"
