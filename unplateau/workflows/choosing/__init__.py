"""Which of the runs that are there is best; with fresh seeds where asked."""
