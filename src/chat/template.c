/* The public face of chat templates: compile, render, limits, errors.
 * A samp_chat_template owns the arena of its tree; a rendering's arena lives for the call. */
#include "chat/jinja.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- what every part of a rendering calls ---------------------------------------------------- */

samp_status samp__fail(samp__render *r, samp_status status, const char *format, ...)
{
    char message[640];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (!r->at) return samp_fail(r->error, status, "%s: %s", r->template->where, message);
    return samp_fail(r->error, status, "%s, line %u, column %u: %s", r->template->where,
                     r->at->line, r->at->column, message);
}

samp_status samp__charge(samp__render *r, uint64_t steps)
{
    r->steps += steps;
    if (r->steps <= r->limits.steps) return SAMP_OK;
    return samp__fail(r, SAMP_LIMIT, "the template takes more than %llu steps, the limit",
                      (unsigned long long)r->limits.steps);
}

samp_status samp__enter(samp__render *r)
{
    if (r->depth++ < r->limits.depth) return SAMP_OK;
    return samp__fail(r, SAMP_LIMIT, "the template goes more than %u levels deep, the limit",
                      r->limits.depth);
}

samp_status samp__allocate(samp__render *r, size_t count, size_t size, void *out)
{
    uint64_t bytes;
    if (!samp_mul(count, size, &bytes) || bytes > r->limits.memory_bytes ||
        r->arena.used_bytes > r->limits.memory_bytes - bytes)
        return samp__fail(r, SAMP_LIMIT, "the template needs more than %llu bytes, the limit",
                          (unsigned long long)r->limits.memory_bytes);
    void *memory = samp_arena_alloc(&r->arena, count, size);
    if (!memory) return samp__fail(r, SAMP_NOMEM, "out of memory");
    memcpy(out, &memory, sizeof memory);
    return SAMP_OK;
}

/* ---- compile --------------------------------------------------------------------------------- */

static samp_status check_source(const char *source, size_t n, const char *where, samp_error *error)
{
    if (n > SAMP__SOURCE_MAX)
        return samp_fail(error, SAMP_LIMIT,
                         "%s: a chat template of %zu bytes, at most %d are accepted", where, n,
                         SAMP__SOURCE_MAX);
    for (size_t at = 0; at < n;) {
        int length = source[at] ? samp_utf8_length(source + at, n - at) : 0;
        if (length <= 0)
            return samp_fail(error, SAMP_CORRUPT, "%s: byte %zu of the chat template is no text",
                             where, at);
        at += (size_t)length;
    }
    return SAMP_OK;
}

samp_status samp_chat_template_compile(samp_chat_template **out, const char *source, size_t n,
                                       const char *where, samp_error *error)
{
    samp__lexemes lexemes = {0};
    *out = NULL;
    SAMP_TRY(check_source(source, n, where, error));
    samp_chat_template *template = samp_alloc(1, sizeof *template);
    if (!template) return samp_fail(error, SAMP_NOMEM, "%s: out of memory", where);
    template->where = samp_arena_strndup(&template->arena, where, strlen(where));
    samp_status status = template->where
                             ? samp__lex(&lexemes, &template->arena, source, n, where, error)
                             : samp_fail(error, SAMP_NOMEM, "%s: out of memory", where);
    if (status == SAMP_OK) status = samp__parse(template, lexemes.items, error);
    samp_free(lexemes.items);
    if (status == SAMP_OK)
        *out = template;
    else
        samp_chat_template_release(template);
    return status;
}

void samp_chat_template_release(samp_chat_template *template)
{
    if (!template) return;
    samp_arena_release(&template->arena);
    samp_free(template);
}

static bool find_name(const samp_chat_template *template, const char *name, uint32_t *index)
{
    for (*index = 0; *index < template->names.n; ++*index)
        if (strcmp(template->names.items[*index], name) == 0) return true;
    return false;
}

bool samp_chat_template_uses(const samp_chat_template *template, const char *name)
{
    uint32_t index;
    return find_name(template, name, &index);
}

/* ---- render ---------------------------------------------------------------------------------- */

/* Gives a variable its value, when the template has its name at all. */
static samp_status set_variable(samp__render *r, const char *name, const json_t *json, bool trusted)
{
    uint32_t index;
    samp__value value;
    if (!find_name(r->template, name, &index)) return SAMP_OK;
    SAMP_TRY(samp__from_json(r, json, trusted, &value));
    return samp__bind(r, r->frame, index, value);
}

static samp_status set_variables(samp__render *r, const json_t *object, bool trusted)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)object, name, value)
        SAMP_TRY(set_variable(r, name, value, trusted));
    return SAMP_OK;
}

/* Roles are words of the protocol. Some templates make special tokens of them ("<|" + role + "|>"),
 * so the known ones count as the template's; any other is text of the request. */
static samp_status trust_roles(samp__render *r, const samp__value *messages)
{
    static const char *const known[] = {"system",    "user",     "assistant", "tool",
                                        "developer", "function", "ipython",   "environment"};
    for (uint32_t i = 0; i < messages->list->n; i++) {
        const samp__value *message = &messages->list->items[i];
        if (message->kind != SAMP__DICT)
            return samp__fail(r, SAMP_INVALID,
                              "message %u is %s, "
                              "expected an object",
                              i, samp__kind_name(message->kind));
        samp__value *role = (samp__value *)samp__dict_find(message->dict, "role");
        for (size_t k = 0; role && k < sizeof known / sizeof *known; k++)
            if (role->kind == SAMP__TEXT && samp__text_is(role->text, known[k]))
                role->text.trusted = true;
    }
    return SAMP_OK;
}

static samp_status set_input(samp__render *r, const samp_chat_input *input)
{
    samp__value messages;
    uint32_t index;
    if (!json_is_array(input->messages))
        return samp__fail(r, SAMP_INVALID, "the messages are no array");
    SAMP_TRY(set_variables(r, input->tokens, true));
    SAMP_TRY(set_variables(r, input->variables, false));
    SAMP_TRY(samp__from_json(r, input->messages, false, &messages));
    SAMP_TRY(trust_roles(r, &messages));
    if (find_name(r->template, "messages", &index))
        SAMP_TRY(samp__bind(r, r->frame, index, messages));
    SAMP_TRY(set_variable(r, "tools", input->tools, false));
    if (!json_object_get(input->variables, "documents"))
        SAMP_TRY(set_variable(r, "documents", NULL, false));
    if (find_name(r->template, "add_generation_prompt", &index))
        SAMP_TRY(samp__bind(r, r->frame, index, samp__bool(input->add_generation_prompt)));
    return SAMP_OK;
}

static samp_chat_limits with_defaults(samp_chat_limits limits)
{
    if (!limits.steps) limits.steps = 20 * 1000 * 1000;
    if (!limits.memory_bytes) limits.memory_bytes = UINT64_C(256) << 20;
    if (!limits.output_bytes) limits.output_bytes = 32 << 20;
    if (!limits.depth) limits.depth = 400;
    return limits;
}

static samp_status render(samp__render *r, const samp_chat_input *input, samp_chat_text *out)
{
    samp__builder text = {0};
    samp__frame *none;
    r->output = &text;
    SAMP_TRY(samp__frame_push(r, NULL, &none));
    SAMP_TRY(set_input(r, input));
    SAMP_TRY(samp__execute(r, r->template->body));
    samp_buffer_append(&out->text, text.bytes, text.n);
    samp_buffer_append(&out->marks, text.marks, text.n);
    SAMP_TRY(samp_buffer_ok(&out->text, r->error));
    return samp_buffer_ok(&out->marks, r->error);
}

samp_status samp_chat_render(const samp_chat_template *template, const samp_chat_input *input,
                             samp_chat_text *out, samp_error *error)
{
    samp__render r = {.template = template,
                      .limits = with_defaults(input->limits),
                      .error = error,
                      .now = input->now};
    samp_buffer_clear(&out->text);
    samp_buffer_clear(&out->marks);
    samp_status status = render(&r, input, out);
    samp_arena_release(&r.arena);
    return status;
}

void samp_chat_text_release(samp_chat_text *text)
{
    samp_buffer_release(&text->text);
    samp_buffer_release(&text->marks);
}
