"""The environment for those without pytest: one process, one environment at a time, controlled over HTTP."""
