"""`python -m seqrec_plugin.cli` is `seqrec`."""

from seqrec_plugin.cli import main

main(prog_name="seqrec")
