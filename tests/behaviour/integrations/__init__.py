"""Each library that is followed or let pass, without an environment."""
