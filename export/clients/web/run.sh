#!/bin/sh
# The client under test: see ../../conformance/README.md. The module is the browser's, the wasm too; only the fetching is of files.
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
command -v node >/dev/null || { echo '{"status": "missing", "message": "Install Node.js 20 or newer."}'; exit 4; }
[ -d "$here/node_modules/onnxruntime-web" ] || {
  echo '{"status": "missing", "message": "Run npm ci in export/clients/web."}'; exit 4; }
exec node "$here/run.js" "$@"
