"""The rules, one per file, in the order in which they are asked. A rule's module docstring is its page."""
