#!/usr/bin/python3
"""Plants one fault at a time in a copy of dynalock.h; the simulator must notice: `make mutants`.

    tests/mutants.py [WORD...]      only those whose name has one of the words

A fault is a list of replacements in the header's text; white space counts for nothing. One that no
longer fits, does not compile or survives fails the run. So does a control that is killed: the
header as it is, and harmless changes that a fault builds upon. The last line is
`N passed, N failed`.

Not here, because proved harmless (each was tried, and ran through its worlds unnoticed):

    own_on, fbind, seenf alone   an acquisition's number has the owner's name and the clocks hashed
                                 in: two never share one. They are planted together with WEAK,
                                 which leaves only the entropy; WEAK alone is a control.
    fbind of a renewal alone     a late renewal of an earlier hold with the same number can only make the
                                 present one expire, with WEAK too; replaced by one that asks for
                                 neither fence, owner nor number.
"""

import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUT = ROOT / "build/mutants"
SOURCES = sorted((ROOT / "tests/simulation").glob("*.c"))
DEVICE = ROOT / "tests/simulation/device.c"  # the one with the implementation
FLAGS = "-std=c99 -D_DEFAULT_SOURCE= -O2 -w".split()
SECONDS = 200  # the longest one world may run

ROUGH = "loss,delay,repeat,crash,pause,drift,throttle,sorted"
MIXED = f"--runs 120 --seed 1 --world {ROUGH},stale,tick"
CALM = "--runs 10 --seed 1 --world calm"
EDGE = "--runs 60 --seed 1 --world edge"
TICKS = "--runs 60 --seed 1 --world edge,tick --tick 101"
LEASES = "--runs 150 --seed 1 --world shorten,loss,delay,crash,pause"
REPEAT = "--runs 100 --seed 1 --world repeat,delay"
JUMPS = "--runs 60 --seed 1 --world jump,crash,loss"
TTLS = "--runs 25 --seed 1 --world ttl,crash,loss"
LONELY = "--runs 60 --seed 1 --devices 2 --world ttl"
TIDY = "--runs 60 --seed 1 --world tidy,jump,loss"
ODD = "--runs 120 --seed 1 --world ttl,odd,jump,loss"
STALE = "--runs 60 --seed 1 --world stale,crash,loss"
SHORT = "--runs 20 --seed 1 --world short"
SAVED = "--runs 150 --seed 1 --world blob,twin,crash,loss,delay,repeat"
SAME = "--runs 60 --seed 1 --world same,crash,loss,delay,repeat"
MANY = "--runs 60 --seed 1 --world many,loss,delay,crash,pause"
POOR = "--runs 400 --seed 1 --world weak,loss,delay,repeat,crash,pause"

GROUPS = "--runs 80 --seed 1 --world group,loss,delay,repeat,crash,pause,throttle"
SOURCES_FAIL = "--runs 12 --seed 1 --world credentials"
SOURCES_ROUGH = "--runs 12 --seed 1 --world credentials,loss,delay,throttle,many"
# With a seed in which keys run out while a connection is being opened.
SOURCES_CUT = "--runs 6 --seed 48 --world credentials,loss,delay,throttle"

GROUP_EDITED = "--runs 20 --seed 1 --world group,operator,loss,delay"
BROKEN = "--runs 20 --seed 1 --world operator,loss,delay"
CLOSED = "--runs 20 --seed 1 --world crash,pause,loss,many"
DYNAMOLOCK = "--runs 30 --seed 1 --world dynamolock"
DYNALOCK_PY = "--runs 40 --seed 1 --world dynalock-py"
DLM = "--runs 30 --seed 1 --world dlm"
DLM1 = "--runs 30 --seed 1 --world dlm1"
DYNALOCK_GO = "--runs 40 --seed 1 --world dynalock-go"
GO_HIDES = "--runs 40 --seed 1 --world dynalock-go,hide,repeat,delay"

# Devices know each other's acquisitions, as far as their entropy is poor.
WEAK = [
    ("dl_sha256_update(&sha, &seed, sizeof seed);", "dl_sha256_update(&sha, seed.bytes, 1);"),
    ("dl_sha256_text(&sha, client->config.owner);", ""),
]

# A clock of coarse steps, which the header allows for. A lease's watch (2020 ms)
# is 20 of them: steps that do not divide it lengthen it for nothing.
COARSE = [("#define DYNALOCK_CLOCK_STEP_MS 10", "#define DYNALOCK_CLOCK_STEP_MS 101")]

# name, replacements, worlds
CONTROLS = [
    ("clocks of coarse steps", COARSE, (TICKS,)),
    (
        "nothing",
        [],
        (CALM, MIXED, EDGE, LEASES, REPEAT, JUMPS, TTLS, LONELY, TIDY, ODD, STALE, SHORT, SAVED)
        + (SAME, MANY, POOR, GROUPS, GROUP_EDITED, BROKEN, CLOSED)
        + (DYNAMOLOCK, DYNALOCK_PY, DLM, DLM1, DYNALOCK_GO, GO_HIDES)
        + (SOURCES_FAIL, SOURCES_ROUGH, SOURCES_CUT),
    ),
    ("acquisitions from poor entropy alone", WEAK, (POOR,)),
]

MUTANTS = [
    # ---- the rules of the protocol ----
    (
        "own_on: an own copy need not be of this owner",
        WEAK
        + [
            (
                'DL_OWNER "=:o AND " DL_VERSION " BETWEEN :a AND :z"',
                '"[B" DL_OWNER "=:o AND ]" DL_VERSION " BETWEEN :a AND :z"',
            )
        ],
        (POOR,),
    ),
    (
        "fbind: a renewal asks for nothing but that somebody holds",
        [
            ('"[E AND " DL_FENCE "=:f AND "', '"[E AND :f=:f AND "'),
            (
                'DL_OWNER "=:o AND " DL_VERSION " BETWEEN :a AND :z"',
                '"[E:o=:o AND :a<:z][F" DL_OWNER "=:o AND " DL_VERSION " BETWEEN :a AND :z]"',
            ),
        ],
        (MIXED,),
    ),
    (
        "fbind: a release does not ask for its fence",
        WEAK + [('"[G AND " DL_FENCE "<=:f]"', '""')],
        (POOR,),
    ),
    (
        "seenf: the fence that was seen does not count",
        WEAK
        + [
            (
                'DL_VERSION "=:w AND [V" DL_FENCE "=:v][U" DL_IS_MISSING "(" DL_FENCE ")]"',
                'DL_VERSION "=:w[V AND " DL_FENCE "<>:w AND :v=:v]"',
            ),
            ("lock->watch_fence == item->fence &&", ""),
        ],
        (POOR,),
    ),
    (
        "relf: a release writes no fence",
        [('[F," DL_FENCE', '[A," DL_FENCE')],
        (REPEAT, MIXED),
    ),
    (
        "own_ccf: a write that was repeated is not known as one's own",
        [("return DL_WHOSE_WRITE;", "return DL_WHOSE_OTHER;")],
        (REPEAT,),
    ),
    (
        "own_poll: a waiter waits for its own late write",
        [("(item->kind != DL_ITEM_LIVE || whose != DL_WHOSE_OTHER ||",
          "(item->kind != DL_ITEM_LIVE ||")],
        (REPEAT, MIXED),
    ),
    (
        "ttl_fix: a device without TTL leaves the one it finds",
        [
            (
                "if (config->ttl_attribute == NULL) return 0;",
                "if (config->ttl_attribute == NULL || config->no_ttl) return 0;",
            )
        ],
        (LONELY,),
    ),
    (
        "tickfix: nothing is allowed for the clock's step",
        COARSE + [("return margin + DYNALOCK_CLOCK_STEP_MS;", "return margin;")],
        (TICKS,),
    ),
    (
        "short_min: a shorter lease counts only when it is answered",
        [("lock->until = dl_least(lock->until, client->now + dl_usable(client, "
          "lock->sent_lease_ms));", "")],
        (LEASES,),
    ),
    (
        "memobs: a watch is forgotten with every call",
        [("lock->counter = 0; lock->token = 0;",
          "lock->counter = 0; lock->token = 0; lock->claim = NULL;")],
        (SHORT,),
    ),
    (
        "stale_ok: an older record restarts the watch",
        [("return dl_is_older(lock, item) ||", "return")],
        (STALE,),
    ),
    (
        "R1: a restored lock goes on with the saved acquisition",
        [("lock->counter = 0; lock->token = 0;",
          "lock->counter = 0x1000; lock->token = 0;"),
         ("dl_copy(lock->acquisition, seed.bytes, sizeof lock->acquisition);",
          "if (lock->claim != dl_previous) dl_copy(lock->acquisition, seed.bytes, 16);")],
        (SAVED,),
    ),
    (
        "tidy without its hour",
        [("#define DL_TIDY_AGE_MS 3600000u", "#define DL_TIDY_AGE_MS 0u")],
        (TIDY,),
    ),
    (
        "no margin for clocks",
        [("return margin + DYNALOCK_CLOCK_STEP_MS;", "return 0 * margin;")],
        (EDGE,),
    ),
    (
        "the fence need not rise",
        [('"<:f) AND (', '"<:f OR :f<=" DL_FENCE ") AND (')],
        (MIXED,),
    ),
    # ---- the code's own ----
    (
        "the lease counts from the answer",
        [("lock->base + dl_usable(client, lock->sent_lease_ms)",
          "client->now + dl_usable(client, lock->sent_lease_ms)")],
        (EDGE, MIXED),
    ),
    (
        "renewals do not raise the counter",
        [("lock->counter++; lock->base",
          "if (lock->operation.state == DL_LOCK_ACQUIRE) lock->counter++; lock->base")],
        (MIXED,),
    ),
    (
        "a fence without a clock",
        [("lock->fence = lock->operation.client->exchange.unix_ms;", "lock->fence = 1;")],
        (TTLS,),
    ),
    (
        "a release forgets the fence, as deletion does",
        [
            ('[F," DL_FENCE "=:f]', '[A," DL_FENCE "=:f]'),
            (
                '"[B[N REMOVE #d[R,#t]][I REMOVE #t]]"',
                '"[G REMOVE " DL_FENCE "[N,#d[R,#t]][I,#t]]"'
                '"[E[N REMOVE #d[R,#t]][I REMOVE #t]]"',
            ),
        ],
        (JUMPS,),
    ),
    (
        "delete_on_release deletes at once",
        [("s + client->config.ttl_s",
          "s + (lock->operation.state == DL_LOCK_RELEASE ? 0 : client->config.ttl_s)")],
        (ODD,),
    ),
    (
        "a watch is cut short",
        [("return lease_ms + dl_margin(client, lease_ms);",
          "return lease_ms / 10 * 9;")],
        (EDGE, MIXED),
    ),
    (
        "a watch starts before the answer is read",
        [("client->now = dl_now(client); /* a watch starts after the answer came */", "")],
        (EDGE, MIXED),
    ),
    (
        "a watch starts when the look is sent",
        [("lock->watch_since = client->now +",
          "lock->watch_since = client->exchange.deadline - client->config.request_ms +")],
        (EDGE, MIXED),
    ),
    (
        "the wall clock measures leases",
        [("return platform->monotonic_ms(platform->context);",
          "return (uint64_t)platform->unix_ms(platform->context);")],
        (JUMPS,),
    ),
    (
        "the learnt skew moves leases",
        [("return platform->monotonic_ms(platform->context);",
          "return platform->monotonic_ms(platform->context) + (uint64_t)client->skew_ms;")],
        (JUMPS,),
    ),
    (
        "a late answer is taken for the next request's",
        [("if (exchange->state != DL_EXCHANGE_READY) dl_exchange_close(client);",
          "if (outcome == DYNALOCK_NO_ANSWER && exchange->state == DL_EXCHANGE_RECEIVE)"
          " exchange->state = DL_EXCHANGE_READY;"
          " if (exchange->state != DL_EXCHANGE_READY) dl_exchange_close(client);"),
         ("client->stream(DL_STREAM_IS_STALE).is_stale(client)", "0")],
        (MIXED, EDGE),
    ),
    (
        "a renewal goes on after the release began",
        [("if (renewing) operation->state = DL_LOCK_LEAVE;",
          "if (renewing) { operation->state = DL_LOCK_RENEW; operation->outcome = DYNALOCK_OK; }")],
        (MIXED,),
    ),
    (
        "a released lock is held on",
        [("lock->until = 0; lock->memory = 0; lock->ending",
          "lock->memory = 0; lock->ending")],
        (MIXED,),
    ),
    (
        "a lock that was lost is written to",
        [("lock->until = 0; DL_LOG(lock->operation.client, DYNALOCK_LOG_LOST,"
          " lock->operation.name.key); dl_finish(&lock->operation, outcome);",
          "lock->until = 0; lock->operation.outcome = outcome; lock->ending = outcome;"
          " dl_release_begin(lock); dl_settle(lock);")],
        (MIXED,),
    ),
    (
        "a wait has no end",
        [("if (wait_ms != 0) return client->now + wait_ms;",
          "if (wait_ms != 0) return client->now + 10 * (uint64_t)wait_ms;")],
        (MIXED,),
    ),
    (
        "a saved lock is taken over whoever has it now",
        [('DL_OWNER "=:o AND " DL_VERSION " BETWEEN :b AND :e"',
          'DL_OWNER "=:o AND :b < :e"')],
        (SAVED,),
    ),
    (
        "what was restored entitles for ever",
        [("lock->claim = NULL; /* as far as renewals are asked for */",
          "/* as far as renewals are asked for */"),
         ("if (item->kind != DL_ITEM_LIVE) { lock->claim = NULL; return; }",
          "if (item->kind != DL_ITEM_LIVE) return;"),
         ("if (lock->claim != NULL && lock->claim(lock, item) != NULL) return;",
          "if (lock->claim != NULL && lock->claim != dl_watched) return;")],
        (SAVED, SAME),
    ),
    (
        "a close tells of a loss that is none",
        [("expired = operation->client->now >= lock->until;", "expired = 1;")],
        (CLOSED,),
    ),
    (
        "a break asks for no version",
        [('DL_VERSION "=:r AND NOT "', '":r=:r AND NOT "')],
        (BROKEN,),
    ),
    (
        "a break of what goes on is told as done",
        [("? DYNALOCK_OK : DYNALOCK_KEPT);", "? DYNALOCK_OK : DYNALOCK_OK);")],
        (BROKEN,),
    ),
    # ---- several locks at once ----
    (
        "the token resent: a transaction's repetition is the same call",
        [
            (
                "dl_number_request(lock); dl_prepare_acquire(lock); lock->memory |= DL_UNANSWERED;",
                "if (lock->counter == 0) { dl_number_request(lock); dl_prepare_acquire(lock); }"
                " else lock->base = operation->client->now; lock->memory |= DL_UNANSWERED;",
            ),
            (
                'dl_put_text(sink, "]}");',
                'dl_put_text(sink, "],\\"ClientRequestToken\\":\\"");'
                " dl_put_hex(sink, group->locks[0]->acquisition, 16);"
                ' dl_put_text(sink, "\\"}");',
            ),
        ],
        (GROUPS,),
    ),
    (
        "a group is granted although one lock was refused",
        [("if (reason == 'C') {",
          "if (reason == 'C' && group->at != 0) { dl_group_grant(group); return; }"
          " if (reason == 'C') {")],
        (GROUPS,),
    ),
    (
        "a group's requests are not numbered anew",
        [("dl_number_request(lock); dl_prepare_acquire(lock); lock->memory |= DL_UNANSWERED;",
          "if (lock->counter == 0) dl_number_request(lock); lock->base = operation->client->now;"
          " dl_prepare_acquire(lock); lock->memory |= DL_UNANSWERED;")],
        (GROUPS,),
    ),
    (
        "a permit that was granted at the last moment is forgotten",
        [("if (granted && why == DL_END_EXPIRED) {", "if (granted && why == 99) {")],
        (GROUPS,),
    ),
    (
        "a line of locks goes on with a part missing",
        [("if (missing != NULL) { outcome", "if (missing == lock) { outcome"),
         ("if (!asks && lock->until == 0) {", "if (!asks && lock->until == 1) {")],
        (GROUP_EDITED,),
    ),
    # ---- other libraries' layouts ----
    (
        "dynamolock: seconds of its lease are taken for milliseconds",
        [("uint32_t part, unit = 1000;", "uint32_t part, unit = 1;")],
        (DYNAMOLOCK,),
    ),
    (
        "dynamolock: our lease has no unit",
        [('dl_put_text(sink, "ms\\"}");', 'dl_put_text(sink, "\\"}");')],
        (DYNAMOLOCK,),
    ),
    (
        "DynaLock: the grace for wall clocks is left out",
        [("#define DL_GRACE_MS 4000", "#define DL_GRACE_MS 0")],
        (DYNALOCK_PY,),
    ),
    (
        "DynaLock: the grace for late leavers is left out",
        [("ms -= DL_GRACE_MS + 1000 + client->config.lock_delay_ms; break;",
          "ms -= DL_GRACE_MS + 1000; break;"),
         ("client->exchange.unix_ms - client->config.lock_delay_ms;", "client->exchange.unix_ms;")],
        (DYNALOCK_PY,),
    ),
    (
        "DynaLock: a renewal brings back what was deleted",
        [('"[E AND " DL_FENCE "=:f][G AND " DL_FENCE "<=:f]" "\',\'ExpressionAttributeNames\':{\'#e\'',
          '"[E AND " DL_FENCE "=:f OR " DL_IS_MISSING "(#e)][G AND " DL_FENCE "<=:f]"'
          ' "\',\'ExpressionAttributeNames\':{\'#e\'')],
        (DYNALOCK_PY,),
    ),
    (
        "dynamo-dlm: our item is over when our hold is",
        [("else ms += lock->sent_lease_ms + DL_GRACE_MS + 1000;", "else ms += lock->sent_lease_ms;")],
        (DLM,),
    ),
    (
        "dynamo-dlm: the condition does not ask for its lease",
        [('"#e BETWEEN :h AND :g[Y OR', '"#e BETWEEN :h AND :g OR :g<#e[Y OR')],
        (DLM1,),
    ),
    (
        "Go dynalock: a grant need not stand",
        [("dl_go_put, dl_go_granted, dl_dynalock_go_owner", "dl_go_put, dl_hold, dl_dynalock_go_owner")],
        (DYNALOCK_GO,),
    ),
    (
        "Go dynalock: a repeated request need not stand",
        [("case DL_LOCK_ACQUIRE: case DL_LOCK_CONFIRM: lock->operation",
          "case DL_LOCK_ACQUIRE: lock->operation")],
        (GO_HIDES,),
    ),
    (
        "Go dynalock: what it holds is taken",
        [('"isReleased=:y AND NOT " DL_IS_MISSING "(#o)"',
          '"(isReleased=:y OR " DL_IS_MISSING "(" DL_VERSION ")) AND NOT " DL_IS_MISSING "(#o)"')],
        (DYNALOCK_GO,),
    ),
    # ---- credentials that are fetched ----
    (
        "a refresh before the renewals",
        [
            ("client->exchange.began >= provider->until",
             "client->exchange.began >= dl_least(provider->until, provider->renew)"),
            ("if (client->now >= provider->until || dl_next_due(client)",
             "if (client->now >= dl_least(provider->until, provider->renew)"
             " || dl_next_due(client)"),
        ],
        (SOURCES_FAIL,),
    ),
    (
        "a refresh however little time is left",
        [("at->deadline < client->now + 2 * budget)", "at->deadline < client->now)")],
        (SOURCES_ROUGH,),
    ),
    (
        "keys are fetched when they have run out, not before",
        [("if (client->now < provider->renew || provider->operation.client != NULL) return;",
          "if (1) return;")],
        (SOURCES_FAIL,),
    ),
    (
        "keys are fetched after every request",
        [("provider->renew = client->now + life - dl_least(early, life / 2);",
          "provider->renew = client->now + 0 * early;")],
        (SOURCES_FAIL,),
    ),
    (
        "keys that were refused are used again",
        [("provider->until = 0; return &provider->credentials;", "return &provider->credentials;")],
        (SOURCES_FAIL,),
    ),
    (
        "a fetch begins on the way to the service",
        [("client->exchange.began >= provider->until", "client->now >= provider->until")],
        (SOURCES_CUT,),
    ),
    (
        "a role is asked for at every refresh",
        [("dl_ec2_role(ec2)[0] != '\\0' ? DL_EC2_KEYS : DL_EC2_ROLE", "DL_EC2_ROLE")],
        (SOURCES_FAIL,),
    ),
]


def patch(text, old, new):
    """Replaces the one place that reads like `old`. None: there are none, or several."""
    pattern = re.compile(r"\s*".join(map(re.escape, re.findall(r"\w+|[^\w\s]", old))))
    places = list(pattern.finditer(text))
    if len(places) != 1:
        return None
    return text[: places[0].start()] + new + text[places[0].end() :]


def compile_object(source, include, target):
    command = ["cc", *FLAGS, f"-I{include}", f"-I{source.parent}", "-c", source, "-o", target]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True)


def compile_rest():
    OUT.mkdir(parents=True, exist_ok=True)
    objects = [(source, OUT / f"{source.stem}.o") for source in SOURCES if source != DEVICE]
    for source, target in objects:
        compile_object(source, ROOT, target).check_returncode()
    return [target for _, target in objects]


def build(name, replacements, objects):
    """Returns the program, or None and what is wrong."""
    text = (ROOT / "dynalock.h").read_text()
    for old, new in replacements:
        text = patch(text, old, new)
        if text is None:
            return None, f"does not fit: {old}"
    folder = OUT / re.sub(r"\W+", "-", name)
    folder.mkdir(exist_ok=True)
    (folder / "dynalock.h").write_text(text)
    result = compile_object(DEVICE, folder, folder / "device.o")
    if result.returncode != 0:
        return None, f"does not compile: {result.stderr[:300]}"
    program = folder / "simulate"
    command = ["cc", folder / "device.o", *objects, "-o", program, "-lcjson", "-lcrypto"]
    subprocess.run(command, check=True)
    return program, ""


def first_violation(program, world):
    command = ["timeout", str(SECONDS), program, *world.split()]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode == 0:
        return None
    lines = result.stdout.splitlines()
    told = [line for line in lines if line.startswith(("VIOLATION", "model:", "a figure"))]
    return told[0] if told else f"ended with {result.returncode}"


def judge(case):
    """Whether it is as it must be, and a line about it."""
    (name, replacements, worlds), must_die, objects = case
    start = time.monotonic()
    program, wrong = build(name, replacements, objects)
    if program is None:
        return False, f"FAILED   {name}: {wrong}"
    found = None
    for world in worlds:
        found = first_violation(program, world)
        if found:
            break
    seconds = time.monotonic() - start
    passed = bool(found) == must_die
    fate = "killed" if found else "survived"
    text = f"{'ok    ' if passed else 'FAILED'} {fate:8} {seconds:5.1f} s  {name}"
    return passed, f"{text}\n           {world}: {found}" if found else text


def main():
    words = sys.argv[1:]
    objects = compile_rest()
    cases = [(case, False, objects) for case in CONTROLS] + [(case, True, objects) for case in MUTANTS]
    if words:
        cases = [case for case in cases if any(word in case[0][0] for word in words)]
    passed = 0
    with concurrent.futures.ThreadPoolExecutor(min(2, os.cpu_count())) as pool:
        for well, text in pool.map(judge, cases):
            print(text, flush=True)
            passed += well
    print(f"{passed} passed, {len(cases) - passed} failed")
    return 0 if passed == len(cases) else 1


if __name__ == "__main__":
    sys.exit(main())
