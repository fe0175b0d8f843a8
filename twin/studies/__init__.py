"""The kinds of study, one file each: scenario table, run, results and page."""
