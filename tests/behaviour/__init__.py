"""A running environment over real sockets, as extensions and tests see it; and each room's own classes in a folder."""
