"""Cost and correctness against other libraries, measured side by side in one run."""
