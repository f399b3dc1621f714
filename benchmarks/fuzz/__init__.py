"""Damaged and hostile inputs for everything that reads what strangers have written."""
