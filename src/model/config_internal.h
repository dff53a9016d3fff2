/* What the readers of config.json's parts share. Private to the model room. */
#ifndef SAMP_MODEL_CONFIG_INTERNAL_H
#define SAMP_MODEL_CONFIG_INTERNAL_H

#include "model/config.h"
#include "model/family.h"

enum { SAMP__POSITIONS_MAX = 1 << 26 };

/* A member that must be there, 1 … max. */
samp_status samp__config_u32(const json_t *object, const char *key, uint32_t max, uint32_t *out,
                             const char *where, samp_error *error);
/* A number more than 0 and at most max; *out stays when it is missing and not required. */
samp_status samp__config_positive(const json_t *object, const char *key, bool required, double max,
                                  double *out, const char *where, samp_error *error);

/* rope.c: the rotation, after the sizes; its "rope_scaling" when written again. */
samp_status samp__config_rope(samp_config *config, const json_t *root, const samp_family *family,
                              const char *where, samp_error *error);
json_t *samp__config_rope_json(const samp_config *config);
/* config_layers.c: windows and layers without rope. */
samp_status samp__config_layers(samp_config *config, const json_t *root, const samp_family *family,
                                const char *where, samp_error *error);
/* Adds their members to the object; false when out of memory. */
bool samp__config_layers_json(const samp_config *config, const samp_family *family, json_t *object);

#endif
