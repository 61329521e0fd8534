"""The domain and its tables: events are folded into facts, facts are viewed as attendance."""
