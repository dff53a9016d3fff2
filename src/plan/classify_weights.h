/* Weights of the classifier; made by tools/train_classifier.c, not by hand. */
#ifndef SAMP_PLAN_CLASSIFY_WEIGHTS_H
#define SAMP_PLAN_CLASSIFY_WEIGHTS_H

#include "plan/classify.h"

static const float classify_weights[SAMP_FEATURE_COUNT][SAMP_CLASS_COUNT] = {
    /* code json math chat prose */
    [SAMP_FEATURE_BIAS] = {-0.691f, -0.802f, 7.280f, -4.895f, -0.891f},
    [SAMP_FEATURE_LETTERS] = {-2.603f, -0.593f, -2.709f, 3.332f, 2.574f},
    [SAMP_FEATURE_DIGITS] = {0.024f, -0.588f, -0.874f, -0.747f, 2.184f},
    [SAMP_FEATURE_BRACES] = {-1.170f, 0.909f, 2.017f, -0.199f, -1.556f},
    [SAMP_FEATURE_BRACKETS] = {1.244f, 0.820f, -0.890f, 0.838f, -2.013f},
    [SAMP_FEATURE_PARENTHESES] = {0.744f, -0.362f, -0.064f, -0.305f, -0.013f},
    [SAMP_FEATURE_SEMICOLONS] = {0.586f, -0.132f, -1.022f, -0.627f, 1.194f},
    [SAMP_FEATURE_UNDERSCORES] = {1.894f, 0.566f, -0.510f, -0.809f, -1.141f},
    [SAMP_FEATURE_EQUALS] = {0.953f, -0.662f, 2.677f, 0.070f, -3.039f},
    [SAMP_FEATURE_OPERATORS] = {0.288f, 0.191f, -0.023f, 0.267f, -0.723f},
    [SAMP_FEATURE_KEY_COLONS] = {-0.338f, 1.636f, -0.352f, -0.648f, -0.298f},
    [SAMP_FEATURE_QUOTES] = {-0.148f, 1.704f, 0.287f, -0.669f, -1.175f},
    [SAMP_FEATURE_LATEX] = {-0.230f, 0.255f, -0.096f, -0.211f, 0.281f},
    [SAMP_FEATURE_MONEY] = {0.649f, 0.005f, 0.659f, -0.755f, -0.558f},
    [SAMP_FEATURE_QUESTIONS] = {-0.548f, 0.155f, 1.952f, 0.165f, -1.724f},
    [SAMP_FEATURE_LINES] = {3.233f, -0.935f, -1.959f, 2.913f, -3.252f},
    [SAMP_FEATURE_INDENTED] = {3.891f, -0.814f, -2.851f, 1.628f, -1.854f},
    [SAMP_FEATURE_CODE_ENDINGS] = {1.627f, 1.090f, -1.366f, 0.477f, -1.827f},
    [SAMP_FEATURE_FENCED] = {-4.923f, -0.004f, -0.013f, 4.953f, -0.012f},
    [SAMP_FEATURE_KEYWORD] = {1.622f, -0.080f, -0.433f, -0.679f, -0.430f},
    [SAMP_FEATURE_PROGRAM] = {2.405f, 0.610f, -1.359f, -0.989f, -0.667f},
    [SAMP_FEATURE_STORY] = {0.968f, -0.615f, 1.990f, -0.726f, -1.617f},
    [SAMP_FEATURE_FORMAL] = {0.121f, 0.030f, 1.365f, -0.699f, -0.817f},
    [SAMP_FEATURE_STRUCT] = {0.066f, 1.556f, -0.060f, 0.286f, -1.848f},
    [SAMP_FEATURE_PERSON] = {-1.339f, -0.053f, -0.807f, 1.333f, 0.867f},
    [SAMP_FEATURE_ASK] = {0.223f, -0.606f, 0.732f, 1.240f, -1.589f},
    [SAMP_FEATURE_THIRD] = {0.166f, -0.440f, 0.394f, -0.464f, 0.344f},
    [SAMP_FEATURE_ENGLISH] = {-1.312f, -0.895f, 0.438f, 0.631f, 1.137f},
    [SAMP_FEATURE_NUMBERS] = {-0.730f, -0.263f, 2.167f, 0.707f, -1.881f},
    [SAMP_FEATURE_CAPITALS] = {-1.881f, -0.851f, 1.271f, 0.259f, 1.201f},
    [SAMP_FEATURE_OPENS_ASKING] = {2.545f, 0.118f, -1.730f, 1.648f, -2.581f},
    [SAMP_FEATURE_LENGTH] = {-0.197f, -0.464f, -6.257f, 2.774f, 4.145f},
    [SAMP_FEATURE_JSON_KEYS] = {-1.615f, 2.408f, -0.452f, -0.200f, -0.141f},
    [SAMP_FEATURE_JSON_END] = {0.619f, 0.898f, -0.251f, -1.198f, -0.069f},
};

#endif
