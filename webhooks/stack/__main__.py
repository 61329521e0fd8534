"""`python -m webhooks.stack`: every process of the Procfile together, on one machine."""

from webhooks.stack.processes import main

if __name__ == "__main__":
    main()
