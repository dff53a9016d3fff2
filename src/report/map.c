/* Maps of layers and groups: how sensitive each group is, and which format it got. Embedding and
 * head, which belong to no layer, stand to the right of the layers. */
#include "report/chart.h"

#include <math.h>
#include <stdio.h>

enum {
    WIDTH = 1080,
    LABELS = 76, /* for the groups' names */
    CELL = 30,   /* height */
    GAP = 14,    /* before what belongs to no layer */
    EXTRA = 76,  /* width of each of those */
    BOTTOM = 40, /* for the numbers of layers */
    BAR = 22,
    HEAT_STEPS = 9, /* classes h0 … h8 of the style sheet */
    LAYER_MAX = 1023
};

typedef struct group_map {
    const samp_report *report;
    uint32_t n_layers;
    int rows[SAMP_GROUP_KINDS]; /* row of a kind, -1 = none */
    int n_rows, n_extras;
    double cell_width;
} group_map;

static bool in_layer(samp_group_kind kind)
{
    return kind != SAMP_GROUP_EMBED && kind != SAMP_GROUP_HEAD;
}

static group_map map_of(const samp_report *r)
{
    group_map out = {.report = r};
    bool seen[SAMP_GROUP_KINDS] = {false};
    for (size_t g = 0; g < r->n_groups; g++) {
        seen[r->groups[g].kind] = true;
        if (!in_layer(r->groups[g].kind))
            out.n_extras++;
        else if (r->groups[g].layer <= LAYER_MAX && r->groups[g].layer >= out.n_layers)
            out.n_layers = r->groups[g].layer + 1;
    }
    for (int kind = 0; kind < SAMP_GROUP_KINDS; kind++) {
        bool row = seen[kind] && in_layer((samp_group_kind)kind);
        out.rows[kind] = row ? out.n_rows++ : -1;
    }
    if (out.n_rows == 0) out.n_rows = 1;
    double width = WIDTH - LABELS - out.n_extras * (GAP + EXTRA);
    out.cell_width = fmin(width / fmax(out.n_layers, 1), 90);
    return out;
}

typedef struct box {
    double x, y, width, height;
} box;

static box box_of(const group_map *map, const samp_report_group *group, int extra)
{
    double after = LABELS + map->cell_width * map->n_layers;
    if (in_layer(group->kind))
        return (box){LABELS + map->cell_width * group->layer, (double)CELL * map->rows[group->kind],
                     map->cell_width, CELL};
    return (box){after + GAP + (double)extra * (GAP + EXTRA), 0, EXTRA, (double)CELL * map->n_rows};
}

static void draw_labels(samp_markup *m, const group_map *map)
{
    char text[32];
    for (int kind = 0; kind < SAMP_GROUP_KINDS; kind++)
        if (map->rows[kind] >= 0)
            samp__draw_text(m, "label end", LABELS - 8, CELL * (map->rows[kind] + 0.5) + 4,
                            samp_group_kind_name((samp_group_kind)kind));
    uint32_t step = 1;
    static const uint32_t steps[] = {1, 2, 5, 10, 20, 50, 100, 200};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (steps[i] * map->cell_width >= 22) {
            step = steps[i];
            break;
        }
    double y = (double)CELL * map->n_rows;
    for (uint32_t layer = 0; layer < map->n_layers; layer += step) {
        snprintf(text, sizeof text, "%u", layer);
        samp__draw_text(m, "tick middle", LABELS + (layer + 0.5) * map->cell_width, y + 16, text);
    }
    if (map->n_layers)
        samp__draw_text(m, "label middle", LABELS + map->cell_width * map->n_layers / 2, y + 34,
                        "layer");
}

typedef void describe_cell(const group_map *map, const samp_report_group *group,
                           const void *context, char class_[32], char label[32], char title[256]);

static void draw_map(samp_markup *m, const group_map *map, const char *name,
                     describe_cell *describe, const void *context)
{
    double height = (double)CELL * map->n_rows + BOTTOM;
    double width = LABELS + map->cell_width * map->n_layers + map->n_extras * (GAP + EXTRA);
    int extra = 0;
    samp__draw_begin(m, "map", fmax(width, WIDTH), height, name);
    for (size_t g = 0; g < map->report->n_groups; g++) {
        const samp_report_group *group = &map->report->groups[g];
        char class_[32] = "", label[32] = "", title[256] = "", size[48];
        if (in_layer(group->kind) && group->layer > LAYER_MAX) continue;
        box at = box_of(map, group, extra);
        describe(map, group, context, class_, label, title);
        samp__draw_group(m, title);
        samp__draw_rect(m, class_, at.x + 0.5, at.y + 0.5, at.width - 1, at.height - 1);
        snprintf(size, sizeof size, "in %s middle", class_);
        if (*label && at.width > 30)
            samp__draw_text(m, size, at.x + at.width / 2, at.y + at.height / 2 + 4, label);
        samp_markup_close(m);
        if (!in_layer(group->kind)) {
            samp__draw_text(m, "label middle", at.x + at.width / 2, at.height + 16, group->name);
            extra++;
        }
    }
    draw_labels(m, map);
    samp_markup_close(m);
}

/* ---- sensitivity ----------------------------------------------------------------------------- */

static int heat_step(const samp_range *range, double kl)
{
    if (!isfinite(kl)) return -1;
    if (!range->any || kl <= range->low) return 0;
    if (range->high <= range->low) return HEAT_STEPS / 2;
    double share = log(kl / range->low) / log(range->high / range->low);
    int step = (int)(share * HEAT_STEPS);
    return step < HEAT_STEPS ? step : HEAT_STEPS - 1;
}

static void describe_heat(const group_map *map, const samp_report_group *g, const void *context,
                          char class_[32], char label[32], char title[256])
{
    char base[32], kl[32];
    int step = heat_step(context, g->base_kl);
    label[0] = '\0';
    if (step < 0)
        snprintf(class_, 32, "none");
    else
        snprintf(class_, 32, "h%d", step);
    snprintf(title, 256, "%s: %s nats in %s, %s in %s as planned", g->name,
             samp__show_kl(base, g->base_kl), map->report->base_format, samp__show_kl(kl, g->kl),
             g->format->name);
}

static void draw_heat_legend(samp_markup *m, const samp_range *range)
{
    enum { SWATCH = 34, LEFT = LABELS, HEIGHT = 40 };
    char text[32], class_[8];
    samp__draw_begin(m, "map legend", WIDTH, HEIGHT, "scale of colours");
    for (int i = 0; i < HEAT_STEPS; i++) {
        snprintf(class_, sizeof class_, "h%d", i);
        samp__draw_rect(m, class_, LEFT + i * SWATCH, 4, SWATCH, 12);
    }
    for (int i = 0; i <= HEAT_STEPS; i += 3) {
        double at = range->any ? range->low * pow(range->high / range->low, i / 9.0) : NAN;
        snprintf(text, sizeof text, "%.2g", at);
        if (isfinite(at))
            samp__draw_text(m, i == 0 ? "tick start" : "tick middle", LEFT + i * SWATCH, 31, text);
    }
    samp__draw_text(m, "label start", LEFT + HEAT_STEPS * SWATCH + 30, 15,
                    "predicted KL of the group alone, nats a token (logarithmic)");
    samp_markup_close(m);
}

void samp__chart_sensitivity(samp_markup *m, const samp_report *report)
{
    group_map map = map_of(report);
    samp_range range = {0};
    for (size_t g = 0; g < report->n_groups; g++)
        samp_range_add(&range, report->groups[g].base_kl, true);
    draw_map(m, &map, "predicted KL divergence of every group of weights", describe_heat, &range);
    draw_heat_legend(m, &range);
}

/* ---- formats --------------------------------------------------------------------------------- */

/* "nf4a_g32" is too long for a cell: the part before the underscore says enough beside colours. */
static void describe_format(const group_map *map, const samp_report_group *g, const void *context,
                            char class_[32], char label[32], char title[256])
{
    char kl[32], bytes[32];
    (void)map;
    (void)context;
    snprintf(class_, 32, "f%u", samp__format_rank(g->format));
    int n = 0;
    while (g->format->name[n] && g->format->name[n] != '_') n++;
    snprintf(label, 32, "%.*s", n, g->format->name);
    snprintf(title, 256, "%s: %s, inputs in %d bits, %s, predicted KL %s nats", g->name,
             g->format->name, g->activation_bits, samp__show_size(bytes, g->bytes),
             samp__show_kl(kl, g->kl));
}

void samp__chart_plan(samp_markup *m, const samp_report *report)
{
    group_map map = map_of(report);
    draw_map(m, &map, "number format of every group of weights", describe_format, NULL);
}

/* One format's part of the bar, and its entry below. */
static void draw_format(samp_markup *m, const samp_format *format, double bytes, double total,
                        double x, double width, bool key)
{
    char class_[32], size[32], text[96];
    samp__show_size(size, bytes);
    snprintf(text, sizeof text, "%s: %s, %.1f %%", format->name, size, 100 * bytes / total);
    if (key) {
        snprintf(class_, sizeof class_, "swatch f%u", samp__format_rank(format));
        samp_markup_open(m, "li");
        samp_markup_element(m, "span", class_, "");
        samp_markup_text(m, text);
        samp_markup_close(m);
        return;
    }
    snprintf(class_, sizeof class_, "f%u", samp__format_rank(format));
    samp__draw_group(m, text);
    samp__draw_rect(m, class_, x, 0, fmax(width - 1, 0.5), BAR);
    samp_markup_close(m);
}

void samp__chart_bytes(samp_markup *m, const samp_report *report)
{
    double bytes[SAMP_FORMAT_COUNT] = {0}, total = 0;
    for (size_t g = 0; g < report->n_groups; g++) {
        bytes[report->groups[g].format->id] += report->groups[g].bytes;
        total += report->groups[g].bytes;
    }
    if (!(total > 0) || !isfinite(total)) return;
    double scale = (WIDTH - LABELS) / total;
    for (int key = 0; key < 2; key++) {
        double x = LABELS;
        if (key) {
            samp_markup_open(m, "ul");
            samp_markup_attribute(m, "class", "keys");
        } else {
            samp__draw_begin(m, "map", WIDTH, BAR, "bytes of each format");
            samp__draw_text(m, "label end", LABELS - 8, BAR / 2 + 4, "bytes");
        }
        for (unsigned rank = 0; rank < SAMP_REPORT_FORMAT_COLOURS; rank++)
            for (int id = 0; id < SAMP_FORMAT_COUNT; id++) {
                const samp_format *format = samp_format_get((samp_format_id)id);
                if (samp__format_rank(format) != rank || !(bytes[id] > 0)) continue;
                draw_format(m, format, bytes[id], total, x, bytes[id] * scale, key);
                x += bytes[id] * scale;
            }
        samp_markup_close(m);
    }
}
