"""RQ workers: the bell, the drain, the cache that they clear."""
