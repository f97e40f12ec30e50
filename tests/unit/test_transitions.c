/*
The transition tables in dynalock.h are comments; this holds them against what
the code does. A lock and its exchange are driven through some thousand random
calls and faults while every hook notes the states: each move must stand in
the table, and each row of the table must have happened.
*/
#include "tables.h"

static world w;
static dynalock_lock lock;
static uint8_t lock_moves[WORLD_STATES][WORLD_STATES];
static uint8_t exchange_moves[WORLD_STATES][WORLD_STATES];
static uint8_t table_moves[WORLD_STATES][WORLD_STATES];
static uint8_t ask_moves[WORLD_STATES][WORLD_STATES];

static const char *const lock_states[] = { "FREE", "ACQUIRE", "CONFIRM",
    "WATCH", "HOLD", "RENEW", "CHECK", "LEAVE", "RELEASE", NULL };
static const char *const ask_states[] = { "IDLE", "OPEN", "SEND", "RECEIVE",
    NULL };
static const char *const exchange_states[] = { "CLOSED", "OPEN", "SEND",
    "RECEIVE", "READY", NULL };

static const char *const table_states[] = { "FREE", "LOOK", "CREATE", "TTL",
    "SET", NULL };

/* ---- a random life ---- */

static uint32_t draw(uint32_t below)
{
    static uint32_t x = 2463534242u;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x % below;
}

static void draw_faults(void)
{
    size_t i;

    memset(w.faults, 0, sizeof w.faults);
    w.fault_at = 0;
    if (draw(2) == 0) return;
    for (i = 0; i < 1 + draw(6); i++)
        w.faults[i] = (enum world_fault)(1 + draw((uint32_t)FAULT_CLOSE_IDLE));
}

/* What others do to the item. */
static void meddle(void)
{
    switch (draw(12)) {
    case 0: world_hold(&w, "r1", "3000"); break;
    case 1: w.item.exists = 0; break;
    case 2: w.item.released = 1; break;
    case 3:
        world_hold(&w, "r2", "3000");
        w.item.has_fence = 1;
        w.item.fence = 9000000000000ull + draw(1000);
        w.item.released = draw(2) == 0;
        break;
    default: break;
    }
}

static void act(void)
{
    dynalock_outcome rc = DYNALOCK_OK;

    switch (draw(8)) {
    case 0:
    case 1:
    case 2:
        rc = dynalock_start_acquire(&w.client, &lock, draw(3) * 4000);
        break;
    case 3: rc = dynalock_start_renew(&w.client, &lock); break;
    case 4:
    case 5: rc = dynalock_start_release(&w.client, &lock); break;
    case 6:
        if (draw(3) == 0) dynalock_cancel(&w.client, &lock.operation);
        break;
    default: w.now += draw(2) == 0 ? 20000 : 0; break;
    }
    (void)rc;
    world_look(&w);
}

static void live(void)
{
    int i;

    world_begin(&w);
    w.config.manual_renew = draw(4) == 0;
    world_ready(&w, &lock);
    w.never_item = draw(2) == 0;
    for (i = 0; i < 40; i++) {
        w.latency = draw(3) == 0 ? draw(3000) : 0;
        w.refuse = draw(20) == 0;
        if (draw(30) == 0) w.fail_at = w.hook_calls + draw(9);
        draw_faults();
        meddle();
        act();
        world_run(&w, draw(3) == 0 ? draw(5000) : draw(60));
    }
    (void)dynalock_client_close(&w.client, draw(2000));
    world_look(&w);
    assert_int_equal(w.opens, w.closes);
}

/* A table of any state and shape, and a call that looks at it or makes it. */
static void draw_table(void)
{
    static const char *const states[] = { NULL, "ACTIVE", "CREATING",
        "DELETING" };

    tables_begin(&w);
    service.status = states[draw(4)];
    service.looks = (int)draw(3);
    if (draw(4) == 0) service.key = "id";
    if (draw(3) == 0) service.ttl_status = "ENABLED";
    service.ttl = draw(2) == 0 ? "expires" : "other";
}

static void live_with_a_table(void)
{
    static dynalock_table table;
    dynalock_outcome rc;
    int i;

    world_begin(&w);
    if (draw(3) != 0) w.config.ttl_attribute = "expires";
    world_ready(&w, &lock);
    memset(&table, 0, sizeof table);
    w.table = &table.operation;
    for (i = 0; i < 6; i++) {
        w.latency = draw(3) == 0 ? draw(6000) : 0;
        draw_faults();
        draw_table();
        if (draw(3) == 0)
            rc = dynalock_start_table_check(&w.client, NULL, &table);
        else
            rc = dynalock_start_table_create(
                &w.client, NULL, &table, draw(2) * 20000);
        (void)rc;
        world_run(&w, draw(3) == 0 ? draw(5000) : draw(60));
        if (draw(8) == 0) dynalock_cancel(&w.client, &table.operation);
    }
    (void)dynalock_client_close(&w.client, 0);
    world_look(&w);
    assert_int_equal(w.opens, w.closes);
    assert_int_equal(table.operation.state, 0);
}

static void add_moves(
    uint8_t to[WORLD_STATES][WORLD_STATES], uint8_t from[][WORLD_STATES])
{
    size_t i, j;

    for (i = 0; i < WORLD_STATES; i++)
        for (j = 0; j < WORLD_STATES; j++) to[i][j] |= from[i][j];
}

/* A metadata service that answers well, badly, half, or not at all. */
static void serve_keys(world *of)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 X\r\nContent-Length: 1\r\n\r\nt",
        "HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 X\r\nContent-Length: 60\r\n\r\nhalf",
        "nonsense\r\n",
        "",
    };

    of->answer_size = (size_t)snprintf(
        of->answer, sizeof of->answer, "%s", answers[draw(5)]);
    of->answer_at = 0;
    of->answer_from = of->now + draw(3) * 500;
    of->peer_closed = draw(2) == 0;
}

static void live_with_a_provider(void)
{
    static dynalock_provider provider;
    static dynalock_ec2 ec2;
    static char memory[1024];

    world_begin(&w);
    memset(&ec2, 0, sizeof ec2);
    assert_int_equal(dynalock_provider_init(&provider, dynalock_source_ec2(),
                         &ec2, memory, sizeof memory),
        DYNALOCK_OK);
    w.serve_other = serve_keys;
    w.config.credentials = &provider.credentials;
    w.write_most = draw(3) * 40;
    world_ready(&w, &lock);
    assert_int_equal(dynalock_set_provider(&w.client, &provider), DYNALOCK_OK);
    w.provider = &provider;
    w.fail_at = draw(2) == 0 ? 0 : (long)draw(30);
    if (dynalock_start_acquire(&w.client, &lock, 1 + draw(5000)) ==
        DYNALOCK_AGAIN)
        world_run(&w, draw(4000));
    dynalock_cancel(&w.client, &lock.operation);
    world_run(&w, 1);
}

static int run_lives(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 3000; i++) {
        live();
        add_moves(lock_moves, w.lock_moves);
        add_moves(exchange_moves, w.exchange_moves);
        live_with_a_table();
        add_moves(table_moves, w.table_moves);
        live_with_a_provider();
        add_moves(ask_moves, w.ask_moves);
    }
    return 0;
}

/* ---- the tables ---- */

static int index_of(const char *const *names, const char *name)
{
    int i;

    for (i = 0; names[i] != NULL; i++)
        if (strcmp(names[i], name) == 0) return i;
    return -1;
}

/* Reads the rows of the table behind this heading: first and last word. */
static void read_table(const char *section, const char *const *names,
    uint8_t table[WORLD_STATES][WORLD_STATES])
{
    FILE *file = fopen("dynalock.h", "r");
    char line[200], from[40], *last;
    int inside = 0, rows = 0;

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL && inside < 3) {
        line[strcspn(line, "\n")] = '\0';
        if (inside == 0 && strstr(line, section) == line) inside = 1;
        else if (inside == 1 && strstr(line, "    state ") == line) inside = 2;
        else if (inside == 2 && sscanf(line, "    %39[A-Z] ", from) == 1) {
            last = strrchr(line, ' ') + 1;
            assert_true(index_of(names, from) >= 0);
            assert_true(index_of(names, last) >= 0);
            table[index_of(names, from)][index_of(names, last)] = 1;
            rows++;
        } else if (inside == 2) inside = 3;
    }
    (void)fclose(file);
    assert_true(rows > 5);
}

static void compare(const char *section, const char *const *names,
    uint8_t moves[WORLD_STATES][WORLD_STATES])
{
    uint8_t table[WORLD_STATES][WORLD_STATES];
    int i, j, wrong = 0;

    memset(table, 0, sizeof table);
    read_table(section, names, table);
    for (i = 0; names[i] != NULL; i++)
        for (j = 0; names[j] != NULL; j++) {
            if (table[i][j] == moves[i][j]) continue;
            print_error("%s -> %s: %s\n", names[i], names[j],
                moves[i][j] ? "happened, is not in the table"
                            : "is in the table, never happened");
            wrong++;
        }
    assert_int_equal(wrong, 0);
}

static void test_lock_table(void **state)
{
    (void)state;
    compare("/* == lock", lock_states, lock_moves);
}

static void test_exchange_table(void **state)
{
    (void)state;
    compare("/* == request", exchange_states, exchange_moves);
}

static void test_table_table(void **state)
{
    (void)state;
    compare("/* == table", table_states, table_moves);
}

static void test_ask_table(void **state)
{
    (void)state;
    compare("/* == credentials", ask_states, ask_moves);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ask_table),
        cmocka_unit_test(test_lock_table),
        cmocka_unit_test(test_exchange_table),
        cmocka_unit_test(test_table_table),
    };

    return cmocka_run_group_tests(tests, run_lives, NULL);
}
