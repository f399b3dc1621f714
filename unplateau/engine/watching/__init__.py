"""Watching a training from outside: measures, judges nothing, changes nothing. Judging: `workflows.diagnosing.watch`."""
