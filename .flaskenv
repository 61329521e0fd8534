FLASK_APP=webhooks.cli.commands
