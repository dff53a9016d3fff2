/* Numbers: JSON's grammar, and bounds decided digit by digit.
 *
 * A number's text so far stands for an interval of values it can still become: "12" for 12, 12.x,
 * 120 … 129.x, 1200 and so on. Where the shape has bounds, a digit is taken only if some value of
 * these satisfies them. */
#include "constrain/machine.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum phase { SIGN, ZERO, DIGITS, POINT, FRACTION, EXPONENT, EXPONENT_SIGN, EXPONENT_DIGITS };

static bool is_checked(const samp__number_shape *n)
{
    return !isinf(n->min) || !isinf(n->max) || n->multiple_of > 0;
}

static bool in_bounds(const samp__number_shape *n, double x)
{
    if (x < n->min || (n->exclusive_min && x == n->min)) return false;
    if (x > n->max || (n->exclusive_max && x == n->max)) return false;
    if (n->multiple_of == 0) return true;
    double ratio = x / n->multiple_of;
    return fabs(ratio - round(ratio)) <= 1e-9 * fmax(1, fabs(ratio));
}

/* Some value in low … high (high itself only when closed) satisfies the bounds; steps of whole
 * numbers for integers. */
static bool reaches(const samp__number_shape *n, double low, double high, bool closed)
{
    double step = n->multiple_of > 0 ? n->multiple_of : n->integer ? 1 : 0;
    if (n->integer && step != floor(step)) step = 0;
    double from = fmax(low, n->min), to = fmin(high, n->max);
    if (step == 0) {
        if (from < to) return true;
        bool open_end = to == high && !closed && high <= n->max;
        return from == to && !open_end && in_bounds(n, from);
    }
    double first = ceil(from / step - 1e-9) * step;
    if (first == n->min && n->exclusive_min) first += step;
    if (first > to + 1e-9 * step) return false;
    if (n->exclusive_max && first >= n->max) return false;
    return closed || first < high;
}

/* The same for the negated interval. */
static bool reaches_signed(const samp__number_shape *n, bool negative, double low, double high,
                           bool closed)
{
    if (!negative) return reaches(n, low, high, closed);
    samp__number_shape mirrored = *n;
    mirrored.min = -n->max;
    mirrored.max = -n->min;
    mirrored.exclusive_min = n->exclusive_max;
    mirrored.exclusive_max = n->exclusive_min;
    return reaches(&mirrored, low, high, closed);
}

/* Whether a text, in a phase, can still become a number of the shape. */
static bool viable(const samp__number_shape *n, const char *text, size_t length, uint8_t phase)
{
    bool negative = text[0] == '-';
    if (phase == SIGN) return reaches_signed(n, true, 0, INFINITY, true);
    double value = fabs(strtod(text, NULL));
    if (phase == FRACTION || phase == POINT) {
        const char *point = memchr(text, '.', length);
        double unit = pow(10, -(double)(text + length - point - 1));
        if (value + unit == value) return in_bounds(n, negative ? -value : value);
        return reaches_signed(n, negative, value, value + unit, false);
    }
    if (phase == ZERO) {
        if (in_bounds(n, 0)) return true;
        return !n->integer && reaches_signed(n, negative, 0, 1, false);
    }
    for (size_t more = 0; length + more <= SAMP__WHOLE_MAX; more++) {
        double scale = pow(10, (double)more);
        double high = n->integer ? value * scale + scale - 1 : (value + 1) * scale;
        if (reaches_signed(n, negative, value * scale, high, n->integer)) return true;
        if (value * scale > fmax(fabs(n->min), fabs(n->max))) return false;
    }
    return false;
}

/* JSON's grammar: the phase after one more byte, -1 when it does not fit. */
static int next_phase(uint8_t phase, uint8_t byte, bool integer, bool exponents)
{
    bool digit = byte >= '0' && byte <= '9';
    bool exponent = exponents && (byte == 'e' || byte == 'E');
    switch (phase) {
    case SIGN: return byte == '0' ? ZERO : digit ? DIGITS : -1;
    case ZERO:
    case DIGITS:
        if (digit) return phase == DIGITS ? DIGITS : -1;
        if (byte == '.') return integer ? -1 : POINT;
        return exponent ? EXPONENT : -1;
    case POINT:
    case FRACTION:
        if (digit) return FRACTION;
        return phase == FRACTION && exponent ? EXPONENT : -1;
    case EXPONENT:
        if (byte == '+' || byte == '-') return EXPONENT_SIGN;
        return digit ? EXPONENT_DIGITS : -1;
    default: return digit ? EXPONENT_DIGITS : -1;
    }
}

static bool ends(uint8_t phase)
{
    return phase == ZERO || phase == DIGITS || phase == FRACTION || phase == EXPONENT_DIGITS;
}

/* The frame's text with one more byte, if that can lead on. */
static void go_on(samp__machine *m, const samp__number_shape *shape, samp__frame *next,
                  uint8_t byte)
{
    char text[SAMP__NUMBER_MAX + 2];
    if (next->b == SAMP__NUMBER_MAX) return;
    if (next->phase == DIGITS && next->b == SAMP__WHOLE_MAX) return; /* within 64 bits */
    if (next->phase == EXPONENT_DIGITS && ++next->c > 2) return;     /* within a double's range */
    if (is_checked(shape)) {
        size_t n = 0;
        if (next->a) {
            const char *so_far = samp__intern_get(&m->blobs, next->a, &n);
            memcpy(text, so_far, n);
        }
        text[n++] = (char)byte;
        text[n] = '\0';
        if (!viable(shape, text, n, next->phase)) return;
        next->a = samp__blob(m, text, n);
    }
    next->b++;
    samp__emit(m, next);
}

void samp__begin_number(samp__machine *m, uint32_t parent, samp__conjunction conjunction,
                        uint32_t alternative, uint8_t byte)
{
    const samp__shape *shape = samp__frame_shape(m, conjunction);
    if (!shape) return;
    samp__frame frame = {.parent = parent,
                         .kind = SAMP__FRAME_NUMBER,
                         .phase = byte == '-'   ? SIGN
                                  : byte == '0' ? ZERO
                                                : DIGITS,
                         .shape = conjunction,
                         .alternative = alternative};
    go_on(m, &shape->numbers[alternative], &frame, byte);
}

bool samp__number_complete(samp__machine *m, const samp__frame *frame)
{
    const samp__shape *shape = samp__frame_shape(m, frame->shape);
    char text[SAMP__NUMBER_MAX + 2];
    size_t n;
    if (!shape || !ends(frame->phase)) return false;
    if (!frame->a) return true;
    const char *kept = samp__intern_get(&m->blobs, frame->a, &n);
    memcpy(text, kept, n);
    text[n] = '\0';
    return in_bounds(&shape->numbers[frame->alternative], strtod(text, NULL));
}

void samp__step_number(samp__machine *m, const samp__frame *frame, uint8_t byte)
{
    const samp__shape *shape = samp__frame_shape(m, frame->shape);
    if (!shape) return;
    const samp__number_shape *number = &shape->numbers[frame->alternative];
    int phase =
        next_phase(frame->phase, byte, number->integer, !number->integer && !is_checked(number));
    if (phase >= 0) {
        samp__frame next = *frame;
        next.phase = (uint8_t)phase;
        go_on(m, number, &next, byte);
    } else if (samp__number_complete(m, frame))
        samp__step_any(m, frame->parent, byte); /* the byte behind the number is the parent's */
}
