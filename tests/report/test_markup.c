/* The writer: nothing foreign reaches the document unescaped, elements close in order, numbers are
 * numbers. */
#include "support/cmocka_all.h"

#include "report/markup.h"

#include <math.h>
#include <string.h>

static samp_buffer out;

static samp_markup begin(void)
{
    samp_buffer_clear(&out);
    return (samp_markup){.out = &out};
}

static int release(void **state)
{
    (void)state;
    samp_buffer_release(&out);
    return 0;
}

static void text_and_attributes_are_escaped(void **state)
{
    (void)state;
    samp_markup m = begin();
    samp_markup_open(&m, "p");
    samp_markup_attribute(&m, "title", "\" onload='x' <&>");
    samp_markup_attributef(&m, "data", "%s", "a\"b");
    samp_markup_textf(&m, "%s & %d", "</p><script>alert(1)</script>", 7);
    samp_markup_close(&m);
    assert_string_equal(out.data,
                        "<p title=\"&quot; onload=&#39;x&#39; &lt;&amp;&gt;\" data=\"a&quot;b\">"
                        "&lt;/p&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp; 7</p>\n");
}

static const char *escaped(const char *text)
{
    samp_markup m = begin();
    samp_markup_text(&m, text);
    return out.data;
}

#define UNKNOWN "\xEF\xBF\xBD"

static void what_xml_does_not_allow_is_replaced(void **state)
{
    (void)state;
    assert_string_equal(escaped("tab\tand\nline"), "tab\tand\nline");
    assert_string_equal(escaped("\x01\x1b[31m\x7f"), UNKNOWN UNKNOWN "[31m\x7f");
    assert_string_equal(escaped("grün ≤ 😀"), "grün ≤ 😀");
    assert_string_equal(escaped("\xff\xc3"), UNKNOWN UNKNOWN);             /* no UTF-8, cut off */
    assert_string_equal(escaped("\xc0\xbc"), UNKNOWN UNKNOWN);             /* overlong < */
    assert_string_equal(escaped("\xe0\x80\xbc"), UNKNOWN UNKNOWN UNKNOWN); /* the same in 3 */
    assert_string_equal(escaped("\xed\xa0\x80"), UNKNOWN UNKNOWN UNKNOWN); /* a surrogate */
    assert_string_equal(escaped("\xef\xbf\xbe"), UNKNOWN UNKNOWN UNKNOWN); /* U+FFFE */
    assert_string_equal(escaped("\xf4\x90\x80\x80"), UNKNOWN UNKNOWN UNKNOWN UNKNOWN);
    assert_string_equal(escaped("\xc2\x85"), UNKNOWN UNKNOWN); /* a control character */
}

/* Every two bytes there are: what comes out has no raw markup and is valid to escape again. */
static void every_pair_of_bytes(void **state)
{
    (void)state;
    for (int a = 1; a < 256; a++)
        for (int b = 1; b < 256; b++) {
            const char text[3] = {(char)a, (char)b, '\0'};
            const char *got = escaped(text);
            assert_null(strpbrk(got, "<>\"'"));
            for (const char *c = got; *c; c++)
                assert_true((unsigned char)*c >= 0x20 || *c == '\t' || *c == '\n');
            for (const char *c = strchr(got, '&'); c; c = strchr(c + 1, '&'))
                assert_true(strchr("alqg#", c[1]) != NULL);
        }
}

static void numbers_are_short_and_finite(void **state)
{
    (void)state;
    samp_markup m = begin();
    samp_markup_open(&m, "rect");
    samp_markup_number(&m, "a", 12.50);
    samp_markup_number(&m, "b", 1 / 3.0);
    samp_markup_number(&m, "c", NAN);
    samp_markup_number(&m, "d", INFINITY);
    samp_markup_number(&m, "e", 1e300);
    samp_markup_number(&m, "f", 100);
    samp_markup_number(&m, "g", -0.5);
    samp_markup_close(&m);
    assert_string_equal(out.data, "<rect a=\"12.5\" b=\"0.33\" c=\"0\" d=\"0\" e=\"0\" f=\"100\" "
                                  "g=\"-0.5\"></rect>\n");
}

static void long_texts_and_nesting(void **state)
{
    (void)state;
    char text[3000];
    memset(text, '<', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    samp_markup m = begin();
    samp_markup_open(&m, "meta");
    samp_markup_close(&m);
    samp_markup_open(&m, "b");
    samp_markup_textf(&m, "%s", text);
    samp_markup_element(&m, "i", "c", "");
    samp_markup_close(&m);
    assert_int_equal(m.depth, 0);
    assert_int_equal(out.length, strlen("<meta />\n<b><i class=\"c\"></i>\n</b>\n") + 4 * 2999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_and_attributes_are_escaped),
        cmocka_unit_test(what_xml_does_not_allow_is_replaced),
        cmocka_unit_test(every_pair_of_bytes),
        cmocka_unit_test(numbers_are_short_and_finite),
        cmocka_unit_test(long_texts_and_nesting),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
