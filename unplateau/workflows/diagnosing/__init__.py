"""What is known of a training, gathered and judged: from records on disk, or while any loop trains."""
