/* Runs a fuzz target without a fuzzer: every regular file of the folders (or files) given goes
 * through LLVMFuzzerTestOneInput once. So the stored corpora, found crashes among them, are tests
 * of every build, sanitized or not. Fails when there was nothing to run. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

/* 1 when the file was run, 0 when it is not a regular file, -1 on an error. */
static int run_file(const char *path)
{
    struct stat info;
    FILE *file = fopen(path, "rbe");
    if (!file || fstat(fileno(file), &info) != 0) {
        perror(path);
        if (file) fclose(file);
        return -1;
    }
    if (!S_ISREG(info.st_mode)) {
        fclose(file);
        return 0;
    }
    /* Exactly as large as the input, so that a sanitizer sees a read past its end. */
    size_t size = (size_t)info.st_size;
    uint8_t *data = malloc(size ? size : 1);
    int done = -1;
    if (data && fread(data, 1, size, file) == size) {
        LLVMFuzzerTestOneInput(data, size);
        done = 1;
    } else {
        fprintf(stderr, "%s: cannot be read whole\n", path);
    }
    free(data);
    fclose(file);
    return done;
}

/* Number of inputs run, -1 on an error. */
static int run_path(const char *path)
{
    struct stat info;
    if (stat(path, &info) == 0 && !S_ISDIR(info.st_mode)) return run_file(path);
    struct dirent **entries;
    int n = scandir(path, &entries, NULL, compare_names), total = 0;
    if (n < 0) {
        perror(path);
        return -1;
    }
    for (int i = 0; i < n; i++) {
        char name[4096];
        int length = snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        int done = entries[i]->d_name[0] == '.' ? 0
                   : length < (int)sizeof name  ? run_file(name)
                                                : -1;
        total = total < 0 || done < 0 ? -1 : total + done;
        free(entries[i]);
    }
    free(entries);
    return total;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int n = run_path(argv[i]);
        if (n < 0) return 1;
        total += n;
    }
    printf("%d inputs\n", total);
    if (total > 0) return 0;
    fprintf(stderr, "replay: no inputs; usage: replay FOLDER|FILE…\n");
    return 1;
}
