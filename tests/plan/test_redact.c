/* Redaction: every kind in its usual forms, what must stay, idempotence and hostile bytes. The keys
 * are made up; those with a public form are written in two parts, so that no scanner takes this
 * file for a leak. */
#include "support/cmocka_all.h"

#include "base/prng.h"
#include "plan/redact.h"

#include <stdlib.h>
#include <string.h>

static uint64_t counts[SAMP_REDACTION_COUNT];

static void expect(const char *text, const char *redacted)
{
    samp_buffer out = {0}, again = {0};
    memset(counts, 0, sizeof counts);
    samp_redact(text, strlen(text), &out, counts);
    assert_string_equal(out.data ? out.data : "", redacted);
    uint64_t more[SAMP_REDACTION_COUNT] = {0};
    samp_redact(out.data, out.length, &again, more);
    assert_string_equal(again.data ? again.data : "", redacted);
    samp_buffer_release(&out);
    samp_buffer_release(&again);
}

static void stays(const char *text) { expect(text, text); }

static void email(void **state)
{
    (void)state;
    expect("write to jane.doe+news@mail.example.co.uk, please", "write to [EMAIL], please");
    expect("a@b.io", "[EMAIL]");
    expect("<a_b@example.org>;c-d@example.org.", "<[EMAIL]>;[EMAIL].");
    assert_int_equal(counts[SAMP_REDACTION_EMAIL], 2);
    expect("mailto:x@example.com?subject=hi", "mailto:[EMAIL]?subject=hi");
    stays("user@localhost, @decorator, a @ b, 5@6.7, @example.com, x@y.");
    stays("git@");
}

static void keys(void **state)
{
    (void)state;
    expect("id AK"
           "IAIOSFODNN7EXAMPLE.",
           "id [AWS_KEY].");
    expect("gh"
           "p_0123456789abcdefghijABCDEFGHIJ012345",
           "[GITHUB_TOKEN]");
    expect("github"
           "_pat_11ABCDEFG0abcdefghijkl_MNOPQRS",
           "[GITHUB_TOKEN]");
    expect("xo"
           "xb-123456789012-abcdefGHIJKL",
           "[SLACK_TOKEN]");
    expect("OpenAI: s"
           "k-proj-abcDEF123456ghiJKL7890mno",
           "OpenAI: [API_KEY]");
    expect("AI"
           "zaSyA1234567890abcdefghijklmnopqrstuvw",
           "[API_KEY]");
    expect("curl -H 'Authorization: Bearer abcDEF.123456-ghijkl'",
           "curl -H 'Authorization: Bearer [BEARER]'");
    expect("token ey"
           "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmN",
           "token [BEARER]");
    stays("sk-learn is a library; the bearer of this letter; ghp_short; AKIAxx");
    stays("a-task-sk-abcdefghijklmnopqrstuvwxyz");
}

static void private_key(void **state)
{
    (void)state;
    expect("key:\n-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc\n-----END RSA PRIVATE KEY-----\nend",
           "key:\n[PRIVATE_KEY]\nend");
    expect("-----BEGIN PRIVATE KEY-----\nMIIEcut off", "[PRIVATE_KEY]");
    stays("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----");
    stays("----- BEGIN -----");
}

static void assignments(void **state)
{
    (void)state;
    expect("DB_PASSWORD=hunter2!x", "DB_PASSWORD=[SECRET]");
    expect("{\"password\": \"correct horse\"}", "{\"password\": \"[SECRET]\"}");
    expect("\\\"passwd\\\":\\\"s3cr3tly\\\"", "\\\"passwd\\\":\\\"[SECRET]\\\"");
    expect("api_key := 'a8F3kd92LQpz71xv'", "api_key := '[SECRET]'");
    expect("export CLIENT_SECRET=9f8e7d6c5b4a3210fedc", "export CLIENT_SECRET=[SECRET]");
    expect("url?user=a&pwd=abc12345&x=1", "url?user=a&pwd=[SECRET]&x=1");
    assert_int_equal(counts[SAMP_REDACTION_SECRET], 1);
    stays("password = input('Password: ')");
    stays("if password == other: token = next(tokens)");
    stays("password: str, token: Optional[str] = None");
    stays("Your password must have eight letters; the secret: patience");
    stays("password=${DB_PASSWORD} password='your_password_here' token=\"<TOKEN>\"");
}

static void numbers(void **state)
{
    (void)state;
    expect("card 4111 1111 1111 1111 now", "card [CARD] now");
    expect("5500-0055-5555-5559", "[CARD]");
    stays("4111 1111 1111 1112 is no card, nor is 3.141592653589793");
    expect("call +49 30 901820 1234 or (415) 555-2671", "call [PHONE] or [PHONE]");
    expect("415-555-2671, 415.555.2671", "[PHONE], [PHONE]");
    expect("+14155552671", "[PHONE]");
    stays("2024-11-24, 12-34-5678, x+1234567890123, 1.234.567.8901, 10-20-30");
    stays("f(123) + 456 - 7890, 192.168.100.200, +5 apples, 415-555-26712");
}

static void any_bytes(void **state)
{
    (void)state;
    static const char interesting[] = "@.-+:=\"' aA1_(\n\\4111password=sk-Bearer ";
    samp_prng prng = {3};
    for (int round = 0; round < 3000; round++) {
        size_t n = samp_prng_below(&prng, 200);
        char *text = malloc(n ? n : 1);
        assert_non_null(text);
        for (size_t i = 0; i < n; i++)
            text[i] = round % 2 ? (char)samp_prng_next(&prng)
                                : interesting[samp_prng_below(&prng, sizeof interesting)];
        samp_buffer out = {0};
        uint64_t found[SAMP_REDACTION_COUNT] = {0}, all = 0;
        samp_redact(text, n, &out, found);
        for (int k = 0; k < SAMP_REDACTION_COUNT; k++) all += found[k];
        if (all == 0) {
            assert_int_equal(out.length, n);
            if (n) assert_memory_equal(out.data, text, n);
        }
        samp_buffer_release(&out);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(email),       cmocka_unit_test(keys),    cmocka_unit_test(private_key),
        cmocka_unit_test(assignments), cmocka_unit_test(numbers), cmocka_unit_test(any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
