/* The machine: frames, values that begin, fixed text, and one step of all readings. */
#include "constrain/machine.h"

#include <stdlib.h>
#include <string.h>

static const char *const words[] = {"true", "false", "null"};

samp__frame samp__frame_get(const samp__machine *m, uint32_t id)
{
    samp__frame frame;
    memcpy(&frame, samp__intern_get(&m->frames, id, NULL), sizeof frame);
    return frame;
}

static bool within_limit(samp__machine *m)
{
    if (m->frames.n_bytes + m->blobs.n_bytes > SAMP__MACHINE_BYTES_MAX) m->failed = true;
    return !m->failed;
}

uint32_t samp__push(samp__machine *m, const samp__frame *frame)
{
    uint32_t id = within_limit(m) ? samp__intern_add(&m->frames, frame, sizeof *frame) : 0;
    if (id == 0) m->failed = true;
    return id ? id : 1;
}

uint32_t samp__blob(samp__machine *m, const void *bytes, size_t length)
{
    uint32_t id = within_limit(m) ? samp__intern_add(&m->blobs, bytes, length) : 0;
    if (id == 0) m->failed = true;
    return id ? id : 1;
}

void samp__emit_id(samp__machine *m, uint32_t id)
{
    for (uint32_t i = 0; i < m->n_out; i++)
        if (m->out[i] == id) return;
    if (m->n_out == SAMP__TOPS_MAX)
        m->failed = true;
    else
        m->out[m->n_out++] = id;
}

void samp__emit(samp__machine *m, const samp__frame *frame)
{
    samp__emit_id(m, samp__push(m, frame));
}

const samp__shape *samp__frame_shape(samp__machine *m, samp__conjunction conjunction)
{
    const samp__shape *shape = NULL;
    samp_error ignored;
    if (samp__shape_of(&m->shapes, conjunction, &shape, &ignored) != SAMP_OK) m->failed = true;
    return m->failed ? NULL : shape;
}

/* ---- values ---------------------------------------------------------------------------------- */

static void begin_containers(samp__machine *m, const samp__frame *frame, const samp__shape *shape,
                             bool object)
{
    uint32_t n = object ? shape->n_objects : shape->n_arrays;
    for (uint32_t i = 0; i < n; i++) {
        samp__frame next = {.parent = frame->parent,
                            .kind = object ? SAMP__FRAME_OBJECT : SAMP__FRAME_ARRAY,
                            .shape = frame->a,
                            .alternative = i};
        samp__emit(m, &next);
    }
}

static void step_value(samp__machine *m, const samp__frame *frame, uint8_t byte)
{
    const samp__shape *shape = samp__frame_shape(m, frame->a);
    samp__frame next = *frame;
    if (!shape) return;
    if (byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r') {
        if (next.space++ < SAMP__SPACE_MAX) samp__emit(m, &next);
        return;
    }
    bool allowed[] = {shape->truth, shape->falsehood, shape->null};
    for (uint32_t i = 0; i < 3; i++) {
        samp__frame word = {.parent = frame->parent, .kind = SAMP__FRAME_WORD, .a = i, .b = 1};
        if (allowed[i] && byte == (uint8_t)words[i][0]) samp__emit(m, &word);
    }
    if (byte == '{' || byte == '[') begin_containers(m, frame, shape, byte == '{');
    if (byte == '"')
        for (uint32_t i = 0; i < shape->n_strings; i++)
            samp__begin_string(m, frame->parent, frame->a, i);
    if (byte == '-' || (byte >= '0' && byte <= '9'))
        for (uint32_t i = 0; i < shape->n_numbers; i++)
            samp__begin_number(m, frame->parent, frame->a, i, byte);
}

static void step_word(samp__machine *m, const samp__frame *frame, uint8_t byte)
{
    samp__frame next = *frame;
    const char *word = words[frame->a];
    if ((uint8_t)word[frame->b] != byte) return;
    if (word[++next.b])
        samp__emit(m, &next);
    else
        samp__emit_id(m, frame->parent);
}

static void step_text(samp__machine *m, const samp__frame *frame, uint8_t byte)
{
    samp__frame next = *frame;
    const char *text = m->texts[frame->a];
    if ((uint8_t)text[frame->b] != byte) return;
    if (text[++next.b])
        samp__emit(m, &next);
    else
        samp__emit_id(m, frame->parent);
}

void samp__step_any(samp__machine *m, uint32_t id, uint8_t byte)
{
    samp__frame frame = samp__frame_get(m, id);
    switch (frame.kind) {
    case SAMP__FRAME_TEXT: step_text(m, &frame, byte); break;
    case SAMP__FRAME_VALUE: step_value(m, &frame, byte); break;
    case SAMP__FRAME_WORD: step_word(m, &frame, byte); break;
    case SAMP__FRAME_NUMBER: samp__step_number(m, &frame, byte); break;
    case SAMP__FRAME_STRING: samp__step_string(m, &frame, byte); break;
    case SAMP__FRAME_KEY: samp__step_key(m, &frame, byte); break;
    case SAMP__FRAME_OBJECT: samp__step_object(m, &frame, byte); break;
    case SAMP__FRAME_ARRAY: samp__step_array(m, &frame, byte); break;
    case SAMP__FRAME_DONE:
    default: break;
    }
}

/* ---- steps ----------------------------------------------------------------------------------- */

uint32_t samp__machine_step(samp__machine *m, const uint32_t *tops, uint32_t n, uint8_t byte,
                            uint32_t *out)
{
    m->out = out;
    m->n_out = 0;
    for (uint32_t i = 0; i < n; i++) samp__step_any(m, tops[i], byte);
    if (m->failed) return 0;
    qsort(out, m->n_out, sizeof *out, samp__compare_numbers);
    return m->n_out;
}

bool samp__machine_complete(samp__machine *m, const uint32_t *tops, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        samp__frame frame = samp__frame_get(m, tops[i]);
        if (frame.kind == SAMP__FRAME_DONE) return true;
        if (frame.kind != SAMP__FRAME_NUMBER || !samp__number_complete(m, &frame)) continue;
        samp__frame parent = samp__frame_get(m, frame.parent);
        if (parent.kind == SAMP__FRAME_DONE) return true;
    }
    return false;
}

samp_status samp__machine_open(samp__machine *m, const json_t *schema, const char *before,
                               const char *after, bool ordered, uint32_t *tops, uint32_t *n,
                               samp_error *error)
{
    samp__conjunction root;
    *m = (samp__machine){.ordered = ordered};
    SAMP_TRY(samp__shapes_open(&m->shapes, schema, &root, error));
    m->texts[0] = samp_strdup(before ? before : "");
    m->texts[1] = samp_strdup(after ? after : "");
    samp__frame frame = {.kind = SAMP__FRAME_DONE};
    uint32_t top = samp__push(m, &frame);
    if (m->texts[1] && m->texts[1][0]) {
        frame = (samp__frame){.kind = SAMP__FRAME_TEXT, .parent = top, .a = 1};
        top = samp__push(m, &frame);
    }
    frame = (samp__frame){.kind = SAMP__FRAME_VALUE, .parent = top, .a = root};
    top = samp__push(m, &frame);
    if (m->texts[0] && m->texts[0][0]) {
        frame = (samp__frame){.kind = SAMP__FRAME_TEXT, .parent = top};
        top = samp__push(m, &frame);
    }
    tops[0] = top;
    *n = 1;
    if (m->texts[0] && m->texts[1] && !m->failed) return SAMP_OK;
    samp__machine_release(m);
    return samp_fail(error, SAMP_NOMEM, "out of memory for a schema");
}

void samp__machine_release(samp__machine *m)
{
    samp__intern_release(&m->frames);
    samp__intern_release(&m->blobs);
    samp_free(m->texts[0]);
    samp_free(m->texts[1]);
    samp__shapes_release(&m->shapes);
    *m = (samp__machine){0};
}
