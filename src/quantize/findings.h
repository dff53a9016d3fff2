/* What the validator can find: ONE table of stable ids, and a list of what it did find. The table
 * is the source of the rules in SARIF output, of `samp validate --rules` and of the documentation.
 * Ids are never reused or given another meaning. */
#ifndef SAMP_QUANTIZE_FINDINGS_H
#define SAMP_QUANTIZE_FINDINGS_H

#include "base/buffer.h"
#include "base/memory.h"
#include "file/manifest.h" /* samp_severity; the ids SAMP-MAN-… are its */

/* enumerator, id, severity, title, cause, fix */
#define SAMP_FINDING_LIST(X)                                                                       \
    X(CONFIG_MISSING, "SAMP-CFG-001", ERROR, "config.json is missing or not JSON",                 \
      "The download was cut off, or the folder is not a model.", "Get config.json again.")         \
    X(CONFIG_VALUE, "SAMP-CFG-002", ERROR, "config.json has a value that cannot be used",          \
      "A number is out of range, sizes contradict each other, or the architecture is unknown.",    \
      "Compare config.json with the original model's.")                                            \
    X(QUANT_CONFIG, "SAMP-CFG-003", ERROR, "quantization_config cannot be used",                   \
      "It was edited by hand, or written by another or a newer tool.",                             \
      "Restore it from the artifact's origin, or quantize again.")                                 \
    X(QUANT_TYPE, "SAMP-CFG-004", WARNING, "quant_type does not fit the formats used",             \
      "quant_type names one format, the modules use others.",                                      \
      "Correct quant_type; the modules' formats are what counts.")                                 \
    X(QUANT_MODULE, "SAMP-CFG-005", ERROR, "quantization_config names an unknown module",          \
      "config.json belongs to another model, or a module was renamed.",                            \
      "Use the config.json that was written with these weights.")                                  \
    X(QUANT_ABSENT, "SAMP-CFG-006", ERROR, "quantized tensors without quantization_config",        \
      "config.json was replaced by the original model's.",                                         \
      "Use the config.json that was written with these weights.")                                  \
    X(REMOTE_CODE, "SAMP-CFG-007", WARNING, "config.json asks to run code from the folder",        \
      "auto_map makes other programs import Python files from this folder.",                       \
      "Remove auto_map and the Python files unless you trust them.")                               \
    X(QUANT_DETAIL, "SAMP-CFG-008", WARNING, "quantization_config contradicts its own modules",    \
      "block_size or double_quant differ from what the modules' formats have.",                    \
      "Correct them; the modules' formats are what counts.")                                       \
    X(QUANT_FOREIGN, "SAMP-CFG-009", NOTE, "another program quantized this model",                 \
      "samp checks the artifact but does not run it.",                                             \
      "Serve it with that program, or quantize the 16-bit model with samp.")                       \
    X(QUANT_UNCHECKED, "SAMP-CFG-010", WARNING, "the quantization cannot be checked",              \
      "quant_method is none that is known here: tensors were not compared with config.json.",      \
      "Check it with the program that wrote it.")                                                  \
    X(INT8_THRESHOLD, "SAMP-CFG-011", WARNING, "the outlier threshold of LLM.int8 is below 6.0",   \
      "Inputs from the threshold on multiply in 16 bits; 6.0 is what the method was proven with.", \
      "Set llm_int8_threshold to 6.0, or measure with `samp eval` what another value does.")       \
    X(INDEX_BAD, "SAMP-IDX-001", ERROR, "the index cannot be used",                                \
      "model.safetensors.index.json is damaged, or names files outside of the folder.",            \
      "Get the index again.")                                                                      \
    X(INDEX_EXTRA, "SAMP-IDX-002", ERROR, "the index names a tensor its shard does not have",      \
      "Index and shards are of different versions.", "Get index and shards of one version.")       \
    X(INDEX_LACKS, "SAMP-IDX-003", ERROR, "a shard has a tensor the index does not name",          \
      "Index and shards are of different versions.", "Get index and shards of one version.")       \
    X(INDEX_SIZE, "SAMP-IDX-004", WARNING, "total_size of the index is wrong",                     \
      "The index was written for other shards, or by a careless tool.",                            \
      "Check the digests of the shards; then correct total_size.")                                 \
    X(NO_WEIGHTS, "SAMP-SHD-001", ERROR, "the folder has no weights",                              \
      "Neither model.safetensors nor model.safetensors.index.json is there.",                      \
      "Get the weights; other file types must be converted to safetensors first.")                 \
    X(SHARD_MISSING, "SAMP-SHD-002", ERROR, "a shard is missing", "The download is incomplete.",   \
      "Get the missing shard.")                                                                    \
    X(SHARD_EXTRA, "SAMP-SHD-003", ERROR, "a shard is not in the index",                           \
      "It is left over from another version of the model.", "Remove it, or get the right index.")  \
    X(SHARD_NUMBERS, "SAMP-SHD-004", ERROR, "the shards' numbers have a gap",                      \
      "Shards of different versions are mixed, or one is not in the index.",                       \
      "Get all shards of one version.")                                                            \
    X(SHARD_EMPTY, "SAMP-SHD-005", ERROR, "a shard is empty",                                      \
      "A download or copy failed, or a disk was full.", "Get the shard again.")                    \
    X(SHARD_POINTER, "SAMP-SHD-006", ERROR, "a shard is a Git LFS pointer",                        \
      "The repository was cloned without its large files.", "Run `git lfs pull` in the folder.")   \
    X(SHARD_BAD, "SAMP-SHD-007", ERROR, "a shard is not a valid safetensors file",                 \
      "It is cut off, damaged, or hostile.", "Get the shard again and compare its digest.")        \
    X(TENSOR_TWICE, "SAMP-SHD-008", ERROR, "a tensor is in two shards",                            \
      "Shards of different versions are mixed.", "Get all shards of one version.")                 \
    X(WEIGHTS_TWICE, "SAMP-SHD-009", ERROR, "the folder has a single file and an index",           \
      "Two versions of the model are mixed: programs disagree on which to load.",                  \
      "Remove the one that is not meant.")                                                         \
    X(SHARD_SMALL, "SAMP-SHD-010", WARNING, "a shard is suspiciously small",                       \
      "Writers fill all shards but the last; this one may be cut off, or a server's error page.",  \
      "Compare its size and digest with the origin's.")                                            \
    X(LEGACY, "SAMP-SHD-011", ERROR, "the weights are there as PyTorch pickles only",              \
      "They are of the time before safetensors: loading them runs what they contain.",             \
      "Get the model's safetensors; or convert in a sandbox: load it with transformers, then "     \
      "save_pretrained(folder).")                                                                  \
    X(TENSOR_MISSING, "SAMP-TNS-001", ERROR, "a tensor is missing",                                \
      "A shard is of another version, or config.json of another model.",                           \
      "Get config.json and all shards of one version.")                                            \
    X(TENSOR_EXTRA, "SAMP-TNS-002", ERROR, "a tensor the model does not have",                     \
      "config.json is of another model, or the checkpoint has biases or adapters.",                \
      "Merge adapters into the weights; get the right config.json.")                               \
    X(TENSOR_SHAPE, "SAMP-TNS-003", ERROR, "a tensor has the wrong shape",                         \
      "config.json is of another model, or a scale tensor is transposed.",                         \
      "Get config.json and all shards of one version.")                                            \
    X(TENSOR_TYPE, "SAMP-TNS-004", ERROR, "a tensor has the wrong type",                           \
      "quantization_config gives its module another format.",                                      \
      "Use the config.json that was written with these weights.")                                  \
    X(TIED_HEAD, "SAMP-TNS-005", NOTE, "a tied output head is stored as well",                     \
      "config.json ties the head to the embedding; the stored lm_head is not used.",               \
      "Nothing to do; removing it saves space.")                                                   \
    X(TIED_DIFFERS, "SAMP-TNS-006", WARNING, "a tied output head is stored and is another matrix", \
      "tie_word_embeddings is wrong, or a fine-tune untied the head: programs disagree which to "  \
      "use.",                                                                                      \
      "Ask the origin: remove lm_head, or set tie_word_embeddings to false.")                      \
    X(SCALE_NOT_FINITE, "SAMP-SCL-001", ERROR, "a scale is NaN or infinite",                       \
      "The file is damaged, or the quantizer met values it could not handle.",                     \
      "Quantize again; if it stays, the 16-bit weights are at fault.")                             \
    X(SCALE_NEGATIVE, "SAMP-SCL-002", ERROR, "a scale is negative where that is not allowed",      \
      "The file is damaged or was written by another tool.", "Quantize again.")                    \
    X(SCALE_ZERO, "SAMP-SCL-003", ERROR, "a scale is zero but its weights are not",                \
      "Scales underflowed or the file is damaged: these weights all become zero.",                 \
      "Quantize again from the original.")                                                         \
    X(SCALE_OVERFLOW, "SAMP-SCL-004", ERROR, "a scale is so large that weights overflow",          \
      "The file is damaged.", "Quantize again.")                                                   \
    X(SCALE_TABLE, "SAMP-SCL-005", ERROR, "a code table or scale description is wrong",            \
      "The file is damaged, or was written for another codebook.", "Quantize again.")              \
    X(WEIGHT_RANGE, "SAMP-SCL-006", WARNING, "a weight is beyond what 16-bit floats hold",         \
      "Engines that expand weights to FP16 turn it into infinity (limit 65504).",                  \
      "Serve with bfloat16 as the compute type.")                                                  \
    X(SCALE_SUBNORMAL, "SAMP-SCL-007", WARNING, "a scale is a subnormal number",                   \
      "The row is nearly zero or the scale is damaged; GPUs take such numbers for zero.",          \
      "Compare the row with the original's; quantize again if it should not be zero.")             \
    X(VALUE_NOT_FINITE, "SAMP-VAL-001", ERROR, "a weight is NaN or infinite",                      \
      "The file is damaged, or training diverged.", "Get the file again; compare digests.")        \
    X(CODE_NAN, "SAMP-VAL-002", ERROR, "a code stands for no number",                              \
      "FP8 has a code for NaN; a quantizer never writes it.", "Quantize again.")                   \
    X(CODE_RANGE, "SAMP-VAL-003", ERROR, "a code is outside of its range",                         \
      "-128 is no code of a symmetric 8-bit format: the file is damaged or foreign.",              \
      "Quantize again.")                                                                           \
    X(CODE_CLIPPED, "SAMP-VAL-004", WARNING, "many codes are at the end of their range",           \
      "Scales are too small, so that large weights were clipped.",                                 \
      "Quantize again, or compare with `samp eval --baseline`.")                                   \
    X(ROW_ZERO, "SAMP-VAL-005", NOTE, "a row of weights is all zero",                              \
      "The channel was pruned, belongs to an unused token, or was lost.",                          \
      "Compare with the original if this is unexpected.")                                          \
    X(MANIFEST_MALFORMED, "SAMP-MAN-001", ERROR, "samp.json cannot be read",                       \
      "It is damaged, or of another program.", "Get samp.json again.")                             \
    X(MANIFEST_VERSION, "SAMP-MAN-002", ERROR, "samp.json is of a newer version",                  \
      "A newer samp made the artifact.", "Use a newer samp.")                                      \
    X(MANIFEST_NAME, "SAMP-MAN-003", ERROR, "samp.json lists a name that is no file here",         \
      "It was changed, perhaps to make a program look elsewhere.", "Get samp.json again.")         \
    X(FILE_MISSING, "SAMP-MAN-004", ERROR, "a file that samp.json lists is missing",               \
      "The copy is incomplete.", "Copy the whole folder.")                                         \
    X(FILE_UNREADABLE, "SAMP-MAN-005", ERROR, "a file that samp.json lists cannot be read",        \
      "It is no regular file, or reading it failed.", "Get the file again; check the disk.")       \
    X(FILE_SIZE, "SAMP-MAN-006", ERROR, "a file has not the size samp.json gives",                 \
      "A copy was cut off, or the file was replaced.", "Get the file again.")                      \
    X(FILE_DIGEST, "SAMP-MAN-007", ERROR, "a file has not the digest samp.json gives",             \
      "Bits were flipped in storage or transfer, or the file was edited.", "Get the file again.")  \
    X(WEIGHTS_UNLISTED, "SAMP-MAN-008", ERROR, "weights that samp.json does not list",             \
      "They were added after the artifact was made.", "Remove them.")                              \
    X(CODE_UNLISTED, "SAMP-MAN-009", WARNING, "a code file that samp.json does not list",          \
      "It was added after the artifact was made; other programs may run it.", "Remove it.")        \
    X(MANIFEST_CHANGED, "SAMP-MAN-010", ERROR, "samp.json was changed after it was written",       \
      "Its text does not have the digest it states.", "Get samp.json again.")                      \
    X(MANIFEST_MISSING, "SAMP-MAN-011", ERROR, "samp.json is missing from an artifact",            \
      "The copy is incomplete: without it damage cannot be found.", "Copy the whole folder.")      \
    X(TOKENIZER_MISSING, "SAMP-TOK-001", WARNING, "tokenizer.json is missing",                     \
      "The folder has weights only.", "Copy tokenizer.json from the original model.")              \
    X(TOKENIZER_BAD, "SAMP-TOK-002", ERROR, "the tokenizer cannot be used",                        \
      "tokenizer.json is damaged or of a kind that is not supported.",                             \
      "Compare it with the original model's.")                                                     \
    X(TOKENIZER_SIZE, "SAMP-TOK-003", ERROR, "the tokenizer has more tokens than the embedding",   \
      "The tokenizer belongs to another model.", "Use the model's own tokenizer.")                 \
    X(TOKENIZER_IDS, "SAMP-TOK-004", WARNING, "tokenizer and config.json disagree on token ids",   \
      "The tokenizer belongs to another model, or one of the two was edited.",                     \
      "Use the files of one model; a wrong end token makes answers run on.")                       \
    X(TOKENIZER_SMALL, "SAMP-TOK-005", WARNING,                                                    \
      "the tokenizer has far fewer tokens than the "                                               \
      "embedding",                                                                                 \
      "The tokenizer belongs to another model, or its added tokens are lost.",                     \
      "Use the model's own tokenizer.")                                                            \
    X(UNSAFE_FILE, "SAMP-DIR-001", ERROR, "a pickle, which runs code when it is loaded",           \
      "Programs that load it execute what it contains.",                                           \
      "Remove it; safetensors holds the weights.")                                                 \
    X(LEFTOVER, "SAMP-DIR-002", WARNING, "a file left over by an interrupted run",                 \
      "A program was killed while it wrote here.", "Run it again, or remove the file.")            \
    X(UNREADABLE, "SAMP-DIR-003", ERROR, "a file cannot be read",                                  \
      "It is no regular file, a link leads nowhere, or permissions are missing.",                  \
      "Replace it by the real file.")                                                              \
    X(CODE_FILE, "SAMP-DIR-004", WARNING, "a Python file",                                         \
      "Programs that trust remote code import it.", "Remove it unless you trust its origin.")      \
    X(POINTER, "SAMP-DIR-005", ERROR, "a file is a Git LFS pointer",                               \
      "The repository was cloned without its large files.", "Run `git lfs pull` in the folder.")   \
    X(GGUF_BAD, "SAMP-GGF-001", ERROR, "not a valid GGUF file",                                    \
      "It is cut off, damaged, or hostile.", "Get the file again and compare its digest.")         \
    X(GGUF_UNCHECKED, "SAMP-GGF-002", WARNING, "the GGUF file's model cannot be checked",          \
      "Its architecture or a tensor's type is none that is known here.",                           \
      "Check it with the program that wrote it.")                                                  \
    X(GGUF_MODEL, "SAMP-GGF-003", ERROR,                                                           \
      "metadata and tensors of a GGUF file contradict each "                                       \
      "other",                                                                                     \
      "It was written by a faulty converter, or edited.", "Convert the original model again.")     \
    X(TARGET, "SAMP-TGT-001", ERROR, "the target cannot load this artifact",                       \
      "The program asked about does not read the formats used here.",                              \
      "Use `samp export` for that program.")

typedef enum samp_finding_id {
#define X(id, code, severity, title, cause, fix) SAMP_FINDING_##id,
    SAMP_FINDING_LIST(X)
#undef X
        SAMP_FINDING_COUNT
} samp_finding_id;

typedef struct samp_finding_rule {
    const char *code; /* "SAMP-SHD-006" */
    samp_severity severity;
    const char *title, *cause, *fix;
} samp_finding_rule;

const samp_finding_rule *samp_finding_rule_get(samp_finding_id id);
/* By code; false when there is none. */
bool samp_finding_find(const char *code, samp_finding_id *out);
const char *samp_severity_name(samp_severity severity); /* "note", "warning", "error" */
/* false when the name is none of them. */
bool samp_severity_parse(const char *name, samp_severity *out);

typedef struct samp_finding {
    samp_finding_id id;
    const char *file;    /* name in the folder, "" = the folder itself */
    const char *tensor;  /* "" = none */
    const char *message; /* one sentence: what was found here */
} samp_finding;

enum { SAMP_FINDINGS_PER_ID = 100 }; /* more of one kind are counted, not kept */

/* A zeroed samp_findings is ready. */
typedef struct samp_findings {
    samp_finding *items;
    size_t count, capacity;
    uint64_t counts[SAMP_FINDING_COUNT];  /* of each id, also those not kept */
    uint64_t n_files, n_tensors, n_bytes; /* looked at; bytes of tensor data read */
    samp_arena arena;
    bool failed; /* out of memory: the list is incomplete */
} samp_findings;

void samp_findings_add(samp_findings *findings, samp_finding_id id, const char *file,
                       const char *tensor, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void samp_findings_release(samp_findings *findings);
/* How many findings have at least this severity. */
uint64_t samp_findings_at_least(const samp_findings *findings, samp_severity severity);
/* Exit code of `samp validate --fail-on SEVERITY`: 0, or 1 when there are findings at least that
 * severe. */
int samp_findings_exit(const samp_findings *findings, samp_severity fail_on);

/* For people: findings by severity, then a summary line. colour: ANSI colours. */
void samp_findings_text(const samp_findings *findings, const char *folder, bool colour,
                        samp_buffer *out);
/* {"schema_version": 1, "folder": …, "findings": [{id, severity, file, tensor, message, fix}],
 * "counts": …} */
samp_status samp_findings_json(const samp_findings *findings, const char *folder, samp_buffer *out,
                               samp_error *error);
/* SARIF 2.1.0, for code scanning services; the rules are the table above. */
samp_status samp_findings_sarif(const samp_findings *findings, const char *folder, samp_buffer *out,
                                samp_error *error);
/* The table as Markdown, for the documentation. */
void samp_findings_rules(samp_buffer *out);
/* One row of it as text; false when there is no such id. */
bool samp_findings_explain(const char *id, samp_buffer *out);

#endif
