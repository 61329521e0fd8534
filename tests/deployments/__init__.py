"""`make deployments`: a recorded class on every pair of a database and a Redis that people use."""
