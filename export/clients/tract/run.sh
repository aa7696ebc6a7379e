#!/bin/sh
# The protocol: export/conformance/README.md.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
"${PYTHON:-python3}" -c 'import numpy' 2>/dev/null || {
  echo '{"status": "missing", "message": "numpy is not installed: pip install tract numpy"}'
  exit 4
}
exec "${PYTHON:-python3}" "$here/tract_client.py" "$@"
