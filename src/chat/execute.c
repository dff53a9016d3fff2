/* Executing statements. Variables live in frames: a loop's body, a macro, a captured block have
 * their own, whose assignments end with them; `if` has none. */
#include "chat/jinja.h"

samp_status samp__frame_push(samp__render *r, samp__frame *parent, samp__frame **saved)
{
    samp__frame *frame;
    SAMP_TRY(samp__allocate(r, 1, sizeof *frame, &frame));
    frame->parent = parent;
    *saved = r->frame;
    r->frame = frame;
    return SAMP_OK;
}

samp_status samp__bind(samp__render *r, samp__frame *frame, uint32_t name, samp__value value)
{
    for (uint32_t i = 0; i < frame->n; i++)
        if (frame->bindings[i].name == name) {
            frame->bindings[i].value = value;
            return SAMP_OK;
        }
    if (frame->n == frame->capacity) {
        uint32_t capacity = frame->capacity ? 2 * frame->capacity : 4;
        samp__binding *bindings;
        SAMP_TRY(samp__allocate(r, capacity, sizeof *bindings, &bindings));
        if (frame->n) memcpy(bindings, frame->bindings, frame->n * sizeof *bindings);
        frame->bindings = bindings;
        frame->capacity = capacity;
    }
    frame->bindings[frame->n++] = (samp__binding){name, value};
    return SAMP_OK;
}

static samp_status assign_attribute(samp__render *r, const samp__node *target,
                                    const samp__value *value)
{
    samp__value object;
    SAMP_TRY(samp__evaluate(r, target->a, &object));
    if (object.kind != SAMP__NAMESPACE)
        return samp__fail(r, SAMP_INVALID, "only a namespace's attributes can be set, this is %s",
                          samp__kind_name(object.kind));
    if (target->text.n && target->text.bytes[0] == '_')
        return samp__fail(r, SAMP_INVALID, "an attribute's name may not begin with '_'");
    return samp__dict_set(r, object.dict, samp__of_text(target->text), *value);
}

static samp_status assign_tuple(samp__render *r, const samp__node *target, const samp__value *value)
{
    const samp__list *items;
    SAMP_TRY(samp__items(r, value, &items));
    if (items->n != target->n_items)
        return samp__fail(r, SAMP_INVALID, "%u values for %u names", items->n, target->n_items);
    const samp__node *name = target->items;
    for (uint32_t i = 0; i < items->n; i++, name = name->next)
        SAMP_TRY(samp__assign(r, name, &items->items[i]));
    return SAMP_OK;
}

samp_status samp__assign(samp__render *r, const samp__node *target, const samp__value *value)
{
    if (target->kind == SAMP__N_NAME) return samp__bind(r, r->frame, target->name, *value);
    if (target->kind == SAMP__N_ATTRIBUTE) return assign_attribute(r, target, value);
    return assign_tuple(r, target, value);
}

/* ---- loops ----------------------------------------------------------------------------------- */

/* The items a loop goes through: those for which its condition holds. */
static samp_status filter_items(samp__render *r, const samp__node *node, const samp__list *items,
                                const samp__list **out)
{
    samp__list *kept;
    samp__frame *saved;
    *out = items;
    if (!node->c) return SAMP_OK;
    SAMP_TRY(samp__allocate(r, 1, sizeof *kept, &kept));
    SAMP_TRY(samp__frame_push(r, r->frame, &saved));
    for (uint32_t i = 0; i < items->n; i++) {
        samp__value keep;
        SAMP_TRY(samp__assign(r, node->a, &items->items[i]));
        SAMP_TRY(samp__evaluate(r, node->c, &keep));
        if (samp__truth(&keep)) SAMP_TRY(samp__list_add(r, kept, items->items[i]));
    }
    r->frame = saved;
    *out = kept;
    return SAMP_OK;
}

static samp_status execute_iterations(samp__render *r, const samp__node *node,
                                      const samp__list *items)
{
    samp__loop *loop;
    samp__frame *saved;
    SAMP_TRY(samp__allocate(r, 1, sizeof *loop, &loop));
    loop->items = items;
    SAMP_TRY(samp__frame_push(r, r->frame, &saved));
    samp__value as_value = {.kind = SAMP__LOOP, .loop = loop};
    for (; loop->index < items->n && r->flow != SAMP__FLOW_BREAK; loop->index++) {
        r->frame->n = 0;
        r->flow = SAMP__FLOW_ON;
        SAMP_TRY(samp__charge(r, 1));
        SAMP_TRY(samp__bind(r, r->frame, node->name, as_value));
        SAMP_TRY(samp__assign(r, node->a, &items->items[loop->index]));
        SAMP_TRY(samp__execute(r, node->body));
    }
    r->flow = SAMP__FLOW_ON;
    r->frame = saved;
    return SAMP_OK;
}

static samp_status execute_for(samp__render *r, const samp__node *node)
{
    samp__value over;
    const samp__list *items;
    samp__frame *saved;
    SAMP_TRY(samp__evaluate(r, node->b, &over));
    SAMP_TRY(samp__items(r, &over, &items));
    SAMP_TRY(filter_items(r, node, items, &items));
    if (items->n) return execute_iterations(r, node, items);
    if (!node->otherwise) return SAMP_OK;
    SAMP_TRY(samp__frame_push(r, r->frame, &saved));
    SAMP_TRY(samp__execute(r, node->otherwise));
    r->frame = saved;
    return SAMP_OK;
}

/* ---- the others ------------------------------------------------------------------------------ */

samp_status samp__capture(samp__render *r, const samp__node *body, samp__text *out)
{
    samp__builder text = {0}, *output = r->output;
    samp__frame *saved;
    SAMP_TRY(samp__frame_push(r, r->frame, &saved));
    r->output = &text;
    samp_status status = samp__execute(r, body);
    r->output = output;
    r->frame = saved;
    *out = samp__built(&text);
    return status;
}

/* A block through its filters: the value they make of its text. */
static samp_status evaluate_captured(samp__render *r, const samp__node *node, samp__value *out)
{
    samp__text outer = r->captured;
    SAMP_TRY(samp__capture(r, node->body, &r->captured));
    SAMP_TRY(samp__evaluate(r, node->b, out));
    r->captured = outer;
    return SAMP_OK;
}

static samp_status execute_if(samp__render *r, const samp__node *node)
{
    for (const samp__node *branch = node->items; branch; branch = branch->next) {
        samp__value test = samp__bool(true);
        if (branch->a) SAMP_TRY(samp__evaluate(r, branch->a, &test));
        if (samp__truth(&test)) return samp__execute(r, branch->body);
    }
    return SAMP_OK;
}

static samp_status execute_with(samp__render *r, const samp__node *node)
{
    samp__frame *saved, *inner;
    SAMP_TRY(samp__frame_push(r, r->frame, &saved));
    inner = r->frame;
    for (const samp__node *set = node->items; set; set = set->next) {
        samp__value value;
        r->frame = saved; /* values do not see the names beside them */
        SAMP_TRY(samp__evaluate(r, set->b, &value));
        r->frame = inner;
        SAMP_TRY(samp__assign(r, set->a, &value));
    }
    SAMP_TRY(samp__execute(r, node->body));
    r->frame = saved;
    return SAMP_OK;
}

static samp_status execute_macro(samp__render *r, const samp__node *node)
{
    samp__macro *macro;
    SAMP_TRY(samp__allocate(r, 1, sizeof *macro, &macro));
    *macro = (samp__macro){.node = node, .frame = r->frame};
    return samp__bind(r, r->frame, node->name, (samp__value){.kind = SAMP__MACRO, .macro = macro});
}

static samp_status execute_one(samp__render *r, const samp__node *node)
{
    samp__value value;
    switch (node->kind) {
    case SAMP__N_DATA: return samp__build(r, r->output, node->text);
    case SAMP__N_OUTPUT:
        SAMP_TRY(samp__evaluate(r, node->a, &value));
        return samp__build_value(r, r->output, &value);
    case SAMP__N_IF: return execute_if(r, node);
    case SAMP__N_FOR: return execute_for(r, node);
    case SAMP__N_SET:
        SAMP_TRY(samp__evaluate(r, node->b, &value));
        return samp__assign(r, node->a, &value);
    case SAMP__N_SET_BLOCK:
        SAMP_TRY(evaluate_captured(r, node, &value));
        return samp__assign(r, node->a, &value);
    case SAMP__N_FILTERED:
        SAMP_TRY(evaluate_captured(r, node, &value));
        return samp__build_value(r, r->output, &value);
    case SAMP__N_MACRO: return execute_macro(r, node);
    case SAMP__N_WITH: return execute_with(r, node);
    case SAMP__N_BREAK: r->flow = SAMP__FLOW_BREAK; return SAMP_OK;
    case SAMP__N_CONTINUE: r->flow = SAMP__FLOW_CONTINUE; return SAMP_OK;
    default: return samp__fail(r, SAMP_UNSUPPORTED, "this is not a statement");
    }
}

samp_status samp__execute(samp__render *r, const samp__node *first)
{
    const samp__node *outer = r->at;
    SAMP_TRY(samp__enter(r));
    for (const samp__node *node = first; node && r->flow == SAMP__FLOW_ON; node = node->next) {
        r->at = node;
        SAMP_TRY(samp__charge(r, 1));
        SAMP_TRY(execute_one(r, node));
    }
    r->at = outer;
    samp__leave(r);
    return SAMP_OK;
}
