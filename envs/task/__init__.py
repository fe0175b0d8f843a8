"""One trial of the IBL task on one mouse record, and the sessions that trials come in."""
