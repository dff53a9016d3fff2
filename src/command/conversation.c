/* A conversation: messages, the sequence that caches them, and one answer after another. */
#include "command/conversation.h"

#include "base/memory.h"
#include "run/generate.h"

#include <string.h>

enum {
    PREFILL_CHUNK = 128, /* tokens read between two looks at the reader */
    ANSWER_ROOM = 256,   /* positions an answer should have before old messages are forgotten */
};

struct samp_conversation {
    const samp_loaded *model;
    const samp_chat *chat;
    samp_conversation_options options;
    json_t *messages;
    samp_sequence *sequence;
    samp_tokens held; /* what the sequence's positions stand for */
    uint64_t turns;
};

samp_status samp_conversation_open(samp_conversation **out, const samp_loaded *model,
                                   const samp_chat *chat, const samp_conversation_options *options,
                                   samp_error *error)
{
    samp_conversation *c = *out = samp_alloc(1, sizeof *c);
    if (!c) return samp_fail(error, SAMP_NOMEM, "out of memory for a conversation");
    *c = (samp_conversation){.model = model, .chat = chat, .options = *options};
    c->messages = json_array();
    samp_status status = c->messages
                             ? samp_sequence_create(model->session, &c->sequence, error)
                             : samp_fail(error, SAMP_NOMEM, "out of memory for a conversation");
    if (status == SAMP_OK) return SAMP_OK;
    samp_conversation_close(c);
    *out = NULL;
    return status;
}

void samp_conversation_close(samp_conversation *c)
{
    if (!c) return;
    samp_sequence_release(c->model->session, c->sequence);
    samp_tokens_release(&c->held);
    json_decref(c->messages);
    samp_free(c);
}

/* ---- messages -------------------------------------------------------------------------------- */

static bool has_system(const samp_conversation *c)
{
    const char *role = json_string_value(json_object_get(json_array_get(c->messages, 0), "role"));
    return role && strcmp(role, "system") == 0;
}

static samp_status make_message(const char *role, const char *text, size_t n, json_t **out,
                                samp_error *error)
{
    json_t *content = json_stringn(text, n);
    if (!content) return samp_fail(error, SAMP_INVALID, "the text is not valid UTF-8");
    *out = json_pack("{s:s, s:o}", "role", role, "content", content);
    return *out ? SAMP_OK : samp_fail(error, SAMP_NOMEM, "out of memory for a message");
}

static samp_status add_message(samp_conversation *c, const char *role, const char *text, size_t n,
                               samp_error *error)
{
    json_t *message;
    SAMP_TRY(make_message(role, text, n, &message, error));
    if (json_array_append_new(c->messages, message) == 0) return SAMP_OK;
    return samp_fail(error, SAMP_NOMEM, "out of memory for a message");
}

samp_status samp_conversation_system(samp_conversation *c, const char *text, size_t n,
                                     samp_error *error)
{
    json_t *message = NULL;
    if (n) SAMP_TRY(make_message("system", text, n, &message, error));
    if (has_system(c)) json_array_remove(c->messages, 0);
    if (!message || json_array_insert_new(c->messages, 0, message) == 0) return SAMP_OK;
    return samp_fail(error, SAMP_NOMEM, "out of memory for a message");
}

void samp_conversation_reset(samp_conversation *c)
{
    size_t keep = has_system(c);
    while (json_array_size(c->messages) > keep)
        json_array_remove(c->messages, json_array_size(c->messages) - 1);
}

uint32_t samp_conversation_messages(const samp_conversation *c)
{
    return (uint32_t)json_array_size(c->messages);
}

uint32_t samp_conversation_length(const samp_conversation *c)
{
    return samp_sequence_length(c->sequence);
}

static void drop_last(samp_conversation *c)
{
    json_array_remove(c->messages, json_array_size(c->messages) - 1);
}

/* ---- tokens and the cache -------------------------------------------------------------------- */

/* Positions one sequence can use. */
static uint32_t room(const samp_conversation *c)
{
    uint32_t positions = samp_session_max_positions(c->model->session);
    uint32_t context = samp_session_context(c->model->session);
    return positions < context ? positions : context;
}

/* The conversation's tokens, without its oldest exchanges when the context is too small for all. */
static samp_status make_prompt(samp_conversation *c, samp_tokens *tokens, samp_turn *turn,
                               samp_error *error)
{
    uint32_t reserve = room(c) / 4 < ANSWER_ROOM ? room(c) / 4 : ANSWER_ROOM;
    for (;;) {
        samp_chat_input input = {.messages = c->messages,
                                 .add_generation_prompt = true,
                                 .variables = c->options.variables};
        tokens->count = 0;
        SAMP_TRY(samp_chat_encode(c->chat, &input, tokens, error));
        if (tokens->count == 0)
            return samp_fail(error, SAMP_INVALID, "the chat template makes no tokens of this");
        if (tokens->count + reserve <= room(c)) return SAMP_OK;
        size_t first = has_system(c), n = json_array_size(c->messages);
        if (n < first + 3) /* only this question is left */
            return samp_fail(error, SAMP_LIMIT,
                             "the message has %zu tokens with what belongs to it, and the context "
                             "%u positions, %u of them for the answer; start with --context N",
                             tokens->count, room(c), reserve);
        json_array_remove(c->messages, first); /* a question and its answer */
        json_array_remove(c->messages, first);
        turn->forgotten += 2;
    }
}

/* How many of the tokens the cache holds already; the last one is always fed again, for its logits.
 */
static uint32_t common_prefix(const samp_conversation *c, const samp_tokens *tokens)
{
    uint32_t n = 0;
    while (n < c->held.count && n + 1 < tokens->count && c->held.ids[n] == tokens->ids[n]) n++;
    return n;
}

/* Makes `held` say what the sequence holds after some or all of these were fed to it. */
static samp_status remember(samp_conversation *c, const samp_tokens *tokens,
                            const samp_tokens *answer, samp_error *error)
{
    uint32_t length = samp_sequence_length(c->sequence);
    samp_status status = SAMP_OK;
    c->held.count = 0;
    for (size_t i = 0; status == SAMP_OK && i < length; i++)
        status = samp_tokens_push(
            &c->held, i < tokens->count ? tokens->ids[i] : answer->ids[i - tokens->count], error);
    if (status != SAMP_OK) {
        samp_sequence_truncate(c->model->session, c->sequence, 0);
        c->held.count = 0;
    }
    return status;
}

/* ---- an answer ------------------------------------------------------------------------------- */

typedef struct answer {
    samp_conversation *conversation;
    const samp_reader *reader;
    samp_turn *turn;
    samp_tokens prompt, ids;
    samp_buffer text;
} answer;

static bool take_piece(void *context, const char *text, size_t n)
{
    answer *a = context;
    samp_buffer_append(&a->text, text, n);
    if (!a->text.failed && a->reader->piece(a->reader->context, text, n)) return true;
    a->turn->cut = true;
    return false;
}

/* Feeds the prompt from *at on but for a last chunk, which generation feeds; sets turn->cut when
 * the reader stops it. */
static samp_status read_prompt(answer *a, uint32_t *at, samp_error *error)
{
    samp_conversation *c = a->conversation;
    double start = samp_clock();
    samp_status status = SAMP_OK;
    while (status == SAMP_OK && a->prompt.count - *at > PREFILL_CHUNK) {
        a->turn->cut = a->reader->stopped(a->reader->context);
        if (a->turn->cut) break;
        status = samp_session_prefill(c->model->session, c->sequence, a->prompt.ids + *at,
                                      PREFILL_CHUNK, false, NULL, error);
        *at += PREFILL_CHUNK;
    }
    a->turn->prefill_seconds = samp_clock() - start;
    return status;
}

static samp_status write_answer(answer *a, uint32_t at, samp_error *error)
{
    samp_conversation *c = a->conversation;
    samp_sampler_options how = c->options.sampling;
    samp_sampler *sampler;
    samp_generated generated;
    how.seed += c->turns++;
    SAMP_TRY(samp_sampler_create(&sampler, &how, samp_session_config(c->model->session)->vocab_size,
                                 error));
    for (uint32_t i = 0; i < at; i++) samp_sampler_accept(sampler, a->prompt.ids[i], false);
    samp_generate_options options = {.prompt = a->prompt.ids + at,
                                     .n_prompt = (uint32_t)a->prompt.count - at,
                                     .max_new = c->options.max_new,
                                     .piece = take_piece,
                                     .context = a,
                                     .generated = &a->ids};
    samp_status status = samp_generate(c->model->session, c->sequence, c->model->tokenizer, sampler,
                                       &options, &generated, error);
    samp_sampler_release(sampler);
    a->turn->n_answer = generated.n_generated;
    a->turn->prefill_seconds += generated.prefill_seconds;
    a->turn->decode_seconds = generated.decode_seconds;
    a->turn->finish_reason = generated.finish_reason;
    return status;
}

static samp_status run_answer(answer *a, samp_error *error)
{
    samp_conversation *c = a->conversation;
    SAMP_TRY(make_prompt(c, &a->prompt, a->turn, error));
    uint32_t at = common_prefix(c, &a->prompt);
    a->turn->n_prompt = (uint32_t)a->prompt.count;
    a->turn->n_cached = at;
    samp_sequence_truncate(c->model->session, c->sequence, at);
    samp_status status = read_prompt(a, &at, error);
    if (status == SAMP_OK && !a->turn->cut) status = write_answer(a, at, error);
    if (a->turn->cut) a->turn->finish_reason = "cut";
    samp_status remembered = remember(c, &a->prompt, &a->ids, status == SAMP_OK ? error : NULL);
    return status == SAMP_OK ? remembered : status;
}

/* Answers the last message, which is the user's. */
static samp_status reply(samp_conversation *c, const samp_reader *reader, samp_turn *turn,
                         samp_error *error)
{
    answer a = {.conversation = c, .reader = reader, .turn = turn};
    *turn = (samp_turn){.finish_reason = "cut"};
    samp_status status = run_answer(&a, error);
    if (status == SAMP_OK) status = samp_buffer_ok(&a.text, error);
    if (status == SAMP_OK && (a.text.length || !turn->cut))
        status = add_message(c, "assistant", a.text.data ? a.text.data : "", a.text.length, error);
    samp_tokens_release(&a.prompt);
    samp_tokens_release(&a.ids);
    samp_buffer_release(&a.text);
    return status;
}

samp_status samp_conversation_say(samp_conversation *c, const char *text, size_t n,
                                  const samp_reader *reader, samp_turn *turn, samp_error *error)
{
    SAMP_TRY(add_message(c, "user", text, n, error));
    samp_status status = reply(c, reader, turn, error);
    if (status != SAMP_OK || (turn->cut && turn->n_answer == 0)) drop_last(c);
    return status;
}

samp_status samp_conversation_retry(samp_conversation *c, const samp_reader *reader,
                                    samp_turn *turn, samp_error *error)
{
    size_t n = json_array_size(c->messages);
    if (n < (size_t)has_system(c) + 2)
        return samp_fail(error, SAMP_NOT_FOUND, "there is no answer to replace yet");
    json_t *old = json_incref(json_array_get(c->messages, n - 1));
    drop_last(c);
    samp_status status = reply(c, reader, turn, error);
    if ((status != SAMP_OK || (turn->cut && turn->n_answer == 0)) &&
        json_array_append(c->messages, old) != 0)
        drop_last(c); /* the question alone would be answered twice */
    json_decref(old);
    return status;
}
