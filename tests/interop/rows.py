"""Rows that a device meets on a table that it shares: those of every library, and broken ones.

rows(now) returns them by name: (attributes besides the key, what each layout says of it). A layout
that is not named says "foreign".
"""

DAY = 86400


def rows(now):
    """now: epoch seconds."""

    def number(value):
        return {"N": str(value)}

    def text(value):
        return {"S": value}

    java = {
        "ownerName": text("service"),
        "leaseDuration": text("20000"),
        "recordVersionNumber": text("4f7d"),
    }
    go = {
        "owner": text("service"),
        "timestamp": number(now),
        "ttl": number(2592000),
        "deleteOnRelease": {"BOOL": False},
        "isReleased": {"BOOL": False},
        "data": text("a"),
    }
    dlm = {"release_code": text("48d51122fd4d4d408ed3845bfaccf761"), "expires": number(now + 60)}
    chainsaws = {
        "_ptn": text("distributed_lock"),
        "lock_id": text("job"),
        "owner_id": text("service"),
        "expires_at": number(now + 60),
        "last_renewed_at": {"NULL": True},
        "metadata": {"M": {"pid": number(17)}},
    }
    standard = {"standard": "locked", "dynamolock": "locked"}
    return {
        "Java's": (java, standard),
        "dynamolock's": ({**java, "leaseDuration": text("20s")}, standard),
        "DynaLock's": ({"TTL": number(now + 60)}, {"dynalock_py": "locked"}),
        "dynamo-dlm's": (dlm, {"dynamo_dlm": "locked"}),
        "chainsaws'": (chainsaws, {"chainsaws": "locked"}),
        "Go dynalock's": (go, {"dynalock_go": "locked"}),
        "nothing but a key": ({}, {}),
        "Java's without an owner": ({k: java[k] for k in java if k != "ownerName"}, {}),
        "Java's with a numeric version": ({**java, "recordVersionNumber": number(1)}, {}),
        "Java's with a lease of words": ({**java, "leaseDuration": text("soon")}, {}),
        "Java's with a fence of text": ({**java, "fence": text("7")}, {}),
        "DynaLock's with its TTL as a string": ({"TTL": text(str(now + 60))}, {}),
        "DynaLock's with its expired TTL as a string": ({"TTL": text(str(now - 60))}, {}),
        "DynaLock's in milliseconds": ({"TTL": number(now * 1000)}, {}),
        "DynaLock's, over for ten years": ({"TTL": number(now - 3652 * DAY)}, {}),
        "DynaLock's with a duration": ({"TTL": number(2592000)}, {}),
        "DynaLock's in a list": ({"TTL": {"L": [number(now + 60)]}}, {}),
        "dynamo-dlm's without expiry": ({"release_code": dlm["release_code"]}, {}),
        "dynamo-dlm's in milliseconds": ({**dlm, "expires": number(now * 1000)}, {}),
        "dynamo-dlm's expiry as a boolean": ({**dlm, "expires": {"BOOL": True}}, {}),
        "dynamo-dlm's with its expiry as a string": ({**dlm, "expires": text(str(now - 60))}, {}),
        "dynamo-dlm's, over for ten years": ({**dlm, "expires": number(now - 3652 * DAY)}, {}),
        "chainsaws' in milliseconds": ({**chainsaws, "expires_at": number(now * 1000)}, {}),
        "chainsaws', over for ten years": (
            {**chainsaws, "expires_at": number(now - 3652 * DAY)},
            {},
        ),
        "chainsaws' without expiry": (
            {k: chainsaws[k] for k in chainsaws if k != "expires_at"},
            {},
        ),
        "chainsaws' with its expiry as a string": ({**chainsaws, "expires_at": text("1")}, {}),
        "Go dynalock's with isReleased S": ({**go, "isReleased": text("true")}, {}),
        "Go dynalock's without an owner": ({k: go[k] for k in go if k != "owner"}, {}),
        "Go dynalock's, released, without an owner": (
            {"isReleased": {"BOOL": True}, "data": text("")},
            {},
        ),
    }


def free_rows(now):
    """What each layout may take: (attributes, the layout)."""
    return {
        "Java's, released": (
            {
                "ownerName": {"S": "service"},
                "leaseDuration": {"S": "20000"},
                "recordVersionNumber": {"S": "4f7d"},
                "isReleased": {"S": "1"},
            },
            "standard",
        ),
        "DynaLock's, over for an hour": ({"TTL": {"N": str(now - 3600)}}, "dynalock_py"),
        "dynamo-dlm's, over for an hour": (
            {"release_code": {"S": "48d5"}, "expires": {"N": str(now - 3600)}},
            "dynamo_dlm",
        ),
        "chainsaws', released": (
            {
                "_ptn": {"S": "distributed_lock"},
                "owner_id": {"S": "service"},
                "expires_at": {"N": str(now)},
                "last_renewed_at": {"N": str(now)},
            },
            "chainsaws",
        ),
        "Go dynalock's, released": (
            {
                "owner": {"S": "service"},
                "timestamp": {"N": str(now)},
                "ttl": {"N": "2592000"},
                "deleteOnRelease": {"BOOL": False},
                "isReleased": {"BOOL": True},
                "data": {"S": "a"},
            },
            "dynalock_go",
        ),
    }
