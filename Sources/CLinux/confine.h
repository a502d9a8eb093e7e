/* SPDX-License-Identifier: Apache-2.0 */
/* What a launch takes from the command that it starts. Between clone and exec: async-signal-safe, no allocation. */
#ifndef CLINUX_CONFINE_H
#define CLINUX_CONFINE_H

#include <stdint.h>

/** Takes capabilities, a bit each, from every set of the calling thread, for good: 0, or -1 with errno. */
int vne_drop_capabilities(uint64_t capabilities);

/** Sets no_new_privs and filters the calling thread's system calls, for good: 0, or -1 with errno. */
int vne_filter_calls(void);

#endif
