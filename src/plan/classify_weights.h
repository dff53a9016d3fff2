/* Weights of the classifier; made by tools/train_classifier.c, not by hand. */
#ifndef SAMP_PLAN_CLASSIFY_WEIGHTS_H
#define SAMP_PLAN_CLASSIFY_WEIGHTS_H

#include "plan/classify.h"

static const float classify_weights[SAMP_FEATURE_COUNT][SAMP_CLASS_COUNT] = {
    /* code json math chat prose */
    [SAMP_FEATURE_BIAS] = {-0.491f, -0.811f, 5.239f, -3.581f, -0.356f},
    [SAMP_FEATURE_LETTERS] = {-1.386f, -0.641f, -2.212f, 3.782f, 0.457f},
    [SAMP_FEATURE_DIGITS] = {-0.296f, -0.663f, 0.578f, -1.653f, 2.034f},
    [SAMP_FEATURE_BRACES] = {-0.231f, 1.106f, -0.668f, 0.794f, -1.000f},
    [SAMP_FEATURE_BRACKETS] = {1.106f, 1.013f, -0.602f, 0.910f, -2.427f},
    [SAMP_FEATURE_PARENTHESES] = {0.112f, -0.572f, 0.262f, -0.222f, 0.420f},
    [SAMP_FEATURE_SEMICOLONS] = {1.591f, -0.123f, -1.556f, -0.621f, 0.709f},
    [SAMP_FEATURE_UNDERSCORES] = {1.955f, 0.610f, -0.366f, -0.977f, -1.222f},
    [SAMP_FEATURE_EQUALS] = {0.514f, -0.500f, 2.321f, 0.485f, -2.819f},
    [SAMP_FEATURE_OPERATORS] = {0.000f, 0.127f, 0.031f, 0.313f, -0.471f},
    [SAMP_FEATURE_KEY_COLONS] = {-0.413f, 1.757f, -0.344f, -0.235f, -0.765f},
    [SAMP_FEATURE_QUOTES] = {-0.260f, 1.955f, 0.738f, -1.138f, -1.294f},
    [SAMP_FEATURE_LATEX] = {-0.854f, 0.070f, 0.658f, -0.695f, 0.820f},
    [SAMP_FEATURE_MONEY] = {-0.159f, 0.086f, 0.461f, 0.174f, -0.562f},
    [SAMP_FEATURE_QUESTIONS] = {0.228f, 0.134f, 1.157f, 0.704f, -2.222f},
    [SAMP_FEATURE_LINES] = {5.206f, -0.945f, -2.322f, 2.968f, -4.906f},
    [SAMP_FEATURE_INDENTED] = {3.598f, -0.604f, -1.680f, 1.124f, -2.438f},
    [SAMP_FEATURE_CODE_ENDINGS] = {0.960f, 0.941f, 0.256f, -0.325f, -1.833f},
    [SAMP_FEATURE_FENCED] = {0.000f, 0.000f, 0.000f, 0.000f, 0.000f},
    [SAMP_FEATURE_KEYWORD] = {1.151f, -0.136f, -0.218f, -0.662f, -0.136f},
    [SAMP_FEATURE_PROGRAM] = {4.032f, 0.353f, -1.414f, -1.672f, -1.299f},
    [SAMP_FEATURE_STORY] = {0.749f, -0.810f, 2.275f, -0.753f, -1.460f},
    [SAMP_FEATURE_FORMAL] = {1.097f, -0.143f, 1.005f, -0.708f, -1.252f},
    [SAMP_FEATURE_STRUCT] = {-0.341f, 1.873f, -0.277f, 0.386f, -1.641f},
    [SAMP_FEATURE_PERSON] = {-1.100f, 0.181f, -0.674f, 0.294f, 1.298f},
    [SAMP_FEATURE_ASK] = {0.761f, -0.755f, 0.677f, 0.609f, -1.291f},
    [SAMP_FEATURE_THIRD] = {-0.559f, -0.519f, 0.587f, -0.441f, 0.932f},
    [SAMP_FEATURE_ENGLISH] = {-1.066f, -0.680f, 0.727f, 0.446f, 0.573f},
    [SAMP_FEATURE_NUMBERS] = {0.581f, -0.501f, 1.422f, 0.648f, -2.150f},
    [SAMP_FEATURE_CAPITALS] = {-2.103f, -0.700f, 0.804f, 0.411f, 1.587f},
    [SAMP_FEATURE_FIRST_ASKS] = {1.868f, 0.455f, -1.153f, 0.494f, -1.665f},
    [SAMP_FEATURE_NUMBERLESS] = {1.420f, -0.568f, -0.805f, 0.326f, -0.373f},
    [SAMP_FEATURE_OPENS_ASKING] = {0.965f, 0.148f, -0.605f, 1.025f, -1.532f},
    [SAMP_FEATURE_LENGTH] = {-3.698f, -0.340f, -4.510f, 2.681f, 5.867f},
    [SAMP_FEATURE_JSON_KEYS] = {-0.795f, 2.556f, -0.507f, -1.105f, -0.149f},
    [SAMP_FEATURE_JSON_END] = {-0.099f, 0.698f, -0.313f, -0.221f, -0.064f},
};

#endif
