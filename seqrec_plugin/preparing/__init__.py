"""Events (CSV, JSON lines, Parquet) → a data set for RecBole, cleaned by a recipe, with a report."""

from __future__ import annotations
