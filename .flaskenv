FLASK_APP=webhooks.cli
