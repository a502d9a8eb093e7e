/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#ifndef VNE_PROGRAMS_H
#define VNE_PROGRAMS_H

#include "vne_abi.h"

/** The compiled kernel half, an ELF object for libbpf, aligned to 8 bytes; lives as long as the process. */
const void *vne_programs_object(void);

/** Its size in bytes. */
__SIZE_TYPE__ vne_programs_size(void);

#endif
