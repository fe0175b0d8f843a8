"""Neural rules: training through all trials of a mouse."""
