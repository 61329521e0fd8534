"""What the tables say together: which facts a session has, and who may see them."""
