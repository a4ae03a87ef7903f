"""Names, variables and child processes by themselves."""
