/* The index of a sharded checkpoint, parsed without a document tree: up to 1,000,000 tensors. */
#include "file/index.h"

#include "file/json_cursor.h"
#include "file/safetensors.h"

#include <string.h>

enum { ENTRIES_MAX = 1000000, SHARD_NAME_MAX = 255 };

/* A file name in this very folder: no separator of any system, no hidden file, the right ending. */
static bool shard_name_ok(samp_json_text name)
{
    static const char ending[] = ".safetensors";
    const size_t n_ending = sizeof ending - 1;
    if (name.length <= n_ending || name.length > SHARD_NAME_MAX || name.data[0] == '.')
        return false;
    if (!samp_name_is_plain(name.data, name.length) || memchr(name.data, '/', name.length))
        return false;
    if (memchr(name.data, '\\', name.length) || memchr(name.data, ':', name.length)) return false;
    return memcmp(name.data + name.length - n_ending, ending, n_ending) == 0;
}

static bool append_entry(samp_index *index, samp_cursor *bytes, const char *tensor,
                         samp_json_text shard)
{
    if (index->n == ENTRIES_MAX) {
        samp_cursor_fail(bytes, SAMP_LIMIT, "weight_map names more than %d tensors", ENTRIES_MAX);
        return false;
    }
    if (index->n == index->capacity) {
        size_t capacity = index->capacity ? 2 * index->capacity : 64;
        void *entries = samp_realloc(index->entries, capacity, sizeof *index->entries);
        if (!entries) return false;
        index->entries = entries;
        index->capacity = capacity;
    }
    /* Neighbours are mostly in the same shard: its name is then kept once. */
    const char *last = index->n ? index->entries[index->n - 1].shard : NULL;
    const char *name = last && samp_json_text_is(shard, last)
                           ? last
                           : samp_arena_strndup(&index->arena, shard.data, shard.length);
    if (!name || samp_names_add(&index->by_tensor, tensor, (uint32_t)index->n, NULL) != SAMP_OK)
        return false;
    index->entries[index->n++] = (samp_index_entry){tensor, name};
    return true;
}

static bool read_weight_map(samp_index *index, samp_json_cursor *json)
{
    samp_cursor *bytes = json->bytes;
    samp_json_text text;
    if (!samp_json_cursor_enter(json, '{')) return false;
    while (samp_json_cursor_member(json, &text)) {
        if (text.length == 0 || text.length > SAMP_TENSOR_NAME_MAX ||
            !samp_name_is_plain(text.data, text.length)) {
            samp_cursor_fail(bytes, SAMP_CORRUPT,
                             "weight_map has a name that no tensor can have (%zu bytes)",
                             text.length);
            return false;
        }
        const char *tensor = samp_arena_strndup(&index->arena, text.data, text.length);
        if (!samp_json_cursor_string(json, "the name of a shard", &text)) return false;
        if (!shard_name_ok(text)) {
            samp_cursor_fail(bytes, SAMP_CORRUPT,
                             "weight_map puts %s in \"%.*s\", expected the name of a .safetensors "
                             "file in the same folder",
                             tensor ? tensor : "a tensor",
                             text.length < 200 ? (int)text.length : 200, text.data);
            return false;
        }
        if (!tensor || !append_entry(index, bytes, tensor, text)) {
            samp_cursor_fail(bytes, SAMP_NOMEM, "out of memory for the index");
            return false;
        }
    }
    return bytes->status == SAMP_OK;
}

/* total_size is a whole number; some tools write it as 123.0. Anything else is passed over. */
static bool read_total_size(samp_index *index, samp_json_cursor *json)
{
    samp_json_cursor_peek(json);
    uint64_t start = json->bytes->at, value = 0;
    if (!samp_json_cursor_skip(json)) return false;
    const char *text = (const char *)json->bytes->data + start;
    size_t n = (size_t)(json->bytes->at - start), digits = 0;
    while (digits < n && text[digits] >= '0' && text[digits] <= '9') digits++;
    bool whole = digits == n || (n - digits == 2 && memcmp(text + digits, ".0", 2) == 0);
    if (digits == 0 || digits > 19 || !whole) return true;
    for (size_t i = 0; i < digits; i++) value = value * 10 + (uint64_t)(text[i] - '0');
    index->has_total_size = true;
    index->total_size = value;
    return true;
}

static bool read_index_metadata(samp_index *index, samp_json_cursor *json)
{
    samp_json_text key;
    if (samp_json_cursor_peek(json) != '{') return samp_json_cursor_skip(json);
    if (!samp_json_cursor_enter(json, '{')) return false;
    while (samp_json_cursor_member(json, &key)) {
        bool total = samp_json_text_is(key, "total_size");
        if (!(total ? read_total_size(index, json) : samp_json_cursor_skip(json))) return false;
    }
    return json->bytes->status == SAMP_OK;
}

static bool read_index(samp_index *index, samp_json_cursor *json)
{
    samp_json_text key;
    bool seen[2] = {false};
    if (!samp_json_cursor_enter(json, '{')) return false;
    while (samp_json_cursor_member(json, &key)) {
        bool map = samp_json_text_is(key, "weight_map"),
             metadata = samp_json_text_is(key, "metadata");
        if (!map && !metadata) {
            if (!samp_json_cursor_skip(json)) return false;
            continue;
        }
        if (seen[map]) {
            samp_cursor_fail(json->bytes, SAMP_CORRUPT, "\"%s\" is there twice",
                             map ? "weight_map" : "metadata");
            return false;
        }
        seen[map] = true;
        if (!(map ? read_weight_map(index, json) : read_index_metadata(index, json))) return false;
    }
    if (!samp_json_cursor_end(json)) return false;
    if (index->n == 0)
        samp_cursor_fail(json->bytes, SAMP_CORRUPT, "\"weight_map\" is missing or empty");
    return json->bytes->status == SAMP_OK;
}

samp_status samp_index_parse(samp_index *out, const char *text, size_t n, const char *where,
                             samp_error *error)
{
    *out = (samp_index){0};
    samp_cursor bytes;
    samp_json_cursor json;
    samp_cursor_init(&bytes, text, n, where, error);
    samp_json_cursor_init(&json, &bytes);
    read_index(out, &json);
    samp_json_cursor_release(&json);
    if (bytes.status != SAMP_OK) return bytes.status;
    const char *twice = samp_names_sort(&out->by_tensor);
    if (twice)
        return samp_fail(error, SAMP_CORRUPT, "%s: weight_map has tensor %s twice", where, twice);
    return SAMP_OK;
}

void samp_index_release(samp_index *index)
{
    samp_names_release(&index->by_tensor);
    samp_free(index->entries);
    samp_arena_release(&index->arena);
    *index = (samp_index){0};
}
