/* == sigv4 and the head of == http: any printable texts, with a token and
   without, and windows that begin anywhere in the head. */
#include "eva.h"

#define MOST 3

static char texts[5][MOST + 1];
static dynalock_credentials credentials;
static dynalock_signing_key cache;
static dl_signing signing;
static char window[64];

/* What a header may have, see dl_is_printable; of a length that is known. */
static void make_printable(char *text)
{
    int i;

    for (i = 0; i < MOST; i++) text[i] = Frama_C_char_interval(' ', '~');
    text[MOST] = '\0';
}

void prove_sign(void)
{
    int has_token = EACH(0, 1);
    int i;

    for (i = 0; i < 5; i++) make_printable(texts[i]);
    credentials.key_id = texts[0];
    credentials.secret = texts[1];
    credentials.token = has_token ? texts[2] : NULL;
    signing.credentials = &credentials;
    signing.region = texts[3];
    signing.host = texts[4];
    signing.port = (uint16_t)(EACH(0, 1) ? 8000 : 0);
    signing.target = "UpdateItem";
    signing.body_size = 418;
    make_any(signing.digest, sizeof signing.digest);
    dl_date(signing.date, 1700000000000);
    dl_sign(&cache, &signing);
}

void prove_head(void)
{
    dl_span span;

    make_printable(texts[0]);
    credentials.key_id = texts[0];
    signing.credentials = &credentials;
    signing.region = texts[0];
    signing.host = texts[0];
    signing.port = 8000;
    signing.target = "UpdateItem";
    make_any(signing.digest, sizeof signing.digest);
    dl_put_head(
        dl_span_open(&span, window, sizeof window, (size_t)EACH(0, 8) * 60),
        &signing);
}
