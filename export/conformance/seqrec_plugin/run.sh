#!/bin/sh
# Our own runtime and verifier, under the same test as the clients.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
"${PYTHON:-python3}" -c 'import seqrec_plugin.runtime' 2>/dev/null || {
  echo '{"status": "missing", "message": "seqrec-plugin is not installed: pip install ."}'
  exit 4
}
exec "${PYTHON:-python3}" "$here/adapter.py" "$@"
