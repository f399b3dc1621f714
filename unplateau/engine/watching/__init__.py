"""Watching a training from outside: measures, judges nothing and changes nothing. Judging: `unplateau.workflows.watch`."""
