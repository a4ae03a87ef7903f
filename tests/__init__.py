"""All tests, by what they go through: rules/ calls functions, behaviour/ goes over sockets, plugin/ through pytest."""
