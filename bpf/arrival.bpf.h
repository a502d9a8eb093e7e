/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A packet that arrives: as an attempt, and who vouches for it.
 */
#ifndef VNE_ARRIVAL_BPF_H
#define VNE_ARRIVAL_BPF_H

#include <linux/if_packet.h>
#include "handshake.bpf.h"
#include "packet.bpf.h"

static __always_inline void vne_attempt_fill(struct __sk_buff *skb, const struct vne_packet *packet,
					     struct vne_attempt *attempt)
{
	attempt->remote = packet->source;
	attempt->remote_port = packet->source_port;
	attempt->local_port = packet->protocol == VNE_ICMP ? packet->icmp_identifier : packet->destination_port;
	attempt->protocol = packet->protocol;
	/* What this host sends to a group comes back to it on the interface that it left by. */
	attempt->interface = skb->pkt_type == PACKET_LOOPBACK ? VNE_LOOPBACK_INTERFACE : skb->ifindex;
	attempt->flags = 0;
	if (packet->protocol == VNE_TCP) {
		if (!vne_packet_opens(packet))
			attempt->flags |= VNE_ATTEMPT_ANSWERS;
		if (vne_packet_accepts(packet))
			attempt->flags |= VNE_ATTEMPT_ACCEPTS;
	}
}

/* Whether the application that has the packet's source just did what the packet follows from: let a SYN in, or sent. */
static __always_inline int vne_is_vouched_for(const struct vne_identity *identity, const struct vne_packet *packet,
					      const struct vne_attempt *attempt)
{
	if (attempt->flags & VNE_ATTEMPT_ACCEPTS)
		return vne_handshake_is_recent(packet->destination, packet->source,
					       (__u32)packet->destination_port << 16 | packet->source_port);
	return packet->protocol == VNE_UDP && !vne_is_own(identity, packet->destination) &&
	       vne_handshake_is_recent(packet->source, packet->destination,
				       (__u32)packet->source_port << 16 | packet->destination_port);
}

/* A SYN that is let in vouches for its answer. */
static __always_inline void vne_vouch_for_answer(const struct vne_packet *packet, const struct vne_attempt *attempt)
{
	if (packet->protocol == VNE_TCP && vne_packet_opens(packet) && attempt->interface == VNE_LOOPBACK_INTERFACE)
		vne_handshake_record(packet->source, packet->destination,
				     (__u32)packet->source_port << 16 | packet->destination_port);
}

#endif
