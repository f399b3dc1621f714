"""Logs of any trainer, told apart by what is in them; one file per format."""
