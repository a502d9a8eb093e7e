/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What the programs know of an application without a look at its attachment and the policy: most of what applications
 * do stays inside their environment. Each CPU remembers, beside its counters, what a look told it, made ready for
 * comparisons. So the usual call or packet asks the kernel for one thing, its CPU's part of the counters.
 *
 * What is remembered holds for one epoch. An epoch ends before an attachment or the policy is replaced, and the next
 * begins after that, and once no program can run under the old policy any more. Whoever is to remember reads the epoch
 * first: so what it finds afterwards is not older.
 */
#ifndef VNE_KNOWN_BPF_H
#define VNE_KNOWN_BPF_H

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

/* The current epoch; 0 between two. */
static __always_inline __u32 vne_epoch(void)
{
	__u32 zero = 0;
	const struct vne_instance *loaded = bpf_map_lookup_elem(&instance, &zero);

	return loaded ? *(const volatile __u32 *)&loaded->epoch : 0;
}

/* This CPU's memory and counters of the application. */
static __always_inline struct vne_counters *vne_here(void)
{
	return bpf_get_local_storage(&counters, 0);
}

/*
 * The epoch in which what this CPU remembers holds now; 0: it does not. It is asked before what is remembered is used
 * and again after that, as programs interrupt each other on a CPU, and commands do not wait for them.
 */
static __always_inline __u32 vne_knows(const struct vne_counters *here)
{
	__u32 epoch;

	asm volatile("" : : : "memory");
	epoch = vne_epoch();
	epoch = here->known.epoch == epoch ? epoch : 0;
	asm volatile("" : : : "memory");
	return epoch;
}

/* Before a look: the epoch that this CPU is to remember it for; 0 if it does. What is read later is not older. */
static __always_inline __u32 vne_epoch_to_know(struct vne_counters *here)
{
	__u32 epoch = vne_epoch();

	if (!epoch || here->known.epoch == epoch)
		return 0;
	/* A full barrier. */
	__sync_fetch_and_add(&here->known.epoch, 0);
	return epoch;
}

/* Whether an address is inside, by what is remembered. */
static __always_inline int vne_knows_inside4(const struct vne_known *known, __be32 address)
{
	return (address & known->mask4_be) == known->network4_be;
}

static __always_inline int vne_knows_inside6(const struct vne_known *known, const __be64 *address)
{
	return (address[0] & known->mask6_be[0]) == known->network6_be[0] &&
	       (address[1] & known->mask6_be[1]) == known->network6_be[1];
}

static __always_inline void vne_address_to_be(__be64 *words, struct vne_address address)
{
	words[0] = bpf_cpu_to_be64(address.high);
	words[1] = bpf_cpu_to_be64(address.low);
}

static __always_inline struct vne_address vne_address_from_be(const __be64 *words)
{
	struct vne_address address = { .high = bpf_be64_to_cpu(words[0]), .low = bpf_be64_to_cpu(words[1]) };

	return address;
}

/* Whether no address of the prefix is loopback, in whatever sense. */
static __always_inline int vne_is_off_loopback(const struct vne_own *own, struct vne_address network,
					       struct vne_address loopback)
{
	return !vne_is_loopback(network) && !vne_in_own_prefix(own, loopback);
}

/* After the look: `kinds` is what vne_kinds_inside() says. */
static __always_inline void vne_know(struct vne_counters *here, const struct vne_identity *identity,
				     const struct vne_own *own, __u32 kinds, __u32 epoch)
{
	struct vne_address loopback6 = { .high = (__u64)VNE_LOOPBACK6_PREFIX << 32 };
	struct vne_known *known = &here->known;

	*(volatile __u32 *)&known->epoch = 0;
	asm volatile("" : : : "memory");
	known->protocols = own->protocols;
	known->kinds = kinds;
	known->netns = identity->netns;
	known->address4_be = bpf_htonl(identity->address4);
	known->network4_be = ~0;
	known->mask4_be = 0;
	if (identity->address4 && own->flags & VNE_ENVIRONMENT_ONE_PREFIX4 &&
	    vne_is_off_loopback(own, vne_address4(own->network4), vne_address4(VNE_LOCALHOST4))) {
		known->network4_be = bpf_htonl(own->network4);
		known->mask4_be = bpf_htonl(own->mask4);
	}
	vne_address_to_be(known->address6_be, identity->address6);
	known->network6_be[0] = ~0ull;
	known->mask6_be[0] = 0;
	if (!vne_is_none(identity->address6) && own->flags & VNE_ENVIRONMENT_ONE_PREFIX6 &&
	    vne_is_off_loopback(own, own->network6, loopback6)) {
		vne_address_to_be(known->network6_be, own->network6);
		vne_address_to_be(known->mask6_be, own->mask6);
	}
	asm volatile("" : : : "memory");
	*(volatile __u32 *)&known->epoch = epoch;
}

#endif
