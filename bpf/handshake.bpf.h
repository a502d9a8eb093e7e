/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Who has an address on this host. A SYN that an application let in vouches for the SYN-ACK that answers it, so that a
 * connection between two applications of a host is told from an answer of a host's daemon without a socket look-up.
 */
#ifndef VNE_HANDSHAKE_BPF_H
#define VNE_HANDSHAKE_BPF_H

#include "packet.bpf.h"

static __always_inline struct vne_handshake *vne_handshake_slot(__u64 addresses, __u32 ports)
{
	__u64 hash = (addresses ^ (__u64)ports << 17) * 0x9e3779b97f4a7c15ull;
	__u32 index = hash >> 52;

	return bpf_map_lookup_elem(&handshake, &index);
}

/* The application lets a SYN in. */
static __always_inline void vne_handshake_record(const struct vne_packet *syn)
{
	__u64 addresses = (__u64)syn->source << 32 | syn->destination;
	__u32 ports = (__u32)syn->source_port << 16 | syn->destination_port;
	struct vne_handshake *slot = vne_handshake_slot(addresses, ports);

	if (!slot)
		return;
	slot->addresses = addresses;
	slot->ports = (__u64)ports << 32 | vne_flow_now();
}

/* Whether an application let in the SYN that this SYN-ACK answers, just now. */
static __always_inline int vne_handshake_vouches(const struct vne_packet *accept)
{
	__u64 addresses = (__u64)accept->destination << 32 | accept->source;
	__u32 ports = (__u32)accept->destination_port << 16 | accept->source_port;
	const struct vne_handshake *slot = vne_handshake_slot(addresses, ports);

	return slot && slot->addresses == addresses && slot->ports >> 32 == ports &&
	       vne_flow_now() - (__u32)slot->ports < VNE_HANDSHAKE_TIMEOUT;
}

/* Whether the socket that sent the packet belongs to the application that has the packet's source address. */
static __noinline int vne_sender_owns_source(struct __sk_buff *skb, const struct vne_packet *packet,
					     const struct vne_attachment *application)
{
	/* The sender's socket: its local end is the packet's source. */
	struct bpf_sock_tuple tuple = {
		.ipv4.saddr = bpf_htonl(packet->destination),
		.ipv4.sport = bpf_htons(packet->destination_port),
		.ipv4.daddr = bpf_htonl(packet->source),
		.ipv4.dport = bpf_htons(packet->source_port),
	};
	struct vne_owner *owns = NULL;
	__u64 cgroup = application->cgroup;
	__u32 level = application->level;
	struct bpf_sock *sender;
	int same;

	if (packet->source != application->address) {
		owns = bpf_map_lookup_elem(&owner, &packet->source);
		if (!owns)
			return 0;
		cgroup = owns->cgroup;
		level = owns->level;
	}
	if (packet->protocol == VNE_TCP)
		sender = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	else
		sender = bpf_sk_lookup_udp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	if (!sender)
		return 0;
	same = cgroup && bpf_sk_ancestor_cgroup_id(sender, level) == cgroup;
	bpf_sk_release(sender);
	return same;
}

#endif
