"""Kinds of faults by people who knew no rules and no results, a file a round; each was judged once. See docs/plateaubench.md."""
