"""Probes a training the way an expert would: what they work on, their plan, carrying it out."""
