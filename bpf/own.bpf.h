/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What an application's programs know of its own environment without a look into the policy: most of what applications
 * do stays inside it. A copy of the record, kept in the attachment, holds for one epoch. An epoch ends before its
 * policy is replaced, and the next begins when no program can run under the old one any more; so a copy is never older
 * than the published policy. A command that replaces the attachment replaces the copy with it.
 */
#ifndef VNE_OWN_BPF_H
#define VNE_OWN_BPF_H

#include "image.bpf.h"

static __always_inline __u32 vne_protocol_bit(__u32 protocol)
{
	switch (protocol) {
	case VNE_TCP:
		return VNE_PROTOCOL_TCP;
	case VNE_UDP:
		return VNE_PROTOCOL_UDP;
	case VNE_ICMP:
		return VNE_PROTOCOL_PING;
	default:
		return 0;
	}
}

static __always_inline int vne_speaks(const struct vne_own *own, __u32 protocol)
{
	return !!(own->protocols & vne_protocol_bit(protocol));
}

/* Whether the address lies in the own environment's only prefix of its family: by a mask, without any table. */
static __always_inline int vne_in_own_prefix(const struct vne_own *own, struct vne_address address)
{
	if (vne_is_ipv4(address))
		return own->flags & VNE_ENVIRONMENT_ONE_PREFIX4 && ((__u32)address.low & own->mask4) == own->network4;
	return own->flags & VNE_ENVIRONMENT_ONE_PREFIX6 && (address.high & own->mask6.high) == own->network6.high &&
	       (address.low & own->mask6.low) == own->network6.low;
}

/* The current epoch; 0 while a policy is published. */
static __always_inline __u32 vne_epoch(void)
{
	__u32 zero = 0;
	const struct vne_instance *loaded = bpf_map_lookup_elem(&instance, &zero);

	return loaded ? loaded->epoch : 0;
}

/*
 * The copy, if it holds. Its place depends on the number that is read before it, so that no CPU reads the copy before
 * the number; the asm keeps the compiler from taking another number, which only happens to be the same.
 */
static __always_inline const struct vne_own *vne_own_known(const struct vne_attachment *application)
{
	__u32 epoch = vne_epoch(), kept = *(const volatile __u32 *)&application->own_epoch, place = kept;

	asm volatile("" : "+r"(place));
	if (application->state != VNE_ATTACHMENT_OPEN || !epoch || kept != epoch)
		return NULL;
	return &application->own[place & 1];
}

/* Keeps a copy for an epoch that was read before the record was. Whoever else does has the same record. */
static __noinline void vne_own_keep(struct vne_attachment *application, const struct vne_own *own, __u32 epoch)
{
	application->own[epoch & 1] = *own;
	/* A full barrier: the number is never seen before the copy. */
	__sync_val_compare_and_swap(&application->own_epoch, application->own_epoch, epoch);
}

#endif
