/* What --help prints: at most 24 lines of 79 columns each. */
#include "command.h"

#define TABLE                                                                 \
    "  -t, --table NAME   default: $DYNALOCK_TABLE, or `dynalock`\n"          \
    "  --region, --endpoint, --ca, --key-name, --sort-key-name, --ttl: as "   \
    "in\n"                                                                    \
    "                     `dynalock --help`\n"

#define TALK                                                                  \
    "  -j, --json         for programs\n"                                     \
    "  -q, --quiet        say nothing but errors\n"

#define WAIT                                                                  \
    "  -n, --nonblock     do not wait\n"                                      \
    "  -w, --wait TIME    wait so long (20, 0.5, 500ms, 5m, 2h); else for "   \
    "ever\n"                                                                  \
    "  -E CODE            ends with it if the lock is busy; default: 75\n"    \
    "  -l, --lease TIME   default: 20 s\n"                                    \
    "  --poll TIME        how often a waiter looks; default: 1 s\n"           \
    "  --owner NAME       default: host:process    --sort-key VALUE\n"

const char help_all[] =
    "A lock in a DynamoDB table, around any program.\n"
    "\n"
    "  dynalock run [options] KEY -- COMMAND [ARGUMENT...]\n"
    "  dynalock acquire KEY TOKENFILE, renew TOKENFILE, release TOKENFILE\n"
    "  dynalock status KEY, list, watch KEY, break KEY --if VERSION\n"
    "  dynalock init, doctor\n"
    "\n"
    "`dynalock COMMAND --help` shows the options of each; all have these:\n"
    "  -t, --table NAME   default: $DYNALOCK_TABLE, or `dynalock`\n"
    "  --region NAME      default: $AWS_REGION, $AWS_DEFAULT_REGION\n"
    "  --endpoint URL     default: $AWS_ENDPOINT_URL_DYNAMODB,\n"
    "                     $AWS_ENDPOINT_URL, or the region's, over TLS\n"
    "  --ca FILE          default: $AWS_CA_BUNDLE, $SSL_CERT_FILE, the "
    "host's\n"
    "  --key-name NAME    the partition key's; default: key\n"
    "  --sort-key-name NAME, --ttl NAME     if the table has such "
    "attributes\n" TALK "\n"
    "It ends with: 64 usage; 65, 66 token file; 69 network, service, table;\n"
    "71 system; 73 cannot create; 75 busy; 76 clock or TLS; 77 credentials;\n"
    "79 lost; 126, 127 as a shell; 128 + N signal N; else as COMMAND.\n";

const char help_run[] =
    "dynalock run [options] KEY -- COMMAND [ARGUMENT...]\n"
    "dynalock run [options] KEY -c 'COMMAND FOR SH'\n"
    "Holds the lock while the command runs, and ends as it does. If the lock\n"
    "is lost, or cannot be renewed, the command is ended before the lease "
    "is.\n" WAIT "  --grace TIME       from TERM to the end of the lease; "
    "default: lease/4\n"
    "  --on-lost kill|warn|signal:NAME      default: kill (TERM, then KILL)\n"
    "  --lost-exit-code CODE                default: 79\n"
    "  --foreground       no process group of its own\n" TABLE TALK
    "The command finds DYNALOCK_KEY, _TABLE, _OWNER, _FENCE, _LEASE_MS and\n"
    "_DEADLINE (of the first lease; ms on CLOCK_BOOTTIME) in its "
    "environment.\n";

const char help_acquire[] =
    "dynalock acquire [options] KEY TOKENFILE\n"
    "Takes the lock, leaves TOKENFILE to renew and release it by, and prints\n"
    "the fence. Nobody renews it: give a lease that is long enough.\n" WAIT
        TABLE TALK;

const char help_renew[] =
    "dynalock renew [options] TOKENFILE\n"
    "Begins the lease anew. The fence, which it prints, is a higher one.\n"
    "  -l, --lease TIME   default: as it was\n"
    "  --lost-exit-code CODE                default: 79\n" TABLE TALK;

const char help_release[] = "dynalock release [options] TOKENFILE\n"
                            "Gives the lock back and removes TOKENFILE.\n"
                            "  --lost-exit-code CODE    if it was lost; "
                            "default: 79\n" TABLE TALK;

const char help_status[] =
    "dynalock status [options] KEY\n"
    "Shows who holds a lock. Whether the holder is alive, one look cannot\n"
    "tell: see `dynalock watch`.\n"
    "  --sort-key VALUE\n" TABLE TALK;

const char help_list[] = "dynalock list [options]\n"
                         "Shows all locks of the table. It needs the right "
                         "dynamodb:Scan.\n" TABLE TALK;

const char help_watch[] =
    "dynalock watch [options] KEY\n"
    "Follows a lock, and counts down for how long a holder that says nothing\n"
    "can keep it at most.\n"
    "  --poll TIME        how often it looks; default: 1 s\n"
    "  --sort-key VALUE\n" TABLE TALK;

const char help_break[] =
    "dynalock break [options] KEY --if VERSION\n"
    "Gives back somebody else's lock by force, if it still has the version\n"
    "that `dynalock status` has shown. ITS HOLDER IS ROBBED, and learns of "
    "it\n"
    "at its next renewal only: break what is known to be dead.\n"
    "  --sort-key VALUE\n" TABLE TALK;

const char help_init[] =
    "dynalock init [options]\n"
    "Creates the table, if it is not there, and prints the policy that users\n"
    "of the locks need.\n"
    "  --policy           only print the policy\n" TABLE TALK;

const char help_doctor[] =
    "dynalock doctor [options]\n"
    "Looks at the clock, the network, TLS, the credentials and the table, "
    "one\n"
    "after the other, and says what to mend.\n" TABLE TALK;
