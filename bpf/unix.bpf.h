/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Unix sockets: where an environment says `unix: private`, its applications reach no abstract socket of anybody else.
 * Sockets with a path are governed by the file's permissions and stay.
 */
#ifndef VNE_UNIX_BPF_H
#define VNE_UNIX_BPF_H

#include "record.bpf.h"

/* Bytes of an address before its name. */
#define VNE_UNIX_NAME 2

struct vne_unix_name {
	__u16 family;
	char first;
} __attribute__((packed));

/* Whether an application that asks for an abstract name of somebody else is to be refused, and why. */
static __always_inline int vne_unix_reason(struct vne_judge *judge)
{
	if (!vne_judge_prepare_here(judge))
		return VNE_REASON_UNCONFIGURED;
	return judge->environment->own.flags & VNE_ENVIRONMENT_UNIX_PRIVATE ? VNE_REASON_UNIX
									    : VNE_REASON_PERMITTED_USE;
}

#endif
