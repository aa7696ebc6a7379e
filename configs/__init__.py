"""Recipes that run as they are, one a task; installed as `seqrec_plugin.configs`."""
