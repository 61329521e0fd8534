"""What every process needs: its connections, logs and metrics, and how it stops."""
