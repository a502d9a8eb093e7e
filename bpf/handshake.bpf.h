/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * What an application just did, for who has to believe that it was this one. A SYN that an application let in vouches
 * for the SYN-ACK that answers it, so that a connection between two applications of a host is told from an answer of a
 * host's daemon without a socket look-up. A call that sends to a group vouches for the datagram, whose socket can't be
 * looked up where several have its port.
 */
#ifndef VNE_HANDSHAKE_BPF_H
#define VNE_HANDSHAKE_BPF_H

#include "flows.bpf.h"

static __always_inline struct vne_handshake *vne_handshake_slot(struct vne_address client, struct vne_address server,
								__u32 ports)
{
	__u64 hash =
		((client.high ^ client.low) * 0xff51afd7ed558ccdull ^ server.high ^ server.low ^ (__u64)ports << 17) *
		0x9e3779b97f4a7c15ull;
	__u32 index = hash >> (64 - VNE_HANDSHAKE_BITS);

	return bpf_map_lookup_elem(&handshake, &index);
}

/* The application lets a SYN in, or sends to a group. */
static __always_inline void vne_handshake_record(struct vne_address client, struct vne_address server, __u32 ports)
{
	struct vne_handshake *slot = vne_handshake_slot(client, server, ports);

	if (!slot)
		return;
	slot->client = client;
	slot->server = server;
	slot->ports = ports;
	slot->time = bpf_jiffies64();
}

/* Whether that was just now. */
static __always_inline int vne_handshake_is_recent(struct vne_address client, struct vne_address server, __u32 ports)
{
	const struct vne_handshake *slot = vne_handshake_slot(client, server, ports);

	return slot && slot->ports == ports && vne_is_same(slot->client, client) && vne_is_same(slot->server, server) &&
	       (__u32)bpf_jiffies64() - slot->time < VNE_HANDSHAKE_TIMEOUT;
}

#endif
