"""The hyper-parameter search: trials trained a rung at a time, resumable."""
