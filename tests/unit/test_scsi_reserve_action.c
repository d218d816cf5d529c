/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every service action of PERSISTENT RESERVE OUT against every type of reservation, as SPC-4 5.13
 * has it. Nexuses are letters; A holds the reservation, B and D are registered too, C and E are
 * not; everybody's key is his letter. */
#include "tests/unit/unit.h"

#include "core/scsi/reserve_action.h"

#include <string.h>

#define NEW_KEY 0x77

static const uint16_t ports[] = {1, 2, 300}; /* relative target port identifiers */

static NexusName name(char letter)
{
    NexusName nexus = {.port = 1};
    uint8_t p[24] = {TRANSPORT_SRP, [23] = (uint8_t)letter};
    transport_id_parse(&nexus.initiator, p, sizeof p);
    return nexus;
}

static char letter_of(const NexusName *nexus)
{
    return (char)nexus->initiator.bytes[23];
}

static uint64_t key_of(char letter)
{
    return letter == '0' ? 0 : (uint64_t)letter;
}

static void add(ReserveState *state, char letter, bool holder)
{
    const Registration registration = {name(letter), key_of(letter), holder};
    g_array_append_val(state->registrations, registration);
}

static ReserveState start(ReserveType type)
{
    ReserveState state;
    reserve_state_init(&state);
    state.type = type;
    state.generation = 10;
    add(&state, 'A', type != RESERVE_NONE && !reserve_type_all_registrants(type));
    add(&state, 'B', false);
    add(&state, 'D', false);
    return state;
}

/* "good T A*BD A05" : status; type the same, another (O), or none (-); who is registered, a star
 * for holders; who gets which 2A/xx. */
static char *describe(const ReserveState *state, ReserveType before, const ReserveEffect *effect)
{
    if (effect->status == SCSI_RESERVATION_CONFLICT)
        return g_strdup("conflict");
    if (effect->status != SCSI_GOOD)
        return g_strdup_printf("%06x", effect->sense);
    GString *text = g_string_new("good ");
    g_string_append_c(text, state->type == RESERVE_NONE ? '-' : state->type == before ? 'T' : 'O');
    g_string_append_c(text, ' ');
    for (unsigned i = 0; i < state->registrations->len; i++) {
        const Registration *registration = reserve_registration(state, i);
        g_string_append_c(text, letter_of(&registration->nexus));
        if (reserve_holds(state, registration))
            g_string_append_c(text, '*');
    }
    g_string_append_c(text, ' ');
    for (unsigned i = 0; i < effect->attentions->len; i++) {
        const ReserveAttention *a = &g_array_index(effect->attentions, ReserveAttention, i);
        assert_int_equal(a->code >> 8, 0x062a);
        g_string_append_printf(text, "%c%02x", letter_of(&a->nexus), a->code & 0xff);
    }
    return g_string_free(text, FALSE);
}

typedef struct {
    char who;
    ReserveAction action;
    char action_key; /* a letter's key, '0', or '!' for NEW_KEY */
    char flavour;    /* 'o': asks for another type; 's': another scope; 'k': with a wrong key; 'u':
                        UNREG */
    const char *plain; /* WE, EA */
    const char *ro;    /* registrants only; NULL: as plain */
    const char *ar;    /* all registrants; NULL: as plain */
} Row;

#define CONFLICT "conflict"
#define CDB      "052400"
#define LIST     "052600"

static const Row rows[] = {
    /* register: table 67 */
    {'C', PR_REGISTER, '!', 0, "good T A*BDC ", NULL, "good T A*B*D*C* "},
    {'C', PR_REGISTER, '0', 0, "good T A*BD ", NULL, "good T A*B*D* "},
    {'C', PR_REGISTER, '!', 'k', CONFLICT, NULL, NULL},
    {'C', PR_REGISTER, '0', 'k', CONFLICT, NULL, NULL},
    {'B', PR_REGISTER, '!', 'k', CONFLICT, NULL, NULL},
    {'B', PR_REGISTER, '0', 'k', CONFLICT, NULL, NULL},
    {'B', PR_REGISTER, '!', 0, "good T A*BD ", NULL, "good T A*B*D* "},
    {'A', PR_REGISTER, '!', 0, "good T A*BD ", NULL, "good T A*B*D* "},
    {'B', PR_REGISTER, '0', 0, "good T A*D ", NULL, "good T A*D* "},
    {'A', PR_REGISTER, '0', 0, "good - BD ", "good - BD B04D04", "good T B*D* "},
    /* register and ignore existing key: table 68 */
    {'C', PR_REGISTER_AND_IGNORE, '!', 'k', "good T A*BDC ", NULL, "good T A*B*D*C* "},
    {'C', PR_REGISTER_AND_IGNORE, '0', 'k', "good T A*BD ", NULL, "good T A*B*D* "},
    {'A', PR_REGISTER_AND_IGNORE, '!', 'k', "good T A*BD ", NULL, "good T A*B*D* "},
    {'B', PR_REGISTER_AND_IGNORE, '0', 'k', "good T A*D ", NULL, "good T A*D* "},
    {'A', PR_REGISTER_AND_IGNORE, '0', 'k', "good - BD ", "good - BD B04D04", "good T B*D* "},
    /* reserve: 5.13.9 */
    {'A', PR_RESERVE, '0', 0, "good T A*BD ", NULL, "good T A*B*D* "},
    {'A', PR_RESERVE, '0', 'o', CONFLICT, NULL, NULL},
    {'A', PR_RESERVE, '0', 's', CDB, NULL, NULL},
    {'A', PR_RESERVE, '0', 'k', CONFLICT, NULL, NULL},
    {'B', PR_RESERVE, '0', 0, CONFLICT, NULL, "good T A*B*D* "},
    {'B', PR_RESERVE, '0', 'o', CONFLICT, NULL, NULL},
    {'C', PR_RESERVE, '0', 0, CONFLICT, NULL, NULL},
    /* release: 5.13.11.2.2 */
    {'A', PR_RELEASE, '0', 0, "good - ABD ", "good - ABD B04D04", "good - ABD B04D04"},
    {'A', PR_RELEASE, '0', 'o', "052604", NULL, NULL},
    {'A', PR_RELEASE, '0', 's', "052604", NULL, NULL},
    {'A', PR_RELEASE, '0', 'k', CONFLICT, NULL, NULL},
    {'B', PR_RELEASE, '0', 0, "good T A*BD ", NULL, "good - ABD A04D04"},
    {'B', PR_RELEASE, '0', 'o', "good T A*BD ", NULL, "052604"},
    {'C', PR_RELEASE, '0', 0, CONFLICT, NULL, NULL},
    /* clear: 5.13.11.2.7 */
    {'A', PR_CLEAR, '0', 's', "good -  B03D03", NULL, NULL},
    {'B', PR_CLEAR, '0', 'o', "good -  A03D03", NULL, NULL},
    {'B', PR_CLEAR, '0', 'k', CONFLICT, NULL, NULL},
    {'C', PR_CLEAR, '0', 0, CONFLICT, NULL, NULL},
    /* preempt: tables 71, 72 */
    {'B', PR_PREEMPT, 'A', 0, "good T B*D A05", NULL, "good T B*D* A05"},
    {'B', PR_PREEMPT, 'A', 'o', "good O B*D A05D04", NULL, "good T B*D* A05"},
    {'B', PR_PREEMPT, 'A', 's', CDB, NULL, "good T B*D* A05"},
    {'B', PR_PREEMPT, 'D', 's', "good T A*B D05", NULL, "good T A*B* D05"},
    {'A', PR_PREEMPT, 'B', 0, "good T A*D B05", NULL, "good T A*D* B05"},
    {'A', PR_PREEMPT, 'A', 0, "good T A*BD ", NULL, "good T B*D* "},
    {'A', PR_PREEMPT, 'A', 'o', "good O A*BD B04D04", NULL, "good T B*D* "},
    {'B', PR_PREEMPT, 'B', 0, "good T A*D ", NULL, "good T A*D* "},
    {'B', PR_PREEMPT, '0', 0, LIST, NULL, "good T B* A05D05"},
    {'B', PR_PREEMPT, '0', 'o', LIST, NULL, "good O B* A05D05"},
    {'B', PR_PREEMPT, '0', 's', LIST, NULL, CDB},
    {'B', PR_PREEMPT, '!', 0, CONFLICT, NULL, NULL},
    {'B', PR_PREEMPT, 'A', 'k', CONFLICT, NULL, NULL},
    {'C', PR_PREEMPT, 'A', 0, CONFLICT, NULL, NULL},
    {'B', PR_PREEMPT_AND_ABORT, 'A', 'o', "good O B*D A05D04", NULL, "good T B*D* A05"},
    {'B', PR_PREEMPT_AND_ABORT, '!', 0, CONFLICT, NULL, NULL},
    {'C', PR_PREEMPT_AND_ABORT, 'A', 0, CONFLICT, NULL, NULL},
    /* register and move, to E: table 70 */
    {'A', PR_REGISTER_AND_MOVE, 'E', 's', "good T ABDE* ", NULL, CONFLICT},
    {'A', PR_REGISTER_AND_MOVE, 'E', 'u', "good T BDE* ", NULL, CONFLICT},
    {'A', PR_REGISTER_AND_MOVE, '0', 0, LIST, NULL, CONFLICT},
    {'A', PR_REGISTER_AND_MOVE, 'E', 'k', CONFLICT, NULL, NULL},
    {'B', PR_REGISTER_AND_MOVE, 'E', 0, CONFLICT, NULL, NULL},
    {'C', PR_REGISTER_AND_MOVE, 'E', 0, CONFLICT, NULL, NULL},
};

static const struct {
    ReserveType type, other;
} types[] = {
    {RESERVE_WRITE_EXCLUSIVE, RESERVE_EXCLUSIVE_ACCESS},
    {RESERVE_EXCLUSIVE_ACCESS, RESERVE_WRITE_EXCLUSIVE_RO},
    {RESERVE_WRITE_EXCLUSIVE_RO, RESERVE_EXCLUSIVE_ACCESS},
    {RESERVE_EXCLUSIVE_ACCESS_RO, RESERVE_WRITE_EXCLUSIVE},
    {RESERVE_WRITE_EXCLUSIVE_AR, RESERVE_WRITE_EXCLUSIVE},
    {RESERVE_EXCLUSIVE_ACCESS_AR, RESERVE_WRITE_EXCLUSIVE_AR},
};

static ReserveRequest request_of(const Row *row, ReserveType type, ReserveType other)
{
    ReserveRequest request = {.nexus = name(row->who),
                              .action = row->action,
                              .scope = row->flavour == 's' ? 1 : 0,
                              .type = row->flavour == 'o' ? other : type,
                              .key = row->flavour == 'k' ? 0x99 : key_of(row->who),
                              .action_key =
                                  row->action_key == '!' ? NEW_KEY : key_of(row->action_key),
                              .unregister = row->flavour == 'u',
                              .move_port = 1,
                              .ports = ports,
                              .n_ports = 1,
                              .initiators = g_array_new(FALSE, FALSE, sizeof(TransportId))};
    if (row->who == 'C' && row->action == PR_REGISTER && row->flavour != 'k')
        request.key = 0;
    const NexusName to = name('E');
    g_array_append_val(request.initiators, to.initiator);
    return request;
}

static bool counts(ReserveAction action)
{
    return action != PR_RESERVE && action != PR_RELEASE;
}

static void check(const Row *row, ReserveType type, ReserveType other)
{
    const char *expected = row->plain;
    if (row->ro && reserve_type_registrants_only(type))
        expected = row->ro;
    if (row->ar && reserve_type_all_registrants(type))
        expected = row->ar;
    ReserveState state = start(type);
    ReserveRequest request = request_of(row, type, other);
    ReserveEffect effect;
    reserve_effect_init(&effect);
    reserve_act(&state, &request, &effect);
    g_autofree char *found = describe(&state, type, &effect);
    if (strcmp(found, expected) != 0)
        fail_msg("type %x, row %u (%c does %u with '%c', '%c'): \"%s\", not \"%s\"", type,
                 (unsigned)(row - rows), row->who, row->action, row->action_key,
                 row->flavour ? row->flavour : ' ', found, expected);
    if (effect.status == SCSI_GOOD)
        assert_int_equal(state.generation, 10 + (counts(row->action) && effect.changed));
    if (row->action_key == '!' && effect.status == SCSI_GOOD) {
        const NexusName who = name(row->who);
        assert_int_equal(reserve_find(&state, &who)->key, NEW_KEY);
    }
    reserve_effect_clear(&effect);
    reserve_request_clear(&request);
    reserve_state_clear(&state);
}

static void every_action_on_every_type(void **unused)
{
    (void)unused;
    for (size_t r = 0; r < G_N_ELEMENTS(rows); r++)
        for (size_t t = 0; t < G_N_ELEMENTS(types); t++)
            check(&rows[r], types[t].type, types[t].other);
}

/* The same with nothing reserved: 'T' cannot come, a new reservation is 'O'. */
static void without_reservation(void **unused)
{
    (void)unused;
    static const Row free_rows[] = {
        {'A', PR_RESERVE, '0', 'o', "good O A*BD ", NULL, NULL},
        {'A', PR_RESERVE, '0', 0, CDB, NULL, NULL}, /* type 0 */
        {'C', PR_RESERVE, '0', 'o', CONFLICT, NULL, NULL},
        {'A', PR_RELEASE, '0', 'o', "good - ABD ", NULL, NULL},
        {'C', PR_RELEASE, '0', 'o', CONFLICT, NULL, NULL},
        {'A', PR_CLEAR, '0', 0, "good -  B03D03", NULL, NULL},
        {'A', PR_PREEMPT, 'B', 0, "good - AD B05", NULL, NULL},
        {'A', PR_PREEMPT, 'A', 0, "good - BD ", NULL, NULL},
        {'A', PR_PREEMPT, '0', 0, LIST, NULL, NULL},
        {'A', PR_PREEMPT, '!', 0, CONFLICT, NULL, NULL},
        {'A', PR_REGISTER_AND_MOVE, 'E', 0, CDB, NULL, NULL},
        {'C', PR_REGISTER_AND_MOVE, 'E', 0, CONFLICT, NULL, NULL},
        {'A', PR_REGISTER, '0', 0, "good - BD ", NULL, NULL},
    };
    for (size_t r = 0; r < G_N_ELEMENTS(free_rows); r++) {
        ReserveState state = start(RESERVE_NONE);
        ReserveRequest request =
            request_of(&free_rows[r], RESERVE_NONE, RESERVE_WRITE_EXCLUSIVE_RO);
        ReserveEffect effect;
        reserve_effect_init(&effect);
        reserve_act(&state, &request, &effect);
        g_autofree char *found = describe(&state, RESERVE_NONE, &effect);
        assert_string_equal(found, free_rows[r].plain);
        reserve_effect_clear(&effect);
        reserve_request_clear(&request);
        reserve_state_clear(&state);
    }
}

static void types_that_are_none(void **unused)
{
    (void)unused;
    for (unsigned type = 0; type < 16; type++) {
        bool valid = type == 1 || type == 3 || (type >= 5 && type <= 8);
        assert_int_equal(reserve_type_valid(type), valid);
        if (valid)
            assert_int_equal(reserve_type_from_text(reserve_type_text(type)), type);
    }
}

/* --- more of one request ---------------------------------------------------------------------- */

static char *act(ReserveState *state, ReserveRequest request, ReserveEffect *effect)
{
    reserve_effect_init(effect);
    ReserveType before = state->type;
    reserve_act(state, &request, effect);
    reserve_request_clear(&request);
    return describe(state, before, effect);
}

static void expect(ReserveState *state, ReserveRequest request, const char *expected)
{
    ReserveEffect effect;
    g_autofree char *found = act(state, request, &effect);
    assert_string_equal(found, expected);
    reserve_effect_clear(&effect);
}

static GArray *initiators(const char *letters)
{
    GArray *ids = g_array_new(FALSE, FALSE, sizeof(TransportId));
    for (; *letters; letters++) {
        const NexusName nexus = name(*letters);
        g_array_append_val(ids, nexus.initiator);
    }
    return ids;
}

static ReserveRequest specify(char who, ReserveAction action, uint64_t key, uint64_t action_key,
                              const char *letters)
{
    return (ReserveRequest){.nexus = name(who),
                            .action = action,
                            .type = RESERVE_WRITE_EXCLUSIVE,
                            .key = key,
                            .action_key = action_key,
                            .specify_ports = true,
                            .ports = ports,
                            .n_ports = 1,
                            .initiators = initiators(letters)};
}

static void expect_from_start(ReserveRequest request, const char *expected)
{
    ReserveState state = start(RESERVE_WRITE_EXCLUSIVE);
    expect(&state, request, expected);
    reserve_state_clear(&state);
}

static void specified_initiator_ports(void **unused)
{
    (void)unused;
    expect_from_start(specify('C', PR_REGISTER, 0, NEW_KEY, "EF"), "good T A*BDCEF ");
    expect_from_start(specify('C', PR_REGISTER, 0, NEW_KEY, ""), "good T A*BDC ");
    expect_from_start(specify('C', PR_REGISTER, 0, 0, "EF"), "good T A*BD ");
    expect_from_start(specify('C', PR_REGISTER, 5, NEW_KEY, "EF"), CONFLICT);
    expect_from_start(specify('C', PR_REGISTER, 0, NEW_KEY, "EB"), LIST); /* B is registered */
    expect_from_start(specify('C', PR_REGISTER, 0, NEW_KEY, "EE"), LIST);
    expect_from_start(specify('C', PR_REGISTER, 0, NEW_KEY, "C"), LIST);
    expect_from_start(specify('B', PR_REGISTER, 'B', NEW_KEY, "E"), LIST);
    expect_from_start(specify('B', PR_REGISTER, 'B', 0, "E"), LIST);
    expect_from_start(specify('B', PR_REGISTER, 1, 0, "E"), CONFLICT);
    for (unsigned action = PR_RESERVE; action <= PR_REGISTER_AND_IGNORE; action++)
        expect_from_start(specify('A', action, 'A', 'B', "E"), LIST);
}

static void all_target_ports(void **unused)
{
    (void)unused;
    ReserveState state = start(RESERVE_WRITE_EXCLUSIVE);
    ReserveRequest request = {.nexus = name('C'),
                              .action = PR_REGISTER,
                              .action_key = NEW_KEY,
                              .all_ports = true,
                              .ports = ports,
                              .n_ports = 3};
    expect(&state, request, "good T A*BDCCC ");
    for (unsigned i = 0; i < G_N_ELEMENTS(ports); i++) {
        NexusName nexus = name('C');
        nexus.port = ports[i];
        assert_non_null(reserve_find(&state, &nexus));
    }
    /* each of them is a registration like any other */
    request.all_ports = false;
    request.nexus.port = 2;
    request.key = NEW_KEY;
    request.action_key = 0;
    expect(&state, request, "good T A*BDCC ");
    /* and through port 2 the key is not registered any more */
    request.all_ports = true;
    expect(&state, request, CONFLICT);
    reserve_state_clear(&state);
}

static void aptpl_of_the_last_valid_request(void **unused)
{
    (void)unused;
    ReserveState state = start(RESERVE_NONE);
    ReserveRequest request = {.nexus = name('A'),
                              .key = 'A',
                              .action_key = 'A',
                              .aptpl = true,
                              .ports = ports,
                              .n_ports = 1};
    expect(&state, request, "good - ABD ");
    assert_true(state.aptpl);
    request.aptpl = false;
    request.action = PR_RESERVE; /* has none */
    request.type = RESERVE_WRITE_EXCLUSIVE;
    expect(&state, request, "good O A*BD ");
    assert_true(state.aptpl);
    request.action = PR_REGISTER_AND_IGNORE;
    expect(&state, request, "good T A*BD ");
    assert_false(state.aptpl);
    request.action = PR_REGISTER_AND_MOVE;
    request.aptpl = true;
    request.move_port = 1;
    request.initiators = initiators("B");
    expect(&state, request, "good T AB*D ");
    assert_true(state.aptpl);
    reserve_state_clear(&state);
}

static ReserveRequest move_to(const char *letter, uint16_t port)
{
    return (ReserveRequest){.nexus = name('A'),
                            .action = PR_REGISTER_AND_MOVE,
                            .key = 'A',
                            .action_key = NEW_KEY,
                            .move_port = port,
                            .ports = ports,
                            .n_ports = 1,
                            .initiators = initiators(letter)};
}

static void move_checks_where_to(void **unused)
{
    (void)unused;
    expect_from_start(move_to("B", 1), "good T AB*D "); /* one that is registered */
    expect_from_start(move_to("A", 1), LIST);
    expect_from_start(move_to("E", 0), LIST);
    expect_from_start(move_to("E", 2), LIST);
    uint8_t device[24] = {TRANSPORT_ISCSI, [3] = 20, 'i', 'q', 'n', '.', 'x'};
    ReserveRequest request = move_to("E", 1);
    transport_id_parse(&g_array_index(request.initiators, TransportId, 0), device, sizeof device);
    expect_from_start(request, LIST);
}

static void resources_end(void **unused)
{
    (void)unused;
    ReserveState state = start(RESERVE_WRITE_EXCLUSIVE);
    while (state.registrations->len < REGISTRATIONS_MAX)
        add(&state, 'x', false);
    ReserveRequest request = {
        .nexus = name('C'), .action = PR_REGISTER, .action_key = 1, .ports = ports, .n_ports = 1};
    expect(&state, request, "055504");
    request.action = PR_REGISTER_AND_IGNORE;
    expect(&state, request, "055504");
    expect(&state, move_to("E", 1), "055504");
    assert_int_equal(state.registrations->len, REGISTRATIONS_MAX);
    reserve_state_clear(&state);
}

/* All registrants hold it, so it ends with the last of them (table 71). */
static void last_registrant(void **unused)
{
    (void)unused;
    ReserveState state = start(RESERVE_WRITE_EXCLUSIVE_AR);
    static const char *const expected[] = {"good T B*D* ", "good T D* ", "good -  "};
    for (unsigned i = 0; i < 3; i++) {
        ReserveRequest request = {
            .nexus = name("ABD"[i]), .key = key_of("ABD"[i]), .ports = ports, .n_ports = 1};
        expect(&state, request, expected[i]);
    }
    reserve_state_clear(&state);
}

/* Several nexuses with one key go together. */
static void shared_keys(void **unused)
{
    (void)unused;
    ReserveState state = start(RESERVE_WRITE_EXCLUSIVE_AR);
    for (unsigned i = 0; i < 3; i++)
        reserve_registration(&state, i)->key = 5;
    ReserveRequest request = {.nexus = name('B'),
                              .action = PR_PREEMPT_AND_ABORT,
                              .key = 5,
                              .action_key = 5,
                              .ports = ports,
                              .n_ports = 1};
    ReserveEffect effect;
    g_autofree char *found = act(&state, request, &effect);
    assert_string_equal(found, "good -  A05D05"); /* nobody is left to hold it */
    assert_int_equal(effect.aborted->len, 3);
    reserve_effect_clear(&effect);
    reserve_state_clear(&state);
}

static void expect_aborted(ReserveType type, ReserveAction action, uint64_t key, const char *who)
{
    ReserveState state = start(type);
    ReserveRequest request = {.nexus = name('B'),
                              .action = action,
                              .type = type,
                              .key = 'B',
                              .action_key = key,
                              .ports = ports,
                              .n_ports = 1};
    ReserveEffect effect;
    g_free(act(&state, request, &effect));
    GString *names = g_string_new(NULL);
    for (unsigned i = 0; i < effect.aborted->len; i++)
        g_string_append_c(names, letter_of(&g_array_index(effect.aborted, NexusName, i)));
    assert_string_equal(names->str, who);
    g_string_free(names, TRUE);
    reserve_effect_clear(&effect);
    reserve_state_clear(&state);
}

static void whose_commands_are_aborted(void **unused)
{
    (void)unused;
    expect_aborted(RESERVE_WRITE_EXCLUSIVE, PR_PREEMPT_AND_ABORT, 'A', "A");
    expect_aborted(RESERVE_WRITE_EXCLUSIVE, PR_PREEMPT, 'A', "");
    expect_aborted(RESERVE_WRITE_EXCLUSIVE, PR_PREEMPT_AND_ABORT, 'D', "D");
    expect_aborted(RESERVE_WRITE_EXCLUSIVE, PR_PREEMPT_AND_ABORT, 'B', "B");
    expect_aborted(RESERVE_WRITE_EXCLUSIVE, PR_PREEMPT_AND_ABORT, 0, "");
    expect_aborted(RESERVE_WRITE_EXCLUSIVE, PR_PREEMPT_AND_ABORT, 'X', "");
    expect_aborted(RESERVE_EXCLUSIVE_ACCESS_AR, PR_PREEMPT_AND_ABORT, 0, "ABD");
    expect_aborted(RESERVE_EXCLUSIVE_ACCESS_AR, PR_PREEMPT_AND_ABORT, 'A', "A");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_action_on_every_type),
        cmocka_unit_test(without_reservation),
        cmocka_unit_test(types_that_are_none),
        cmocka_unit_test(specified_initiator_ports),
        cmocka_unit_test(all_target_ports),
        cmocka_unit_test(aptpl_of_the_last_valid_request),
        cmocka_unit_test(move_checks_where_to),
        cmocka_unit_test(resources_end),
        cmocka_unit_test(last_registrant),
        cmocka_unit_test(shared_keys),
        cmocka_unit_test(whose_commands_are_aborted),
    };
    return unit_run(tests);
}
