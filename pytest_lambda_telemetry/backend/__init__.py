"""The fake intake: what it was sent, and what it answers."""
