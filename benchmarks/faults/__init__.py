"""Faults injected into real processes: kills, signals, full disks, damaged files; what is promised is looked at after each."""
