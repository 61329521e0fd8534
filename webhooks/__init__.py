"""The Flask application: webhooks come in, statuses go out."""
