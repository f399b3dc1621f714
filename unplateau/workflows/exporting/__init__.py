"""A run's best model as files for others, checked before they are kept."""
