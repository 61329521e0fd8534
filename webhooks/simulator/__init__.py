"""A LiveKit double: what a server's webhook side would send, by LiveKit's rules."""
