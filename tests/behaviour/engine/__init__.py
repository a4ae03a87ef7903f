"""The engine's own classes."""
