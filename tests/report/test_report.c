/* The page: well-formed whatever goes in, hostile names escaped, figures there, both colour
 * schemes, nothing from the network. Well-formedness is checked here by a small reader, and by
 * xmllint too where it is installed. */
#include "file/scratch.h"

#include "base/prng.h"
#include "report/report.h"

#include <ctype.h>
#include <float.h>
#include <math.h>

static samp_buffer page;

static int release(void **state)
{
    samp_buffer_release(&page);
    return scratch_remove(state);
}

/* ---- a reader of what the writer may write: elements, attributes in quotes, five entities ---- */

static const char *skip_entity(const char *at)
{
    static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    for (int i = 0; i < 5; i++)
        if (strncmp(at, known[i], strlen(known[i])) == 0) return at + strlen(known[i]);
    fail_msg("an entity that is none: %.20s", at);
    return at;
}

static const char *skip_attributes(const char *at)
{
    while (*at == ' ') {
        at++;
        if (*at == '/') break; /* " />" */
        const char *name = at;
        while (islower((unsigned char)*at) || isupper((unsigned char)*at) || *at == '-' ||
               isdigit((unsigned char)*at))
            at++;
        assert_true(at > name && at[0] == '=' && at[1] == '"');
        assert_true(strncmp(name, "on", 2) != 0 && strncmp(name, "href", 4) != 0 &&
                    strncmp(name, "src", 3) != 0);
        for (at += 2; *at != '"';) {
            assert_true(*at && *at != '<');
            at = *at == '&' ? skip_entity(at) : at + 1;
        }
        at++;
    }
    return at;
}

static void expect_well_formed(const char *at)
{
    char stack[32][16];
    int depth = 0;
    assert_int_equal(strncmp(at, "<!DOCTYPE html>\n", 16), 0);
    for (at += 16; *at;) {
        if (*at == '&') {
            at = skip_entity(at);
        } else if (*at != '<') {
            assert_true(*at != '>' || strcmp(stack[depth - 1], "style") == 0);
            at++;
        } else if (at[1] == '/') {
            size_t n = strcspn(at + 2, ">");
            assert_true(depth > 0 && n < 16);
            depth--;
            assert_true(strlen(stack[depth]) == n && strncmp(stack[depth], at + 2, n) == 0);
            at += n + 3;
        } else {
            size_t n = 0;
            while (isalnum((unsigned char)at[1 + n])) n++;
            assert_true(n > 0 && n < 16 && depth < 32);
            snprintf(stack[depth], 16, "%.*s", (int)n, at + 1);
            assert_string_not_equal(stack[depth], "script");
            at = skip_attributes(at + 1 + n);
            if (*at == '/')
                assert_true(*++at == '>');
            else
                depth++;
            assert_true(*at == '>');
            at++;
        }
    }
    assert_int_equal(depth, 0);
}

static const char *draw(const samp_report *report)
{
    samp_error error = {0};
    samp_buffer_clear(&page);
    assert_ok(samp_report_html(report, &page, &error), &error);
    expect_well_formed(page.data);
    assert_null(strstr(page.data, "nan"));
    assert_null(strstr(page.data, "inf,"));
    return page.data;
}

static void expect_xmllint(void)
{
    char command[700];
    put_file("page.html", page.data, page.length);
    snprintf(command, sizeof command, "xmllint --noout --nonet '%s'", scratch_path("page.html"));
    if (system("command -v xmllint >/dev/null 2>&1") == 0) assert_int_equal(system(command), 0);
}

/* ---- reports to draw ---- */

enum { LAYERS_MAX = 126, GROUPS_MAX = LAYERS_MAX * 4 + 2 };

static samp_report_group groups[GROUPS_MAX];
static const char *const strata[] = {"prose", "code"};
static const double unknown = NAN;

static size_t make_groups(uint32_t n_layers, double kl)
{
    size_t n = 0;
    for (uint32_t layer = 0; layer <= n_layers; layer++)
        for (int kind = 0; kind < SAMP_GROUP_KINDS; kind++) {
            bool whole = kind == SAMP_GROUP_EMBED || kind == SAMP_GROUP_HEAD;
            if (whole != (layer == n_layers)) continue;
            samp_report_group *g = &groups[n];
            *g = (samp_report_group){.kind = (samp_group_kind)kind,
                                     .layer = whole ? 0 : layer,
                                     .format =
                                         samp_format_get((samp_format_id)(n % SAMP_FORMAT_COUNT)),
                                     .activation_bits = 16,
                                     .weights = 1000,
                                     .bytes = 500,
                                     .base_kl = kl * (double)(n + 1),
                                     .kl = kl};
            snprintf(g->name, sizeof g->name, "layers.%u.%s", layer, samp_group_kind_name(g->kind));
            n++;
        }
    return n;
}

static samp_eval_result result(double kl, double half)
{
    return (samp_eval_result){.n_windows = 8,
                              .n_scored = 2040,
                              .compared = true,
                              .kl_mean = {kl, kl - half, kl + half},
                              .kl_p99 = {5 * kl, 5 * kl, 5 * kl},
                              .top1 = {0.857, 0.84, 0.87},
                              .perplexity_ratio = {1.046, 1.03, 1.06},
                              .delta_p = {-0.01, -0.02, 0}};
}

static samp_report_point point(const char *name, samp_report_kind kind, double bytes, double kl)
{
    samp_report_point p = {.name = name,
                           .kind = kind,
                           .bytes = bytes,
                           .predicted_kl = kl * 0.96,
                           .all = {kl, kl * 0.9, kl * 1.1}};
    for (int s = 0; s < SAMP_REPORT_STRATA_MAX; s++) p.kl[s] = p.all;
    return p;
}

static const char hostile[] = "</title><script>alert('x')</script>\"&\x01\xff";

static void a_whole_report(void **state)
{
    (void)state;
    double front_bytes[] = {70e6, 90e6, 140e6}, front_kl[] = {0.08, 0.03, 0.001};
    samp_report_text texts[] = {{"prose", result(0.0433, 0.0036)}, {hostile, result(0.03, 0)}};
    samp_report_point points[] = {point("plan-84", SAMP_REPORT_THIS, 84.1e6, 0.0433),
                                  point("recipe", SAMP_REPORT_RECIPE, 125e6, 0.149),
                                  point(hostile, SAMP_REPORT_PEER, 103e6, 0.0316)};
    samp_report_row rows[] = {{"weights on disk", "269 MB", "84.1 MB", "-68.7 %"}};
    samp_report_share shares[] = {{"prose", 0.12, 0.5}, {hostile, 0.88, NAN}};
    samp_report_fact facts[] = {{"machine", "AMD EPYC <Zen 1>"}, {"artifact", hostile}};
    samp_report report = {.model = hostile,
                          .baseline = "SmolLM2 & friends",
                          .base_format = "nf4a",
                          .when_and_where = "2026-11-24, here.",
                          .weight_bytes = {269e6, 84.1e6},
                          .bits = {16, 5.0},
                          .decode = {72.1, 105.2},
                          .predicted_kl = 0.0416,
                          .all = result(0.0433, 0.0036),
                          .notes = "<b>not bold</b>",
                          .rows = rows,
                          .n_rows = 1,
                          .texts = texts,
                          .n_texts = 2,
                          .groups = groups,
                          .n_groups = make_groups(30, 0.0001),
                          .front_bytes = front_bytes,
                          .front_kl = front_kl,
                          .n_front = 3,
                          .strata = strata,
                          .n_strata = 2,
                          .points = points,
                          .n_points = 3,
                          .shares = shares,
                          .n_shares = 2,
                          .facts = facts,
                          .n_facts = 2};
    const char *html = draw(&report);
    expect_xmllint();
    static const char *const expected[] = {
        "84.1 MB of weights instead of 269 MB: 68.7 % less, decoding 1.46 times as fast",
        "0.0433 ± 0.0036",
        "85.7 %",
        "prefers-color-scheme:dark",
        "color-scheme:light dark",
        "&lt;/title&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot;&amp;",
        "&lt;b&gt;not bold&lt;/b&gt;",
        "AMD EPYC &lt;Zen 1&gt;",
        "SmolLM2 &amp; friends",
        "<figcaption>code</figcaption>",
        "Sensitivity map",
        "layers.29.down",
        "fixed recipe",
        "88.0 %",
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (!strstr(html, expected[i])) fail_msg("the page has no «%s»", expected[i]);
    static const char *const forbidden[] = {"<script", "@import", "url(",
                                            "https:",  "<link",   "<img"};
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        assert_null(strstr(html, forbidden[i]));
    const char *http = strstr(html, "http:"); /* the name of SVG's namespace is no address */
    for (; http; http = strstr(http + 1, "http:"))
        assert_int_equal(strncmp(http, "http://www.w3.org/2000/svg\"", 27), 0);
}

/* What is not known leaves its section out, not a zero in it. */
static void an_empty_report(void **state)
{
    (void)state;
    samp_report report = {.model = "m",
                          .baseline = "b",
                          .base_format = "nf4a",
                          .when_and_where = "",
                          .predicted_kl = NAN};
    const char *html = draw(&report);
    assert_null(strstr(html, "<h2>"));
    assert_null(strstr(html, "KL measured"));
    assert_null(strstr(html, "KL predicted"));
}

static void one_layer_and_many(void **state)
{
    (void)state;
    static const uint32_t layers[] = {1, 2, 30, 80, LAYERS_MAX};
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        samp_report report = {.model = "m",
                              .baseline = "b",
                              .base_format = "nf4a",
                              .when_and_where = "",
                              .groups = groups,
                              .n_groups = make_groups(layers[i], 1e-5)};
        char last[48];
        snprintf(last, sizeof last, "layers.%u.down", layers[i] - 1);
        assert_non_null(strstr(draw(&report), last));
        expect_xmllint();
    }
}

/* Any number anywhere: 500 reports of values nobody would expect. */
static void odd_values(void **state)
{
    (void)state;
    const double odd[] = {0,      -1,     unknown, INFINITY, -INFINITY, DBL_MAX, DBL_MIN,
                          5e-324, 1e-300, 1e300,   1,        0.0433,    84e6,    1e-9};
    enum { N = sizeof odd / sizeof *odd, POINTS = 6 };
    samp_prng prng = {7};
#define ODD odd[samp_prng_below(&prng, N)]
    for (int round = 0; round < 500; round++) {
        samp_report_point points[POINTS];
        samp_report_text texts[3];
        samp_report_share shares[3];
        double front_bytes[4], front_kl[4];
        size_t n_groups = make_groups(3, 1);
        for (size_t g = 0; g < n_groups; g++)
            groups[g].base_kl = ODD, groups[g].kl = ODD, groups[g].bytes = ODD;
        for (int p = 0; p < POINTS; p++) {
            points[p] = point("p", (samp_report_kind)(p % 4), ODD, ODD);
            points[p].all = (samp_estimate){ODD, ODD, ODD};
            points[p].predicted_kl = ODD;
            for (int s = 0; s < 2; s++) points[p].kl[s] = (samp_estimate){ODD, ODD, ODD};
        }
        for (int t = 0; t < 3; t++) {
            texts[t] = (samp_report_text){"t", result(1, 0)};
            texts[t].result.kl_mean = (samp_estimate){ODD, ODD, ODD};
            texts[t].result.top1 = (samp_estimate){ODD, ODD, ODD};
            shares[t] = (samp_report_share){"s", ODD, ODD};
        }
        for (int f = 0; f < 4; f++) front_bytes[f] = ODD, front_kl[f] = ODD;
        samp_report report = {.model = "m",
                              .baseline = "b",
                              .base_format = "nf4a",
                              .when_and_where = "",
                              .weight_bytes = {ODD, ODD},
                              .bits = {ODD, ODD},
                              .decode = {ODD, ODD},
                              .predicted_kl = ODD,
                              .texts = texts,
                              .n_texts = 3,
                              .groups = groups,
                              .n_groups = n_groups,
                              .front_bytes = front_bytes,
                              .front_kl = front_kl,
                              .n_front = 4,
                              .strata = strata,
                              .n_strata = 2,
                              .points = points,
                              .n_points = POINTS,
                              .shares = shares,
                              .n_shares = 3};
        draw(&report);
    }
#undef ODD
}

static void out_of_memory(void **state)
{
    (void)state;
    samp_report report = {
        .model = "m", .baseline = "b", .base_format = "nf4a", .when_and_where = ""};
    samp_error error = {0};
    samp_buffer out = {0};
    samp_alloc_fail_at(3);
    assert_fails(samp_report_html(&report, &out, &error), &error, SAMP_NOMEM, "out of memory");
    samp_alloc_fail_at(0);
    samp_buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_report),     cmocka_unit_test(an_empty_report),
        cmocka_unit_test(one_layer_and_many), cmocka_unit_test(odd_values),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, scratch_make, release);
}
