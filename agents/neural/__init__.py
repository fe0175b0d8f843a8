"""Neural learning rules: their settings, what they have in common, one module for each kind of network, and their registry."""
