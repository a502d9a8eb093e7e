/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
#include "vne_programs.h"

/* A plain `swift build` before `make bpf` fails here, with the missing file's name. */
static const unsigned char object[] __attribute__((aligned(8))) = {
#embed ".output/vne.bpf.o"
};

const void *vne_programs_object(void)
{
	return object;
}

__SIZE_TYPE__ vne_programs_size(void)
{
	return sizeof(object);
}
