/*
The signature that is measured: a body of 418 bytes, the key of the day cached,
no token. Counted are the hash of the body, the signature and the writing of
the Authorization header, as in the signers it is compared with. It takes the
implementation of dynalock.h.
*/
#define SIGN_BODY                                                             \
    "{\"TableName\":\"locks\",\"Key\":{\"key\":{\"S\":\"site-17/nightly-exp"  \
    "o\"}},\"UpdateExpression\":\"SET recordVersionNumber=:r\",\"ConditionE"  \
    "xpression\":\"ownerName=:o AND recordVersionNumber BETWEEN :a AND :z\""  \
    ",\"ExpressionAttributeValues\":{\":o\":{\"S\":\"gateway-42\"},\":r\":{"  \
    "\"S\":\"5f0c1d9ab3e84772a1c60d3be9f48211:00000002\"},\":a\":{\"S\":\"0"  \
    "\"},\":z\":{\"S\":\"5f0c1d9ab3e84772a1c60d3be9f48211:00000001\"}},\"Re"  \
    "turnValuesOnConditionCheckFailure\":\"ALL_OLD\"}"

DL_ASSERT_STATIC(signed_body_has_418_bytes, sizeof SIGN_BODY - 1 == 418);

static const char sign_body[] = SIGN_BODY;
static const dynalock_credentials sign_credentials = { "AKIDEXAMPLE",
    "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL };

static size_t sign(dynalock_signing_key *key, char *out, size_t capacity)
{
    dl_signing signing;
    dl_sha256 sha;
    dl_span span;

    memset(&signing, 0, sizeof signing);
    signing.credentials = &sign_credentials;
    signing.region = "us-east-1";
    signing.host = "dynamodb.us-east-1.amazonaws.com";
    signing.target = "UpdateItem";
    signing.body_size = sizeof sign_body - 1;
    memcpy(signing.date, "20250101T000000Z", DL_DATE_SIZE);
    dl_sha256_init(&sha);
    dl_sha256_update(&sha, sign_body, sizeof sign_body - 1);
    dl_sha256_final(&sha, signing.digest);
    dl_sign(key, &signing);
    dl_put_signing(dl_span_open(&span, out, capacity, 0),
        "Authorization: AWS4-HMAC-SHA256 Credential=$i/$c, "
        "SignedHeaders=$l, Signature=$x\r\n",
        &signing);
    return span.used;
}
