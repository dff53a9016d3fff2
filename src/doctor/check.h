/* What the checks of this room share: adding a line, and the order in which they run. */
#ifndef SAMP_DOCTOR_CHECK_H
#define SAMP_DOCTOR_CHECK_H

#include "base/sysfs.h"
#include "doctor/doctor.h"

/* A fine line. Control bytes in the text are replaced: it may come from files. */
void samp__check_ok(samp_doctor *doctor, samp_doctor_group group, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A line that is not fine, with the command that helps. */
void samp__check_bad(samp_doctor *doctor, samp_doctor_group group, samp_verdict verdict,
                     const char *command, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* "12.3 GB" into out, which is returned. */
char *samp__gigabytes(char out[32], double bytes);

/* Each adds the lines of its group. */
void samp__check_versions(samp_doctor *doctor, const samp_doctor_options *options);
void samp__check_processor(samp_doctor *doctor, const samp_doctor_options *options);
void samp__check_limits(samp_doctor *doctor, const samp_doctor_options *options);
void samp__check_memory(samp_doctor *doctor, const samp_doctor_options *options);
samp_status samp__check_bandwidth(samp_doctor *doctor, const samp_doctor_options *options,
                                  samp_error *error);
void samp__check_huge_pages(samp_doctor *doctor, const samp_doctor_options *options);
void samp__check_disk(samp_doctor *doctor, const samp_doctor_options *options);
void samp__check_gpu(samp_doctor *doctor, const samp_doctor_options *options);
samp_status samp__check_kernels(samp_doctor *doctor, samp_error *error);
samp_status samp__check_models(samp_doctor *doctor, const samp_doctor_options *options,
                               samp_error *error);

#endif
