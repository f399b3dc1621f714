"""Pages from what is on disk: of a run, of several, of a run that trains."""
