"""The JSON that comes in and goes out, declared: what OpenAPI, files and examples are made of."""
