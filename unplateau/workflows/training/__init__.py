"""One training from request to stopping reason, and several of one recipe."""
