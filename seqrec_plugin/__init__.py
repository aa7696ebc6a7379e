"""Recurrent sequence models for RecBole, carried anywhere as ONNX.

Importing this package makes our models known to RecBole by name. It loads neither torch nor recbole.
"""

import seqrec_plugin.recbole_bridge.hooks

seqrec_plugin.recbole_bridge.hooks.install()
