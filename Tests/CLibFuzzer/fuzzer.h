/* What libFuzzer has for a program with a main function of its own; it comes with no header. */
#ifndef VNE_FUZZER_H
#define VNE_FUZZER_H

#include <stddef.h>
#include <stdint.h>

/** Runs `test` on inputs without end, or as the arguments say. */
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*test)(const uint8_t *data, size_t size));

#endif
