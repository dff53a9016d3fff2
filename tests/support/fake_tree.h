/* A made-up /proc and /sys below a temporary folder, for readers that take a root. Functions stop
 * the program on failure: a test that cannot write its input has no answer to give. */
#ifndef SAMP_TESTS_SUPPORT_FAKE_TREE_H
#define SAMP_TESTS_SUPPORT_FAKE_TREE_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct fake_tree {
    char root[256];
} fake_tree;

static inline void fake_tree_begin(fake_tree *tree)
{
    const char *base = getenv("TMPDIR");
    snprintf(tree->root, sizeof tree->root, "%s/samp-tree-XXXXXX", base && *base ? base : "/tmp");
    if (!mkdtemp(tree->root)) perror(tree->root), exit(1);
}

/* Writes n bytes as root + path, and the folders above it. */
static inline void fake_tree_put_bytes(const fake_tree *tree, const char *path, const void *bytes,
                                       size_t n)
{
    char name[4096];
    snprintf(name, sizeof name, "%s%s", tree->root, path);
    for (char *at = name + strlen(tree->root) + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        mkdir(name, 0777);
        *at = '/';
    }
    FILE *file = fopen(name, "we");
    if (!file || fwrite(bytes, 1, n, file) != n || fclose(file) != 0) perror(name), exit(1);
}

static inline void fake_tree_put(const fake_tree *tree, const char *path, const char *text)
{
    fake_tree_put_bytes(tree, path, text, strlen(text));
}

static inline int fake_tree_remove_one(const char *path, const struct stat *info, int kind,
                                       struct FTW *place)
{
    (void)info, (void)kind, (void)place;
    return remove(path);
}

static inline void fake_tree_end(fake_tree *tree)
{
    nftw(tree->root, fake_tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
