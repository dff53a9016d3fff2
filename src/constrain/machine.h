/* The machine that reads JSON byte by byte against shapes.
 *
 * A *frame* is what one open value, key or text is waiting for; it names its parent. The frame on
 * top names a whole stack; a text can have several readings at once (alternatives of anyOf), so a
 * state is a set of tops. Frames, and everything they hold, are interned: equal means same number.
 */
#ifndef SAMP_CONSTRAIN_MACHINE_H
#define SAMP_CONSTRAIN_MACHINE_H

#include "constrain/shape.h"

enum {
    SAMP__SPACE_MAX = 64,  /* bytes of white space in a row */
    SAMP__NUMBER_MAX = 40, /* characters of a number */
    SAMP__WHOLE_MAX = 18,  /* of its whole part */
    SAMP__TOPS_MAX = 4096, /* readings at once */
    SAMP__MACHINE_BYTES_MAX = 256 << 20
};

typedef enum samp__frame_kind {
    SAMP__FRAME_DONE,   /* the whole text is complete */
    SAMP__FRAME_TEXT,   /* fixed text (before and after the value): text `a`, at byte `b` */
    SAMP__FRAME_VALUE,  /* a value of conjunction `a` begins */
    SAMP__FRAME_WORD,   /* true, false or null (`a`), at byte `b` */
    SAMP__FRAME_NUMBER, /* alternative; a: text so far, 0 when nothing is to be checked; b: length */
    SAMP__FRAME_STRING, /* alternative; a: sets of its patterns; b: characters; c: half a character */
    SAMP__FRAME_KEY,    /* of the object in the parent; a: sets of its patterns; b: characters; c;
                           d: text so far, 0 when no declared name begins so */
    SAMP__FRAME_OBJECT, /* a: properties seen; b: how many; c: conjunction of the value to come */
    SAMP__FRAME_ARRAY   /* b: how many items */
} samp__frame_kind;

typedef struct samp__frame {
    uint32_t parent; /* frame, 0 = none */
    uint8_t kind, phase;
    uint16_t
        space; /* bytes of white space in a row; of strings and keys: the place in a character */
    samp__conjunction shape;
    uint32_t alternative;
    uint32_t a, b, c, d;
} samp__frame;

typedef struct samp__machine {
    samp__shapes shapes;
    samp__intern frames, blobs; /* blobs: sets, texts, lists of properties */
    char *texts[2];             /* before and after */
    bool ordered, failed;       /* failed: memory or a limit */
    uint32_t *out;              /* [SAMP__TOPS_MAX] of the step that is under way */
    uint32_t n_out;
} samp__machine;

/* tops [SAMP__TOPS_MAX] and *n: where the text begins. */
samp_status samp__machine_open(samp__machine *machine, const json_t *schema, const char *before,
                               const char *after, bool ordered, uint32_t *tops, uint32_t *n,
                               samp_error *error);
void samp__machine_release(samp__machine *machine);
/* One byte on; out [SAMP__TOPS_MAX], sorted; returns how many, 0 = the byte does not fit. */
uint32_t samp__machine_step(samp__machine *machine, const uint32_t *tops, uint32_t n, uint8_t byte,
                            uint32_t *out);
/* Whether the text may end: some reading is at its end, or in a number that is complete. */
bool samp__machine_complete(samp__machine *machine, const uint32_t *tops, uint32_t n);

/* ---- private to the machine's files ---- */

samp__frame samp__frame_get(const samp__machine *machine, uint32_t id);
/* A new top. */
void samp__emit(samp__machine *machine, const samp__frame *frame);
void samp__emit_id(samp__machine *machine, uint32_t id);
uint32_t samp__push(samp__machine *machine, const samp__frame *frame);
uint32_t samp__blob(samp__machine *machine, const void *bytes, size_t length);
const samp__shape *samp__frame_shape(samp__machine *machine, samp__conjunction conjunction);

/* What each kind does with a byte. */
void samp__step_string(samp__machine *machine, const samp__frame *frame, uint8_t byte);
void samp__step_key(samp__machine *machine, const samp__frame *frame, uint8_t byte);
void samp__step_number(samp__machine *machine, const samp__frame *frame, uint8_t byte);
void samp__step_object(samp__machine *machine, const samp__frame *frame, uint8_t byte);
void samp__step_array(samp__machine *machine, const samp__frame *frame, uint8_t byte);
void samp__step_any(samp__machine *machine, uint32_t id, uint8_t byte);

/* The first byte of a value was seen: its frame, with this parent. */
void samp__begin_string(samp__machine *machine, uint32_t parent, samp__conjunction shape,
                        uint32_t alternative);
void samp__begin_number(samp__machine *machine, uint32_t parent, samp__conjunction shape,
                        uint32_t alternative, uint8_t byte);
void samp__begin_key(samp__machine *machine, uint32_t object);
bool samp__number_complete(samp__machine *machine, const samp__frame *frame);

/* A key is complete: what object frame it leads to (phase: the colon comes). */
void samp__object_key_done(samp__machine *machine, const samp__frame *key);
/* Whether a declared property begins with this text; `allowed`: one that may come now. */
bool samp__object_name_begins(samp__machine *machine, const samp__frame *object, const char *text,
                              size_t n, bool allowed);
/* The same, with a next character low … high. */
bool samp__object_name_goes_on(samp__machine *machine, const samp__frame *object, const char *text,
                               size_t n, uint32_t low, uint32_t high);
bool samp__object_allows_other(samp__machine *machine, const samp__frame *object);
const samp__object_shape *samp__frame_object(samp__machine *machine, const samp__frame *object);

/* Sets of several patterns, one after the other in a blob: [n] of each, then its nodes. */
uint32_t samp__patterns_start(samp__machine *machine, samp__regex *const *list, uint32_t n);
uint32_t samp__patterns_step(samp__machine *machine, samp__regex *const *list, uint32_t n,
                             uint32_t sets, uint32_t character);
bool samp__patterns_can_step(samp__machine *machine, samp__regex *const *list, uint32_t n,
                             uint32_t sets, uint32_t low, uint32_t high);
/* Pattern i accepts as it is. */
bool samp__pattern_accepts(samp__machine *machine, samp__regex *const *list, uint32_t sets,
                           uint32_t i);
bool samp__pattern_alive(samp__machine *machine, uint32_t sets, uint32_t i);
void samp__patterns_distance(samp__machine *machine, samp__regex *const *list, uint32_t n,
                             uint32_t sets, uint32_t *least, uint32_t *most);

/* Characters of strings and keys, escapes undone (characters.c). */
typedef enum samp__character_result {
    SAMP__CHARACTER_NO,   /* the byte does not fit */
    SAMP__CHARACTER_PART, /* more bytes are needed; the character will be low … high, or escape */
    SAMP__CHARACTER_DONE, /* *character */
    SAMP__CHARACTER_END   /* the closing quote */
} samp__character_result;
samp__character_result samp__character_step(uint16_t *place, uint32_t *half, uint8_t byte,
                                            uint32_t *character, uint32_t *low, uint32_t *high);

/* What a character that is not complete can become, as ranges: an escape of four digits never
 * stands for a printable ASCII character. place: after the step. Returns how many. */
unsigned samp__character_ranges(uint16_t place, uint32_t low, uint32_t high, uint32_t ranges[6][2]);

#endif
