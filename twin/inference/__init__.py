"""Fitting: from trials back to the rule."""
