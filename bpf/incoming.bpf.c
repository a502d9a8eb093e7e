/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The judgement of what comes to an application: see judge.bpf.h. */
#include <linux/if_packet.h>
#include "handshake.bpf.h"
#include "judge.bpf.h"
#include "sender.bpf.h"

/* A datagram to a socket that is connected to its source answers what that socket sent. */
static __always_inline int vne_receiver_is_connected(struct __sk_buff *skb, const struct vne_packet *packet)
{
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->dst_port != bpf_htons(packet->source_port))
		return 0;
	if (vne_is_ipv4(packet->source))
		return sk->dst_ip4 == bpf_htonl(packet->source.low);
	return vne_is_same(packet->source,
			   vne_address6(sk->dst_ip6[0], sk->dst_ip6[1], sk->dst_ip6[2], sk->dst_ip6[3]));
}

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
	} else if (packet->protocol == VNE_UDP && vne_receiver_is_connected(skb, packet)) {
		attempt->flags |= VNE_ATTEMPT_ANSWERS;
	}
}

/* Whether the application that has the packet's source just did what the packet follows from: let a SYN in, or sent. */
static __always_inline int vne_is_vouched_for(const struct vne_attachment *application, const struct vne_packet *packet,
					      const struct vne_attempt *attempt)
{
	if (attempt->flags & VNE_ATTEMPT_ACCEPTS)
		return vne_handshake_is_recent(packet->destination, packet->source,
					       (__u32)packet->destination_port << 16 | packet->source_port);
	return packet->protocol == VNE_UDP && !vne_is_own(application, packet->destination) &&
	       vne_handshake_is_recent(packet->source, packet->destination,
				       (__u32)packet->source_port << 16 | packet->destination_port);
}

/* Everything but segments of established connections inside the environment. */
static __always_inline int vne_decide_packet(struct __sk_buff *skb, struct vne_judge *judge,
					     const struct vne_packet *packet, struct vne_attempt *attempt)
{
	int reason;

	vne_attempt_fill(skb, packet, attempt);
	reason = vne_decide_arriving(judge, attempt, packet->destination);
	if (vne_sender_matters(judge, attempt, reason, packet->destination) &&
	    !vne_is_vouched_for(judge->application, packet, attempt))
		reason = vne_reason_by_sender(judge, attempt, reason, packet->destination,
					      vne_sender_of(skb, packet, judge->application));
	if (reason < VNE_REASON_FIRST_DENIAL && packet->protocol == VNE_TCP && vne_packet_opens(packet) &&
	    attempt->interface == VNE_LOOPBACK_INTERFACE)
		vne_handshake_record(packet->source, packet->destination,
				     (__u32)packet->source_port << 16 | packet->destination_port);
	vne_remember_flow(judge, attempt, reason, VNE_FLOW_INCOMING);
	return reason;
}

/* A segment of a connection inside the environment, whose handshake was judged. */
static __always_inline int vne_is_established(const struct __sk_buff *skb, const struct vne_judge *judge,
					      const struct vne_packet *packet)
{
	return packet->protocol == VNE_TCP && !(packet->tcp_flags & VNE_TCP_SYN) &&
	       vne_is_own_address(judge->application, packet->destination) &&
	       vne_in_own_prefix(judge, packet->source) && skb->ifindex == VNE_LOOPBACK_INTERFACE &&
	       judge->environment->protocols & VNE_PROTOCOL_TCP;
}

__noinline int vne_judge_incoming(struct __sk_buff *skb, const struct vne_packet *packet, __u32 refusal)
{
	struct vne_attempt attempt = {};
	struct vne_judge judge;
	int reason = refusal;

	if (!packet)
		return VNE_REASON_UNCONFIGURED;
	if (!vne_judge_prepare(&judge, bpf_get_local_storage(&attachment, 0)))
		reason = VNE_REASON_UNCONFIGURED;
	if (reason == VNE_REASON_PERMITTED_USE)
		reason = vne_is_established(skb, &judge, packet) ? VNE_REASON_OWN_ENVIRONMENT
								 : vne_decide_packet(skb, &judge, packet, &attempt);
	return vne_conclude(&judge, VNE_HOOK_INGRESS, reason, &attempt, VNE_NO_CALLER) ? reason | VNE_JUDGED_PASS
										       : reason;
}
