/* Greedy placement of names. */
#include "report/labels.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

samp_labels samp__labels_in(const samp_plot *plot)
{
    enum { BEYOND = 12 }; /* to the right of the plot there is a margin */
    return (samp_labels){
        .area = {plot->left + 2, plot->top - 6, plot->right + BEYOND, plot->bottom - 2}};
}

static void take(samp_labels *l, samp_box box)
{
    if (l->n_taken < SAMP_LABELS_BOXES) l->taken[l->n_taken++] = box;
}

void samp__labels_take(samp_labels *l, double x, double y, double radius)
{
    take(l, (samp_box){x - radius, y - radius, x + radius, y + radius});
}

void samp__labels_take_line(samp_labels *l, double x1, double y1, double x2, double y2)
{
    enum { STEP = 8 };
    int n = (int)fmin(hypot(x2 - x1, y2 - y1) / STEP, 64) + 1;
    for (int i = 0; i <= n; i++)
        samp__labels_take(l, x1 + (x2 - x1) * i / n, y1 + (y2 - y1) * i / n, 1);
}

static bool is_free(const samp_labels *l, const samp_box *box)
{
    if (box->left < l->area.left || box->right > l->area.right || box->top < l->area.top ||
        box->bottom > l->area.bottom)
        return false;
    for (size_t i = 0; i < l->n_taken; i++) {
        const samp_box *t = &l->taken[i];
        if (box->left < t->right && box->right > t->left && box->top < t->bottom &&
            box->bottom > t->top)
            return false;
    }
    return true;
}

/* At most 28 bytes and an ellipsis, never half a character. */
static void shorten(const char *name, char out[40])
{
    size_t n = strlen(name), most = 28;
    bool cut = n > most;
    if (cut)
        for (n = most; n > 0 && ((unsigned char)name[n] & 0xc0) == 0x80;) n--;
    snprintf(out, 40, "%.*s%s", (int)n, name, cut ? "…" : "");
}

void samp__labels_draw(samp_markup *m, samp_labels *l, double x, double y, const char *class_,
                       const char *name)
{
    enum { HEIGHT = 12, AWAY = 8 };
    static const struct {
        int side; /* 1 right of the point, 0 centred, -1 left */
        double dy;
    } places[] = {{1, 0},   {1, -10}, {-1, 0},  {1, 11},  {-1, -10}, {0, -14},
                  {-1, 11}, {0, 15},  {1, -20}, {-1, 20}, {1, 21},   {-1, -20},
                  {0, -27}, {0, 28},  {1, -32}, {1, 33},  {-1, -32}, {-1, 33}};
    char text[40], classes[48];
    shorten(name, text);
    double width = 6.2 * (double)strlen(text) + 4;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int side = places[i].side;
        double left = side > 0   ? x + AWAY
                      : side < 0 ? x - AWAY - width
                                 : x - width / 2,
               middle = y + places[i].dy;
        samp_box box = {left, middle - HEIGHT / 2.0, left + width, middle + HEIGHT / 2.0};
        if (!is_free(l, &box)) continue;
        take(l, box);
        snprintf(classes, sizeof classes, "%s %s", class_,
                 side > 0   ? "start"
                 : side < 0 ? "end"
                            : "middle");
        samp__draw_text(m, classes, side > 0 ? left : side < 0 ? x - AWAY : x, middle + 4, text);
        return;
    }
}
