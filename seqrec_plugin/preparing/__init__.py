"""From files of events to a data set: see `prepare`."""
