"""What can be found, in English: what was seen, and what to do about it.

The console has each in its languages (webhooks/pages/languages). `{…}` are the values of a check.
"""

from __future__ import annotations

from typing import NamedTuple


class Sentence(NamedTuple):
    """`todo` is empty when all is well."""

    seen: str
    todo: str = ""


def _refused(todo: str) -> Sentence:
    return Sentence("{hour} in the last hour ({named}), {day} in the last day", todo)


_CLOCKS = "run NTP here and on the LiveKit server: their clocks are more than 60 s apart"
_NO_WEBHOOK = Sentence("no webhook has come yet")
_TO_PRIMARY = "name a single primary in REDIS_URL, with cluster mode off"
_REPLICATION = (
    "look at its replication: `SELECT * FROM pg_stat_replication` on the primary, and the standby's"
    " log"
)
_FAILED = "`flask events list --status failed`, mend the cause, `flask events replay`"

SENTENCES: dict[str, Sentence] = {
    "settings.good": Sentence("every variable has a good value"),
    "database.answers": Sentence("{database} answers"),
    "database.down": Sentence(
        "does not answer: {reason}",
        "check DATABASE_URL and the server: does it have this database and user?",
    ),
    "database.encoding": Sentence(
        "{database}'s encoding is {encoding}: events with other letters stay in the spool",
        "make a database with ENCODING 'UTF8' and move what there is into it",
    ),
    "database.read_only": Sentence(
        "{database} is read-only",
        "name the primary in DATABASE_URL (of several hosts: ?target_session_attrs=read-write), or"
        " set default_transaction_read_only off",
    ),
    "database.date_style": Sentence(
        "{database}'s sessions have the DateStyle {style}: nobody can read the times of events",
        "have the pooler in between pass the parameter datestyle on, or run ALTER ROLE … SET"
        " datestyle = 'ISO, MDY'",
    ),
    "migrations.newest": Sentence("newest"),
    "migrations.ahead": Sentence("newer than this code", "deploy the code that migrated it"),
    "migrations.behind": Sentence(
        "not the newest", "run `alembic upgrade head` (the Procfile's release)"
    ),
    "pending.few": Sentence("{count} waiting, the oldest for {seconds} s"),
    "pending.old": Sentence(
        "{count} waiting, the oldest for {seconds} s", "are workers and the scheduler running?"
    ),
    "failed.none": Sentence("0 failed"),
    "failed.some": Sentence("{count} failed", _FAILED),
    "failed.again": Sentence("{count} failed, {again} of them again after a replay", _FAILED),
    "unreadable.none": Sentence("0 in the last day, {count} in all"),
    "unreadable.lately": Sentence(
        "{lately} in the last day, {count} in all",
        "`flask events list --status unreadable` says what was not understood",
    ),
    "clock.none": _NO_WEBHOOK,
    "clock.close": Sentence(
        "webhooks arrive {seconds} s after LiveKit's clock says they were sent"
    ),
    "clock.apart": Sentence(
        "webhooks arrive {seconds} s after LiveKit's clock says they were sent",
        "run NTP here and on the LiveKit server: tokens are refused from 60 s on",
    ),
    "received.none": _NO_WEBHOOK,
    "received.last": Sentence("the last webhook was accepted {seconds} s ago"),
    "standby.none": Sentence("READ_DATABASE_URL is not set: the primary answers everything"),
    "standby.answers": Sentence("answers rosters and exports, {seconds} s behind the primary"),
    "standby.down": Sentence(
        "does not answer ({reason}): the primary answers instead",
        "check READ_DATABASE_URL and the standby",
    ),
    "standby.primary": Sentence(
        "is no standby, it takes writes: rosters and exports come from DATABASE_URL",
        "name a standby in READ_DATABASE_URL (of several hosts: ?target_session_attrs=standby)",
    ),
    "standby.other": Sentence(
        "is a standby of another server than DATABASE_URL's, which answers instead",
        "name a standby of that server in READ_DATABASE_URL",
    ),
    "standby.rights": Sentence(
        "its user may not read the tables: the primary answers instead",
        "run `GRANT pg_read_all_data TO …` on the primary for the user of READ_DATABASE_URL",
    ),
    "standby.migrations": Sentence(
        "its migrations are not those of this code: the primary answers instead", _REPLICATION
    ),
    "standby.behind": Sentence(
        "is {seconds} s behind the primary, which answers instead", _REPLICATION
    ),
    "standby.empty": Sentence(
        "has replayed nothing since it started, and lacks something: the primary answers instead",
        _REPLICATION,
    ),
    "redis.works": Sentence("writes, reads and runs scripts"),
    "redis.down": Sentence(
        "does not answer ({reason}): slower, nothing is lost", "check REDIS_URL and the server"
    ),
    "redis.cluster": Sentence("is a cluster, on which RQ's queues do not run", _TO_PRIMARY),
    "redis.replica": Sentence("is a replica, which takes no writes", _TO_PRIMARY),
    "redis.full": Sentence(
        "{reason}",
        "give it more memory (maxmemory): statuses are slower, and nothing can be spooled",
    ),
    "redis.rights": Sentence(
        "{reason}", "give the user of REDIS_URL the rights that docs/operating.md lists"
    ),
    "redis.fails": Sentence("{reason}", "look into the log of Redis"),
    "eviction.hidden": Sentence("this user may not ask for it"),
    "eviction.never": Sentence("maxmemory-policy is noeviction"),
    "eviction.some": Sentence(
        "maxmemory-policy is {policy}",
        "set maxmemory-policy to noeviction: jobs and spooled events may be thrown away",
    ),
    "refused.none": Sentence("0 in the last hour, {day} in the last day"),
    "refused.strangers": _refused(""),
    "refused.unknown_key": _refused(
        "put the API key {issuer} and its secret into LIVEKIT_KEYS, or have LiveKit sign with a key"
        " that is configured here"
    ),
    "refused.signature": _refused(
        "the secret of the API key {issuer} is another one here than at LiveKit: mend it"
    ),
    "refused.expired": _refused(_CLOCKS),
    "refused.not_yet_valid": _refused(_CLOCKS),
    "refused.too_large": _refused("raise MAX_BODY_BYTES"),
    "refused.other_body": _refused(
        "a proxy in between changes bodies: have it pass their bytes on"
    ),
    "refused.wrong_path": _refused(
        "LiveKit posts its webhooks to a path where nobody takes them: have the URL of the webhooks"
        " end in /webhooks/livekit"
    ),
    "spool.empty": Sentence("empty"),
    "spool.waits": Sentence("keeps {count} events until the database is back"),
    "spool.left": Sentence(
        "{count} events in Redis that are not in the database, which is up",
        "a web process copies them within seconds; else its log says why (spool.waiting,"
        " spool.refused)",
    ),
    "spool.hindered": Sentence(
        "{count} events in Redis that the database, which is up, does not take: {reason}",
        "mend what the database says: web processes copy them within seconds then",
    ),
    "spool.unreadable": Sentence(
        "{count} entries of the stream rollcall:spool in Redis can't be read, first {entry}",
        "look at it: `redis-cli XRANGE rollcall:spool {entry} {entry}`; a newer version may read"
        " it, and `redis-cli XDEL rollcall:spool {entry}` removes what is no event",
    ),
    "workers.alive": Sentence("{count} alive"),
    "workers.none": Sentence("0 alive", "start the Procfile's `worker`"),
    "scheduler.alive": Sentence("{count} alive"),
    "scheduler.none": Sentence("0 alive", "start the Procfile's `scheduler`"),
    "outside.none": Sentence("no visit of the last day was outside of the classes of its room"),
    "outside.some": Sentence(
        "{count} visits of the last day began outside of every class of a room that has classes"
        " ({named}): is a class registered for another time?"
    ),
    "naming.none": Sentence("no room names a session that is registered for other rooms"),
    "naming.ignored": Sentence(
        "{count} rooms of the last day name a session that is registered for other rooms, and are"
        " not in it ({named})",
        "put the room into the session's `rooms`, or find out who sets the room's metadata",
    ),
    "ghosts.none": Sentence("nobody is inside only because LiveKit's API lists them"),
    "ghosts.some": Sentence(
        "{count} people are inside only because LiveKit's API has listed them for two hours, in"
        " rooms where nothing else happened ({named})",
        "if they are gone, join that room once and leave it: LiveKit then forgets them",
    ),
    "deliveries.none": Sentence("ATTENDANCE_WEBHOOK_URL is not set: nobody is told what is final"),
    "deliveries.good": Sentence("{failed} failed, {pending} waiting"),
    "deliveries.failed": Sentence(
        "{failed} failed, the oldest was made {hours} h ago; {pending} waiting",
        "mend the receiver: `flask deliveries list --status failed`, as the list in /ops, says what"
        " it answered; then `flask deliveries send`",
    ),
    "deliveries.late": Sentence(
        "{pending} waiting, the oldest should have been sent {seconds} s ago; {failed} failed",
        "are `worker` and `scheduler` running, each with ATTENDANCE_WEBHOOK_URL?",
    ),
    "deliveries.unset": Sentence(
        "{pending} waiting, but ATTENDANCE_WEBHOOK_URL is not set here: nobody sends them",
        "set it again, for all processes; a receiver that is not wanted any more needs nothing:"
        " this line goes after a week",
    ),
    "deliveries.unseen": Sentence(
        "a session might have been looked at {seconds} s ago, and was not; {failed} failed,"
        " {pending} waiting",
        "are `worker` and `scheduler` running, each with ATTENDANCE_WEBHOOK_URL? The log of"
        " `worker` says why a look failed: `final.unknown`, `job.failed`",
    ),
    "deliveries.unreadable": Sentence(
        "{count} sessions can't be read, so nobody is told that they are final ({named}); {failed}"
        " failed, {pending} waiting",
        "the log of `worker` says why: `final.unreadable`. Each is looked at again, within six"
        " hours",
    ),
    "livekit.answers": Sentence("answers, {count} rooms open"),
    "livekit.down": Sentence("does not answer ({reason})", "check LIVEKIT_URL and the key"),
}
"""By finding: what was looked at, and what was found there."""
