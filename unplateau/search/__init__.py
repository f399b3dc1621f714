"""The search for hyper-parameters: what may change, what is tried next, where it runs. Trains nothing itself."""
