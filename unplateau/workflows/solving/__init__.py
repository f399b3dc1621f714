"""From a diagnosis to solutions, trying them, and the one to keep."""
