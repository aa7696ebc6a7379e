"""Search for options on the validation part: a space in the recipe, one process a trial, a study that can be resumed.

The test part is never looked at: a trial trains and validates, and that is all it does (`training.validate`).
"""
