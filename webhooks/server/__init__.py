"""The web server, granian, and what it needs beside it."""
