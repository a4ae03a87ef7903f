"""The server, the sender and the faults by themselves."""
