"""Tables of trials, one row each, from whatever kept them: one mapping of columns, one set of checks, one way into a Rollout.

`names` says which column is what, `cells` what a value means, `codes` which choice is left, `trials` checks every row against
itself, `order` puts rows in order, `identity` looks for mice and sessions that are not what they seem. `reading.read_table`
does all of it to a `source.Source`; `columns.columns_of` is the way back.
"""
