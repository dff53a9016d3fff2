/* Calls: how arguments meet the parameters of builtins and macros, the global functions, and the
 * methods of dicts, lists and loops. Lists and dicts have no methods that change them: Hugging Face
 * renders in Jinja2's immutable sandbox, where those are refused as well. */
#include "chat/jinja.h"

#include <time.h>

/* ---- arguments ------------------------------------------------------------------------------- */

/* Index of a parameter in "old new count", -1 when there is none of this name. */
static int parameter_index(const char *parameters, samp__text name)
{
    int index = 0;
    for (const char *at = parameters; *at; index++) {
        size_t n = strcspn(at, " ");
        if (n == name.n && memcmp(at, name.bytes, n) == 0) return index;
        at += n;
        while (*at == ' ') at++;
    }
    return -1;
}

static int parameter_count(const char *parameters)
{
    int count = *parameters != '\0';
    for (const char *at = parameters; *at; at++) count += *at == ' ';
    return count;
}

static samp_status bind_arguments(samp__render *r, const samp__builtin *row,
                                  const samp__arguments *given, samp__call *call)
{
    if (!row->parameters) return SAMP_OK;
    int count = parameter_count(row->parameters);
    if (given->n > (uint32_t)count)
        return samp__fail(r, SAMP_INVALID, "'%s' takes at most %d arguments, found %u", row->name,
                          count, given->n);
    for (uint32_t i = 0; i < given->n; i++) call->args[i] = given->items[i];
    for (uint32_t i = 0; i < given->n_keywords; i++) {
        samp__text name = given->keywords[i].name;
        int index = parameter_index(row->parameters, name);
        if (index < 0 || call->args[index].kind != SAMP__ABSENT)
            return samp__fail(r, SAMP_UNSUPPORTED, "'%s' has no argument '%.*s' to give here",
                              row->name, (int)(name.n < 60 ? name.n : 60), name.bytes);
        call->args[index] = given->keywords[i].value;
    }
    for (unsigned i = 0; i < row->required; i++)
        if (call->args[i].kind == SAMP__ABSENT)
            return samp__fail(r, SAMP_INVALID, "'%s' needs more arguments (%s)", row->name,
                              row->parameters);
    return SAMP_OK;
}

samp_status samp__call_builtin(samp__render *r, const samp__builtin *row, const samp__value *self,
                               const samp__arguments *given, samp__value *out)
{
    samp__call call = {.row = row, .given = given};
    if (self) call.self = *self;
    SAMP_TRY(bind_arguments(r, row, given, &call));
    SAMP_TRY(samp__enter(r));
    samp_status status = row->run(r, &call, out);
    samp__leave(r);
    return status;
}

samp_status samp__argument_text(samp__render *r, const samp__call *call, int index, samp__text *out)
{
    const samp__value *v = &call->args[index];
    if (v->kind == SAMP__ABSENT || v->kind == SAMP__NONE) return SAMP_OK;
    if (v->kind != SAMP__TEXT)
        return samp__fail(r, SAMP_INVALID, "argument %d of '%s' is a text, found %s", index + 1,
                          call->row->name, samp__kind_name(v->kind));
    *out = v->text;
    return SAMP_OK;
}

samp_status samp__argument_int(samp__render *r, const samp__call *call, int index, int64_t *out)
{
    const samp__value *v = &call->args[index];
    if (v->kind == SAMP__ABSENT || v->kind == SAMP__NONE) return SAMP_OK;
    if (v->kind != SAMP__INT && v->kind != SAMP__BOOL)
        return samp__fail(r, SAMP_INVALID, "argument %d of '%s' is an int, found %s", index + 1,
                          call->row->name, samp__kind_name(v->kind));
    *out = v->kind == SAMP__BOOL ? v->truth : v->integer;
    return SAMP_OK;
}

bool samp__argument_truth(const samp__call *call, int index)
{
    return samp__truth(&call->args[index]);
}

samp_status samp__self_text(samp__render *r, const samp__call *call, samp__text *out)
{
    return samp__to_text(r, &call->self, out);
}

/* ---- macros ---------------------------------------------------------------------------------- */

static samp_status bind_parameters(samp__render *r, const samp__node *node,
                                   const samp__arguments *given)
{
    uint32_t index = 0, used = 0;
    for (const samp__node *p = node->items; p; p = p->next, index++) {
        const char *name = r->template->names.items[p->name];
        samp__value value = {.kind = SAMP__UNDEFINED, .missing = name};
        bool found = index < given->n;
        if (found) value = given->items[index];
        for (uint32_t i = 0; i < given->n_keywords; i++) {
            if (!samp__text_is(given->keywords[i].name, name)) continue;
            value = given->keywords[i].value;
            found = true;
            used++;
        }
        if (!found && p->a) SAMP_TRY(samp__evaluate(r, p->a, &value));
        SAMP_TRY(samp__bind(r, r->frame, p->name, value));
    }
    if (given->n > index || used < given->n_keywords)
        return samp__fail(r, SAMP_INVALID, "macro '%s' is called with arguments it does not have",
                          r->template->names.items[node->name]);
    return SAMP_OK;
}

static samp_status call_macro(samp__render *r, const samp__macro *macro,
                              const samp__arguments *given, samp__value *out)
{
    samp__frame *caller;
    samp__text text, captured = r->captured;
    SAMP_TRY(samp__frame_push(r, macro->frame, &caller));
    SAMP_TRY(bind_parameters(r, macro->node, given));
    SAMP_TRY(samp__capture(r, macro->node->body, &text));
    r->frame = caller;
    r->captured = captured;
    *out = samp__of_text(text);
    return SAMP_OK;
}

samp_status samp__call_value(samp__render *r, const samp__value *callee,
                             const samp__arguments *given, samp__value *out)
{
    switch (callee->kind) {
    case SAMP__MACRO: return call_macro(r, callee->macro, given, out);
    case SAMP__FUNCTION: return samp__call_builtin(r, callee->function, NULL, given, out);
    case SAMP__METHOD:
        return samp__call_builtin(r, callee->method->row, &callee->method->self, given, out);
    case SAMP__UNDEFINED:
        return samp__fail(r, SAMP_UNSUPPORTED, "'%.60s' is undefined and cannot be called",
                          callee->missing);
    default:
        return samp__fail(r, SAMP_INVALID, "%s cannot be called", samp__kind_name(callee->kind));
    }
}

/* ---- global functions ------------------------------------------------------------------------ */

static samp_status raise_exception(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text text;
    (void)out;
    SAMP_TRY(samp__to_text(r, &call->args[0], &text));
    return samp__fail(r, SAMP_INVALID, "the template says: %.*s",
                      (int)(text.n < 500 ? text.n : 500), text.bytes);
}

static samp_status strftime_now(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__text format = SAMP__LITERAL("");
    char pattern[128], text[512], *copy;
    SAMP_TRY(samp__argument_text(r, call, 0, &format));
    if (format.n + 1 >= sizeof pattern)
        return samp__fail(r, SAMP_LIMIT, "a date format of %u bytes, at most %zu are accepted",
                          format.n, sizeof pattern - 2);
    /* One byte in front tells an empty result from one that is too long. */
    pattern[0] = ' ';
    memcpy(pattern + 1, format.bytes, format.n);
    pattern[format.n + 1] = '\0';
    time_t now = r->now ? (time_t)r->now : time(NULL);
    struct tm local;
    if (!localtime_r(&now, &local)) return samp__fail(r, SAMP_INVALID, "there is no local time");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the format is what the function is for */
    size_t n = strftime(text, sizeof text, pattern, &local);
#pragma GCC diagnostic pop
    if (n == 0) return samp__fail(r, SAMP_LIMIT, "a date of more than %zu bytes", sizeof text);
    SAMP_TRY(samp__allocate(r, n, 1, &copy));
    memcpy(copy, text + 1, n - 1);
    *out = samp__of_text((samp__text){.bytes = copy, .n = (uint32_t)n - 1, .trusted = true});
    return SAMP_OK;
}

static samp_status range(samp__render *r, const samp__call *call, samp__value *out)
{
    int64_t from = 0, to = 0, step = 1;
    SAMP_TRY(samp__argument_int(r, call, 0, &to));
    if (call->args[1].kind != SAMP__ABSENT) {
        from = to;
        SAMP_TRY(samp__argument_int(r, call, 1, &to));
    }
    SAMP_TRY(samp__argument_int(r, call, 2, &step));
    if (step == 0) return samp__fail(r, SAMP_INVALID, "the step of a range cannot be 0");
    samp__list *list;
    SAMP_TRY(samp__allocate(r, 1, sizeof *list, &list));
    for (int64_t i = from; step > 0 ? i < to : i > to;) {
        if (list->n == SAMP__RANGE_MAX)
            return samp__fail(r, SAMP_LIMIT, "a range of more than %d numbers", SAMP__RANGE_MAX);
        SAMP_TRY(samp__list_add(r, list, samp__int(i)));
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    *out = samp__of_list(list);
    return SAMP_OK;
}

/* dict(…), namespace(…): a dict's members, then the named arguments. */
static samp_status make_dict(samp__render *r, const samp__call *call, samp__value *out)
{
    const samp__arguments *given = call->given;
    bool is_namespace = call->row->name[0] == 'n';
    samp__dict *dict;
    SAMP_TRY(samp__allocate(r, 1, sizeof *dict, &dict));
    for (uint32_t i = 0; i < given->n; i++) {
        const samp__value *from = &given->items[i];
        if (i > 0 || from->kind != SAMP__DICT)
            return samp__fail(r, SAMP_UNSUPPORTED, "'%s' takes one dict and named arguments",
                              call->row->name);
        for (uint32_t j = 0; j < from->dict->keys.n; j++)
            SAMP_TRY(
                samp__dict_set(r, dict, from->dict->keys.items[j], from->dict->values.items[j]));
    }
    for (uint32_t i = 0; i < given->n_keywords; i++)
        SAMP_TRY(samp__dict_set(r, dict, samp__of_text(given->keywords[i].name),
                                given->keywords[i].value));
    *out = (samp__value){.kind = is_namespace ? SAMP__NAMESPACE : SAMP__DICT, .dict = dict};
    return SAMP_OK;
}

static const samp__builtin FUNCTIONS[] = {
    {"range", "start stop step", 1, range},
    {"namespace", NULL, 0, make_dict},
    {"dict", NULL, 0, make_dict},
    {"raise_exception", "message", 1, raise_exception},
    {"strftime_now", "format", 1, strftime_now},
};

const samp__builtin *samp__function_find(const char *name)
{
    for (size_t i = 0; i < sizeof FUNCTIONS / sizeof *FUNCTIONS; i++)
        if (strcmp(FUNCTIONS[i].name, name) == 0) return &FUNCTIONS[i];
    return NULL;
}

/* ---- methods of dicts, lists and loops ------------------------------------------------------- */

static samp_status dict_get(samp__render *r, const samp__call *call, samp__value *out)
{
    const samp__dict *dict = call->self.dict;
    const samp__value *item = samp__dict_get(r, dict, &call->args[0]);
    *out = item                                 ? *item
           : call->args[1].kind == SAMP__ABSENT ? (samp__value){.kind = SAMP__NONE}
                                                : call->args[1];
    return samp__charge(r, dict->keys.n / 4);
}

static samp_status dict_items(samp__render *r, const samp__call *call, samp__value *out)
{
    const samp__dict *dict = call->self.dict;
    samp__list *list, *pairs;
    samp__value *values;
    SAMP_TRY(samp__allocate(r, 1, sizeof *list, &list));
    SAMP_TRY(samp__allocate(r, dict->keys.n, sizeof *pairs, &pairs));
    SAMP_TRY(samp__allocate(r, 2 * (size_t)dict->keys.n, sizeof *values, &values));
    for (uint32_t i = 0; i < dict->keys.n; i++) {
        values[2 * i] = dict->keys.items[i];
        values[2 * i + 1] = dict->values.items[i];
        pairs[i] = (samp__list){.items = values + 2 * i, .n = 2, .capacity = 2};
        SAMP_TRY(samp__list_add(r, list, (samp__value){.kind = SAMP__TUPLE, .list = &pairs[i]}));
    }
    *out = samp__of_list(list);
    return SAMP_OK;
}

static samp_status dict_keys(samp__render *r, const samp__call *call, samp__value *out)
{
    *out = samp__of_list(&call->self.dict->keys);
    return samp__charge(r, 1);
}

static samp_status dict_values(samp__render *r, const samp__call *call, samp__value *out)
{
    *out = samp__of_list(&call->self.dict->values);
    return samp__charge(r, 1);
}

static samp_status copy(samp__render *r, const samp__call *call, samp__value *out)
{
    *out = call->self; /* what never changes is its own copy */
    return samp__charge(r, 1);
}

static samp_status list_count(samp__render *r, const samp__call *call, samp__value *out)
{
    int64_t count = 0;
    for (uint32_t i = 0; i < call->self.list->n; i++) {
        bool same;
        SAMP_TRY(samp__equal(r, &call->self.list->items[i], &call->args[0], &same));
        count += same;
    }
    *out = samp__int(count);
    return SAMP_OK;
}

static samp_status list_index(samp__render *r, const samp__call *call, samp__value *out)
{
    for (uint32_t i = 0; i < call->self.list->n; i++) {
        bool same;
        SAMP_TRY(samp__equal(r, &call->self.list->items[i], &call->args[0], &same));
        *out = samp__int(i);
        if (same) return SAMP_OK;
    }
    return samp__fail(r, SAMP_INVALID, "'index' found no such item in the list");
}

static samp_status loop_cycle(samp__render *r, const samp__call *call, samp__value *out)
{
    if (call->given->n == 0) return samp__fail(r, SAMP_INVALID, "'cycle' needs an argument");
    *out = call->given->items[call->self.loop->index % call->given->n];
    return SAMP_OK;
}

/* Whether the value is another than at the last call in this loop. */
static samp_status loop_changed(samp__render *r, const samp__call *call, samp__value *out)
{
    samp__loop *loop = call->self.loop;
    bool same = false;
    if (loop->changed.kind != SAMP__ABSENT)
        SAMP_TRY(samp__equal(r, &loop->changed, &call->args[0], &same));
    loop->changed = call->args[0];
    *out = samp__bool(!same);
    return SAMP_OK;
}

static const samp__builtin DICT_METHODS[] = {
    {"get", "key default", 1, dict_get}, {"items", "", 0, dict_items}, {"keys", "", 0, dict_keys},
    {"values", "", 0, dict_values},      {"copy", "", 0, copy},        {0},
};
static const samp__builtin LIST_METHODS[] = {
    {"count", "value", 1, list_count},
    {"index", "value", 1, list_index},
    {"copy", "", 0, copy},
    {0},
};
static const samp__builtin LOOP_METHODS[] = {
    {"cycle", NULL, 0, loop_cycle},
    {"changed", "value", 1, loop_changed},
    {0},
};

const samp__builtin *samp__method_find(samp__kind kind, samp__text name)
{
    const samp__builtin *row = kind == SAMP__TEXT                          ? samp__text_methods
                               : kind == SAMP__DICT                        ? DICT_METHODS
                               : kind == SAMP__LIST || kind == SAMP__TUPLE ? LIST_METHODS
                               : kind == SAMP__LOOP                        ? LOOP_METHODS
                                                                           : NULL;
    for (; row && row->name; row++)
        if (samp__text_is(name, row->name)) return row;
    return NULL;
}
