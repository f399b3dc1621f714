"""Kinds of faults by people who knew neither rules nor results, a file a round; each was judged once. See docs/plateaubench.md."""
