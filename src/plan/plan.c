/* From sensitivity and limits to a plan: the choices of each group, the solver, the JSON. */
#include "plan/plan.h"

#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    HEADER_BYTES_A_PART =
        120 /* JSON of one tensor in a safetensors header without its name, at most */
};

samp_status samp_plan_pin_parse(const char *text, samp_plan_pin *out, samp_error *error)
{
    const char *equals = strrchr(text, '=');
    if (!equals || equals == text)
        return samp_fail(
            error, SAMP_INVALID,
            "pin \"%s\": expected PATTERN=FORMAT, such as head=int8 or layers.0.*=fp16", text);
    *out = (samp_plan_pin){text, (size_t)(equals - text), samp_format_find(equals + 1)};
    if (!out->format)
        return samp_fail(error, SAMP_INVALID, "pin \"%s\": \"%s\" is not a format; formats are %s",
                         text, equals + 1, samp_format_names());
    return SAMP_OK;
}

/* pattern[0..n) with * for any run of characters. */
static bool fits(const char *pattern, size_t n, const char *name)
{
    if (n == 0) return *name == '\0';
    if (*pattern == '*') {
        for (;; name++) {
            if (fits(pattern + 1, n - 1, name)) return true;
            if (!*name) return false;
        }
    }
    return *name == *pattern && fits(pattern + 1, n - 1, name + 1);
}

/* "head" means both groups of a head cut in two. */
static bool pin_fits(const samp_plan_pin *pin, const samp_sensitivity_group *group)
{
    return fits(pin->pattern, pin->pattern_length, group->name) ||
           (group->kind == SAMP_GROUP_HEAD &&
            fits(pin->pattern, pin->pattern_length, samp_group_kind_name(group->kind)));
}

/* What the solver sees: a choice for every format allowed, with a16 and, under a limit of time, a8 inputs. */
typedef struct option {
    const samp_sensitivity_choice *choice;
    int activation_bits;
    samp_product_time time;
} option;

typedef struct problem {
    samp_arena arena;
    samp_choice_group *groups;
    option **options; /* [n_groups][n_choices] */
    uint32_t *picks;
} problem;

static const samp_format *pinned(const samp_plan_options *o, const samp_sensitivity_group *group)
{
    for (size_t i = o->n_pins; i--;) /* the last one wins */
        if (pin_fits(&o->pins[i], group)) return o->pins[i].format;
    return NULL;
}

static uint64_t header_bytes(const samp_sensitivity_group *group, const samp_format *format)
{
    samp_layout layout;
    uint64_t bytes = 0;
    if (format->layout(64, 64, &layout, NULL) != SAMP_OK) return 0;
    for (uint32_t w = 0; w < group->n_weights; w++)
        bytes += (uint64_t)layout.n_parts * (HEADER_BYTES_A_PART + strlen(group->weights[w]));
    return bytes;
}

/* A step reads rows of the embedding but multiplies by none of it: its time is nothing. */
static samp_product_time time_of(const samp_sensitivity_group *group,
                                 const samp_sensitivity_choice *choice, int activation_bits,
                                 const samp_plan_options *o)
{
    if (!o->hardware || group->kind == SAMP_GROUP_EMBED)
        return (samp_product_time){.measured = true};
    samp_product product = {.format = choice->format,
                            .activation_bits = activation_bits,
                            .rows = group->rows,
                            .cols = group->cols,
                            .bytes = choice->bytes,
                            .batch = o->batch ? o->batch : 1};
    return samp_hardware_time(o->hardware, &product);
}

/* Whether a format may be chosen for a group that is pinned to `only` (NULL: not pinned). */
static bool allowed(const samp_format *format, const samp_format *only, const samp_plan_options *o)
{
    samp_multiply how;
    return only ? format == only
                : !o->hardware || samp_hardware_multiplies(o->hardware, format, &how);
}

static samp_status add_group(problem *p, size_t g, const samp_sensitivity *s,
                             const samp_plan_options *o, samp_error *error)
{
    const samp_sensitivity_group *group = &s->groups[g];
    const samp_format *only = pinned(o, group);
    samp_choice *choices = samp_arena_alloc(&p->arena, 2 * group->n_choices, sizeof *choices);
    option *options = samp_arena_alloc(&p->arena, 2 * group->n_choices, sizeof *options);
    if (!choices || !options) return samp_fail(error, SAMP_NOMEM, "out of memory for a plan");
    bool a8 = o->hardware && o->max_seconds > 0 && !o->a16_only;
    uint32_t n = 0;
    for (uint32_t i = 0; i < group->n_choices; i++) {
        const samp_sensitivity_choice *c = &group->choices[i];
        if (!allowed(c->format, only, o)) continue;
        int least_bits = a8 && c->format->native & SAMP_NATIVE_CPU_INT8 ? 8 : 16;
        for (int bits = 16; bits >= least_bits; bits -= 8) {
            samp_product_time time = time_of(group, c, bits, o);
            /* what a8 adds is a difference of two measurements: noise must not make it a gain */
            double kl = c->kl + (bits == 8 ? fmax(0, group->activation_kl) : 0);
            choices[n] = (samp_choice){.bytes = c->bytes + header_bytes(group, c->format),
                                       .cost = s->bias * kl,
                                       .seconds = time.seconds};
            options[n++] = (option){c, bits, time};
        }
    }
    if (n == 0 && only)
        return samp_fail(error, SAMP_INVALID,
                         "group %s is pinned to %s, which was not measured for it", group->name,
                         only->name);
    if (n == 0)
        return samp_fail(error, SAMP_INVALID, "no measured format of group %s suits %s",
                         group->name, o->hardware->title);
    p->groups[g] = (samp_choice_group){choices, n};
    p->options[g] = options;
    return SAMP_OK;
}

static samp_status build(problem *p, const samp_sensitivity *s, const samp_plan_options *o,
                         samp_error *error)
{
    p->groups = samp_arena_alloc(&p->arena, s->n_groups, sizeof *p->groups);
    p->options = samp_arena_alloc(&p->arena, s->n_groups, sizeof *p->options);
    p->picks = samp_arena_alloc(&p->arena, s->n_groups, sizeof *p->picks);
    if (!p->groups || !p->options || !p->picks)
        return samp_fail(error, SAMP_NOMEM, "out of memory for a plan");
    for (size_t i = 0; i < o->n_pins; i++) {
        bool used = false;
        for (size_t g = 0; g < s->n_groups && !used; g++)
            used = pin_fits(&o->pins[i], &s->groups[g]);
        if (!used)
            return samp_fail(error, SAMP_INVALID,
                             "pin \"%s\" fits no group; groups are layers.N.qkv, .o, .gate_up, "
                             ".down, embedding, head (or head.first, head.rest)",
                             o->pins[i].pattern);
    }
    for (size_t g = 0; g < s->n_groups; g++) SAMP_TRY(add_group(p, g, s, o, error));
    return SAMP_OK;
}

/* Norms and biases stay as they are. Of a Llama whose file does not say: two norms a layer and the
 * last, of 16 bits. */
static uint64_t fixed_bytes(const samp_sensitivity *s)
{
    const uint64_t header = HEADER_BYTES_A_PART + 64;
    if (s->n_vectors) return s->vector_bytes + s->n_vectors * header + 4096;
    uint64_t layers = 0, dim = 0;
    for (size_t g = 0; g < s->n_groups; g++) {
        if (s->groups[g].kind == SAMP_GROUP_QKV) layers++;
        if (s->groups[g].kind == SAMP_GROUP_HEAD) dim = s->groups[g].cols;
    }
    return (2 * layers + 1) * (dim * 2 + header) + 4096;
}

/* Attention of all layers, which no format changes. */
static double attention_seconds(const samp_sensitivity *s, const samp_plan_options *o)
{
    double layers = 0, width = 0, rows = 0;
    for (size_t g = 0; g < s->n_groups && o->hardware; g++) {
        if (s->groups[g].kind == SAMP_GROUP_QKV) layers++, rows = (double)s->groups[g].rows;
        if (s->groups[g].kind == SAMP_GROUP_O) width = (double)s->groups[g].cols;
    }
    if (layers == 0 || o->positions == 0) return 0;
    return layers * samp_hardware_attention(o->hardware, width, fmax(0, rows - width) / 2,
                                            o->positions, o->batch ? o->batch : 1);
}

/* What the limit of time leaves for products; 0 = no limit. */
static samp_status time_left(const samp_sensitivity *s, const samp_plan_options *o, double *out,
                             samp_error *error)
{
    double attention = attention_seconds(s, o);
    *out = o->max_seconds > 0 ? o->max_seconds - attention : 0;
    if (o->max_seconds > 0 && *out <= 0)
        return samp_fail(error, SAMP_LIMIT,
                         "a limit of %g ms a token cannot be met: attention to %u positions alone "
                         "takes %g ms",
                         o->max_seconds * 1e3, o->positions, attention * 1e3);
    return SAMP_OK;
}

samp_status samp_plan_make(samp_plan *out, const samp_sensitivity *s, const samp_plan_options *o,
                           samp_error *error)
{
    *out = (samp_plan){
        .fixed_bytes = fixed_bytes(s), .time.measured = true, .attention = attention_seconds(s, o)};
    problem p = {0};
    double max_seconds;
    SAMP_TRY(time_left(s, o, &max_seconds, error));
    samp_status status = build(&p, s, o, error);
    uint64_t budget = o->max_bytes ? o->max_bytes : UINT64_MAX / 2;
    if (status == SAMP_OK && budget < out->fixed_bytes)
        status = samp_fail(error, SAMP_LIMIT,
                           "a budget of %llu bytes does not even hold norms and headers (%llu)",
                           (unsigned long long)budget, (unsigned long long)out->fixed_bytes);
    if (status == SAMP_OK)
        status = samp_solve(p.groups, s->n_groups, budget - out->fixed_bytes, max_seconds, p.picks,
                            &out->solution, error);
    if (status == SAMP_LIMIT && o->max_bytes > out->fixed_bytes)
        samp_error_prefix(error, "budget %llu bytes, %llu of them for norms and headers",
                          (unsigned long long)o->max_bytes, (unsigned long long)out->fixed_bytes);
    if (status == SAMP_OK && !(out->entries = samp_alloc(s->n_groups, sizeof *out->entries)))
        status = samp_fail(error, SAMP_NOMEM, "out of memory for a plan");
    for (size_t g = 0; g < s->n_groups && status == SAMP_OK; g++) {
        const option *picked = &p.options[g][p.picks[g]];
        const samp_choice *choice = &p.groups[g].choices[p.picks[g]];
        out->entries[g] = (samp_plan_entry){&s->groups[g], picked->choice, picked->activation_bits,
                                            choice->cost, picked->time};
        out->weight_bytes += picked->choice->bytes;
        out->time.seconds += picked->time.seconds;
        out->time.reading += picked->time.reading;
        out->time.multiplying += picked->time.multiplying;
        out->time.measured &= picked->time.measured;
        out->n_entries = g + 1;
    }
    samp_arena_release(&p.arena);
    return status;
}

void samp_plan_release(samp_plan *plan)
{
    samp_free(plan->entries);
    *plan = (samp_plan){0};
}

/* Bytes of the smallest and of the largest plan there is. */
static void range_of(const problem *p, size_t n_groups, uint64_t *least, uint64_t *most)
{
    *least = 0, *most = 0;
    for (size_t g = 0; g < n_groups; g++) {
        uint64_t low = UINT64_MAX, high = 0;
        for (uint32_t c = 0; c < p->groups[g].n_choices; c++) {
            uint64_t b = p->groups[g].choices[c].bytes;
            low = b < low ? b : low, high = b > high ? b : high;
        }
        *least += low, *most += high;
    }
}

samp_status samp_plan_front(const samp_sensitivity *s, const samp_plan_options *o, size_t n,
                            samp_plan_point *points, size_t *n_points, samp_error *error)
{
    problem p = {0};
    double max_seconds, attention = attention_seconds(s, o);
    *n_points = 0;
    SAMP_TRY(time_left(s, o, &max_seconds, error));
    samp_status status = build(&p, s, o, error);
    uint64_t least = 0, most = 0;
    if (status == SAMP_OK) range_of(&p, s->n_groups, &least, &most);
    for (size_t i = 0; i < n && status == SAMP_OK; i++) {
        samp_solution solution;
        uint64_t budget =
            least + (uint64_t)((double)(most - least) * (double)i / (double)(n > 1 ? n - 1 : 1));
        status = samp_solve(p.groups, s->n_groups, budget, max_seconds, p.picks, &solution, error);
        if (status == SAMP_LIMIT) { /* too few bytes for the limit of time: not on the front */
            status = SAMP_OK;
            continue;
        }
        samp_plan_point point = {solution.bytes + fixed_bytes(s), solution.cost,
                                 solution.seconds + attention};
        if (status == SAMP_OK && (!*n_points || points[*n_points - 1].bytes < point.bytes))
            points[(*n_points)++] = point;
    }
    samp_arena_release(&p.arena);
    return status;
}

/* "model.layers.0.mlp.down_proj" of "model.layers.0.mlp.down_proj.weight" */
static void module_name(const char *weight, char out[96])
{
    size_t n = strlen(weight), ending = strlen(".weight");
    if (n >= ending && strcmp(weight + n - ending, ".weight") == 0) n -= ending;
    memcpy(out, weight, n);
    out[n] = '\0';
}

static void add_module(json_t *modules, const char *name, const samp_plan_entry *entry,
                       const char *group)
{
    json_object_set_new(modules, name,
                        json_pack("{s:s,s:s,s:i,s:s}", "format", entry->choice->format->name,
                                  "rounding", samp_rounding_name(entry->choice->rounding),
                                  "activation_bits", entry->activation_bits, "group", group));
}

/* The two groups of a head cut in two, else NULL. */
static const samp_plan_entry *head_parts(const samp_plan *plan)
{
    const samp_plan_entry *last = &plan->entries[plan->n_entries - 1];
    bool two = plan->n_entries > 1 && last[-1].group->kind == SAMP_GROUP_HEAD;
    return two ? last - 1 : NULL;
}

/* One weight, as any engine reads it, when both parts got the same. Returns the rows of the first
 * when they did not, else 0. */
static uint64_t add_head(json_t *modules, const samp_plan_entry *parts)
{
    static const char ending[] = ".first";
    char names[2][96];
    for (int i = 0; i < 2; i++) module_name(parts[i].group->weights[0], names[i]);
    bool same = parts[0].choice->format == parts[1].choice->format &&
                parts[0].choice->rounding == parts[1].choice->rounding &&
                parts[0].activation_bits == parts[1].activation_bits;
    size_t n = strlen(names[0]);
    if (same && n > sizeof ending) names[0][n - (sizeof ending - 1)] = '\0';
    add_module(modules, names[0], &parts[0],
               same ? samp_group_kind_name(SAMP_GROUP_HEAD) : parts[0].group->name);
    if (!same) add_module(modules, names[1], &parts[1], parts[1].group->name);
    return same ? 0 : parts[0].group->rows;
}

json_t *samp_plan_json(const samp_plan *plan, const samp_sensitivity *s, const samp_plan_options *o)
{
    json_t *modules = json_object();
    const samp_plan_entry *head = head_parts(plan);
    for (size_t g = 0; g < plan->n_entries - (head ? 2 : 0); g++) {
        const samp_plan_entry *entry = &plan->entries[g];
        for (uint32_t w = 0; w < entry->group->n_weights; w++) {
            char name[96];
            module_name(entry->group->weights[w], name);
            add_module(modules, name, entry, entry->group->name);
        }
    }
    uint64_t first_rows = head ? add_head(modules, head) : 0;
    json_t *root = json_pack("{s:i,s:s,s:s,s:s,s:s,s:I,s:f,s:f,s:b,s:o}", "schema_version", 1,
                             "tool", "samp " SAMP_VERSION, "model", s->model, "model_digest",
                             s->model_digest, "calibration_digest", s->calibration_digest,
                             "weight_bytes", (json_int_t)plan->weight_bytes, "predicted_kl",
                             plan->solution.cost, "lower_bound", plan->solution.bound, "exact",
                             (int)plan->solution.exact, "modules", modules);
    if (root && first_rows) samp_json_set(root, "first_rows", json_integer((json_int_t)first_rows));
    if (root && o->max_bytes)
        samp_json_set(root, "budget_bytes", json_integer((json_int_t)o->max_bytes));
    if (root && o->hardware) {
        samp_json_set(root, "hardware", json_string(o->hardware->name));
        samp_json_set(root, "batch", json_integer(o->batch ? o->batch : 1));
        samp_json_set(root, "positions", json_integer(o->positions));
        samp_json_set(root, "seconds_a_step", json_real(plan->time.seconds + plan->attention));
        samp_json_set(root, "seconds_measured", json_boolean(plan->time.measured));
    }
    if (root && o->max_seconds > 0)
        samp_json_set(root, "max_seconds_a_step", json_real(o->max_seconds));
    return root;
}
