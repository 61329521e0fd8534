"""What every request passes: who asks, for what, and how errors are answered."""
