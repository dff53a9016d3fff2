/* Is it the folder of a model? Said before anything is read from it, so that a GGUF file, a file of
 * the folder, or a name that is none gets an answer that says what to do. Private to the room. */
#ifndef SAMP_MODEL_FOLDER_H
#define SAMP_MODEL_FOLDER_H

#include "base/error.h"

/* SAMP_NOT_FOUND: nothing is there; SAMP_UNSUPPORTED: GGUF; SAMP_INVALID: another file. */
samp_status samp__model_folder_check(const char *path, samp_error *error);

#endif
