"""A real livekit-server, real clients, and all of Rollcall's processes."""
