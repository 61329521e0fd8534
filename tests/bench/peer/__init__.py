"""The peer: what tutorials build, with honest settings, to be measured beside Rollcall.

Flask on two synchronous gunicorn workers, LiveKit's own receiver, a job of RQ for every event, one
commit a job, PyJWT, and a ten-second cache entry for every person. Nothing is stored before the
webhook is acknowledged; repeated and late events are handled no further than a unique key does.
"""
