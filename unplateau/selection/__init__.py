"""Which run is best, and how sure that is: statistics on recorded scores, without torch."""
