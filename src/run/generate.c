/* Generation of one text, the loop of `samp generate` and `samp chat`. (The server runs many
 * sequences a step and has its own loop.)
 *
 * Memory: one row of logits and the text buffer, for the duration of the call. */
#include "run/generate.h"

#include "base/buffer.h"
#include "base/memory.h"

typedef struct generation {
    samp_session *session;
    samp_sequence *sequence;
    const samp_tokenizer *tokenizer;
    const samp_generate_options *options;
    float *logits; /* [vocab_size] */
    samp_detokenizer detokenizer;
    samp_buffer text;
} generation;

static bool is_end(const generation *g, int32_t token)
{
    const samp_config *config = samp_session_config(g->session);
    if (g->options->ignore_eos) return false;
    for (int i = 0; i < config->n_eos_tokens; i++)
        if (config->eos_tokens[i] == token) return true;
    return g->tokenizer && samp_tokenizer_eos(g->tokenizer) == token;
}

/* Hands on what is in the text buffer; false when the receiver wants no more. */
static bool give(generation *g)
{
    bool more =
        g->text.length == 0 || g->options->piece(g->options->context, g->text.data, g->text.length);
    samp_buffer_clear(&g->text);
    return more;
}

static samp_status give_token(generation *g, int32_t token, bool *more, samp_error *error)
{
    *more = true;
    if (!g->options->piece) return SAMP_OK;
    samp_detokenize(g->tokenizer, &g->detokenizer, token, false, &g->text);
    SAMP_TRY(samp_buffer_ok(&g->text, error));
    *more = give(g);
    return SAMP_OK;
}

/* Whether one more token can be fed. */
static bool fits(const generation *g)
{
    return samp_sequence_length(g->sequence) < samp_session_max_positions(g->session) &&
           samp_sequence_kv_needed(g->sequence, 1) <= samp_session_kv_free(g->session);
}

/* Chooses and feeds tokens; the logits after the prompt are there. */
static samp_status decode(generation *g, samp_sampler *sampler, samp_generated *out,
                          samp_error *error)
{
    uint32_t max_new = g->options->max_new ? g->options->max_new : UINT32_MAX;
    out->finish_reason = "length";
    for (;;) {
        int32_t token = samp_sampler_next(sampler, g->logits);
        bool more;
        if (is_end(g, token)) {
            out->finish_reason = "stop";
            out->stop_token = token;
            return SAMP_OK;
        }
        samp_sampler_accept(sampler, token, true);
        out->n_generated++;
        if (g->options->generated) SAMP_TRY(samp_tokens_push(g->options->generated, token, error));
        SAMP_TRY(give_token(g, token, &more, error));
        if (!more) {
            out->finish_reason = "stop";
            return SAMP_OK;
        }
        if (out->n_generated == max_new || !fits(g)) return SAMP_OK;
        samp_feed feed = {
            .sequence = g->sequence, .tokens = &token, .n_tokens = 1, .logits = g->logits};
        SAMP_TRY(samp_session_step(g->session, &feed, 1, error));
    }
}

static samp_status run(generation *g, samp_sampler *sampler, samp_generated *out, samp_error *error)
{
    const samp_generate_options *options = g->options;
    double start = samp_clock();
    SAMP_TRY(samp_session_prefill(g->session, g->sequence, options->prompt, options->n_prompt,
                                  false, g->logits, error));
    for (uint32_t i = 0; i < options->n_prompt; i++)
        samp_sampler_accept(sampler, options->prompt[i], false);
    double prefilled = samp_clock();
    out->prefill_seconds = prefilled - start;
    samp_status status = decode(g, sampler, out, error);
    out->decode_seconds = samp_clock() - prefilled;
    if (status != SAMP_OK || !options->piece) return status;
    samp_detokenize_end(&g->detokenizer, &g->text);
    SAMP_TRY(samp_buffer_ok(&g->text, error));
    give(g);
    return SAMP_OK;
}

/* Text that continues text keeps its leading space; text after nothing but a bos token does not. */
static bool continues_text(const generation *g)
{
    const samp_generate_options *options = g->options;
    int32_t last = options->prompt[options->n_prompt - 1];
    return !(g->tokenizer && samp_tokenizer_is_special(g->tokenizer, last));
}

samp_status samp_generate(samp_session *session, samp_sequence *sequence,
                          const samp_tokenizer *tokenizer, samp_sampler *sampler,
                          const samp_generate_options *options, samp_generated *out,
                          samp_error *error)
{
    *out = (samp_generated){.n_prompt = options->n_prompt, .stop_token = -1};
    if (options->n_prompt == 0)
        return samp_fail(error, SAMP_INVALID,
                         "the prompt has no tokens; give a text or a bos token");
    generation g = {
        .session = session, .sequence = sequence, .tokenizer = tokenizer, .options = options};
    g.logits = samp_alloc(samp_session_config(session)->vocab_size, sizeof *g.logits);
    if (!g.logits) return samp_fail(error, SAMP_NOMEM, "out of memory for a row of logits");
    g.detokenizer.started = continues_text(&g);
    samp_status status = run(&g, sampler, out, error);
    samp_buffer_release(&g.text);
    samp_free(g.logits);
    return status;
}
