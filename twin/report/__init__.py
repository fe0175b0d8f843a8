"""Results as lines of text (`tables`), as figures (`figures`) and as one self-contained page (`page`)."""
