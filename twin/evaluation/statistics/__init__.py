"""Summary statistics of a cohort, virtual or recorded: what each mouse did (`mice`), and numbers over mice (`registry`)."""
