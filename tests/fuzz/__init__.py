"""`make fuzz`: hostile and half-right requests over every route, over real HTTP, by a seed."""
