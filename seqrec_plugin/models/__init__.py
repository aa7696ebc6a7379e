"""One sequence model a file; `seqrec_plugin.registry` finds them by name."""
