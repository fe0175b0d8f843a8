"""Scenario files: `quickstart.toml` first, then one for each question."""
