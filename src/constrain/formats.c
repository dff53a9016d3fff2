/* Formats of strings: what their RFCs say, as far as a regular expression can say it. Narrower than
 * the RFC where people write one of several forms (no leap seconds' check, no comments in mail
 * addresses). */
#include "constrain/formats.h"

#include <stddef.h>
#include <string.h>

#define DATE                                                                                       \
    "(\\d{4}-(0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|\\d{4}-(0[469]|11)-(0[1-9]|[12]\\d|30)|"      \
    "\\d{4}-02-(0[1-9]|1\\d|2[0-8])|"                                                              \
    "(\\d\\d(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29)"
#define TIME     "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?([Zz]|[+-]([01]\\d|2[0-3]):[0-5]\\d)"
#define OCTET    "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define IPV4     OCTET "(\\." OCTET "){3}"
#define LABEL    "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define HOSTNAME LABEL "(\\." LABEL ")*"
#define H16      "[0-9A-Fa-f]{1,4}"
#define IPV6                                                                                       \
    "((" H16 ":){7}" H16 "|(" H16 ":){1,7}:|(" H16 ":){1,6}:" H16 "|(" H16 ":){1,5}(:" H16         \
    "){1,2}|(" H16 ":){1,4}(:" H16 "){1,3}|(" H16 ":){1,3}(:" H16 "){1,4}|(" H16 ":){1,2}(:" H16   \
    "){1,5}|" H16 ":(:" H16 "){1,6}|:((:" H16 "){1,7}|:)|::([Ff]{4}:)?" IPV4 "|(" H16              \
    ":){1,4}:" IPV4 ")"
#define PCHAR "([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define HIER  "(//([A-Za-z0-9._~!$&'()*+,;=:@\\[\\]-]|%[0-9A-Fa-f]{2})*)?(/?" PCHAR "*)*"
#define TAIL  "(\\?(" PCHAR "|[/?])*)?(#(" PCHAR "|[/?])*)?"
#define URI   "[A-Za-z][A-Za-z0-9+.-]*:" HIER TAIL

static const struct {
    const char *name, *pattern;
} formats[] = {
    {"date", "^" DATE "$"},
    {"time", "^" TIME "$"},
    {"date-time", "^" DATE "[Tt]" TIME "$"},
    {"duration",
     "^P((\\d+Y)(\\d+M(\\d+D)?)?|\\d+M(\\d+D)?|\\d+D)(T(\\d+H(\\d+M(\\d+S)?)?|"
     "\\d+M(\\d+S)?|\\d+S))?$|^PT(\\d+H(\\d+M(\\d+S)?)?|\\d+M(\\d+S)?|\\d+S)$|^P\\d+W$"},
    {"email",
     "^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@" HOSTNAME "$"},
    {"idn-email", "^[^\\s@\"]+@[^\\s@\"]+$"},
    {"hostname", "^" HOSTNAME "$"},
    {"idn-hostname", "^[^\\s./]+(\\.[^\\s./]+)*$"},
    {"ipv4", "^" IPV4 "$"},
    {"ipv6", "^" IPV6 "$"},
    {"uuid", "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}$"},
    {"uri", "^" URI "$"},
    {"uri-reference", "^([A-Za-z][A-Za-z0-9+.-]*:)?" HIER TAIL "$"},
    {"iri", "^[A-Za-z][A-Za-z0-9+.-]*:[^\\s<>\"{}|\\\\^`]*$"},
    {"iri-reference", "^[^\\s<>\"{}|\\\\^`]*$"},
    {"json-pointer", "^(/([^~/]|~[01])*)*$"},
    {"relative-json-pointer", "^(0|[1-9]\\d*)(#|(/([^~/]|~[01])*)*)$"},
    /* OpenAPI's: what the type says already. */
    {"int32", ""},
    {"int64", ""},
    {"float", ""},
    {"double", ""},
    {"password", ""},
};

const char *samp__format_pattern(const char *name)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i].name, name) == 0) return formats[i].pattern;
    return NULL;
}
