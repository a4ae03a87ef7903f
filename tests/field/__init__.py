"""Small extensions with one mistake each, and their sound twins: what a test must say without an assertion."""
