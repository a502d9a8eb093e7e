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

/* A SYN that is let in vouches for its answer. */
static __always_inline void vne_vouch_for_answer(const struct vne_packet *packet, const struct vne_attempt *attempt)
{
	if (packet->protocol == VNE_TCP && vne_packet_opens(packet) && attempt->interface == VNE_LOOPBACK_INTERFACE)
		vne_handshake_record(packet->source, packet->destination,
				     (__u32)packet->source_port << 16 | packet->destination_port);
}

/* Whether a packet comes from the own environment beyond doubt, by what is known of it without the policy. */
static __always_inline int vne_is_from_inside(const struct vne_attachment *application, const struct vne_packet *packet,
					      const struct vne_attempt *attempt)
{
	const struct vne_own *own = vne_own_known(application);

	return own && vne_arrives_inside(application, own, attempt, packet->destination) &&
	       (!vne_sender_matters(application, own, attempt, VNE_REASON_OWN_ENVIRONMENT, packet->destination) ||
		vne_is_vouched_for(application, packet, attempt));
}

static __always_inline int vne_decide_packet(struct __sk_buff *skb, struct vne_judge *judge,
					     const struct vne_packet *packet, struct vne_attempt *attempt)
{
	int reason;

	if (packet->protocol == VNE_UDP && vne_receiver_is_connected(skb, packet))
		attempt->flags |= VNE_ATTEMPT_ANSWERS;
	reason = vne_decide_arriving(judge, attempt, packet->destination);
	if (vne_sender_matters(judge->application, &judge->environment->own, attempt, reason, packet->destination) &&
	    !vne_is_vouched_for(judge->application, packet, attempt))
		reason = vne_reason_by_sender(judge, attempt, reason, packet->destination,
					      vne_sender_of(skb, packet, judge->application));
	if (reason < VNE_REASON_FIRST_DENIAL)
		vne_vouch_for_answer(packet, attempt);
	vne_remember_flow(judge, attempt, reason, VNE_FLOW_INCOMING);
	return reason;
}

__noinline int vne_judge_incoming(struct __sk_buff *skb, const struct vne_packet *packet, __u32 refusal)
{
	struct vne_attachment *application = bpf_get_local_storage(&attachment, 0);
	struct vne_attempt attempt = {};
	struct vne_judge judge;
	int reason = refusal;

	if (!packet)
		return VNE_REASON_UNCONFIGURED;
	if (refusal == VNE_REASON_PERMITTED_USE) {
		vne_attempt_fill(skb, packet, &attempt);
		if (vne_is_from_inside(application, packet, &attempt)) {
			vne_vouch_for_answer(packet, &attempt);
			vne_count(VNE_HOOK_INGRESS, VNE_REASON_OWN_ENVIRONMENT);
			return VNE_REASON_OWN_ENVIRONMENT | VNE_JUDGED_PASS;
		}
	}
	if (!vne_judge_prepare(&judge, application))
		reason = VNE_REASON_UNCONFIGURED;
	if (reason == VNE_REASON_PERMITTED_USE)
		reason = vne_decide_packet(skb, &judge, packet, &attempt);
	return vne_conclude(&judge, VNE_HOOK_INGRESS, reason, &attempt, VNE_NO_CALLER) ? reason | VNE_JUDGED_PASS
										       : reason;
}
