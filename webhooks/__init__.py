"""The web: the receiver of webhooks, the API, the pages and the commands."""
