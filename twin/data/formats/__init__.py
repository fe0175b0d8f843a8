"""Behaviour files of other systems, one format each."""
