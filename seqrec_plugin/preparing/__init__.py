"""Events → a data set that `seqrec train` takes, with a report of what was found and done."""

from __future__ import annotations
