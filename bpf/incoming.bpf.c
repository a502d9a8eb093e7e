/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The judgement of what comes to an application: see judge.bpf.h. */
#include "arrival.bpf.h"
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

static __always_inline int vne_decide_packet(struct __sk_buff *skb, struct vne_judge *judge,
					     const struct vne_packet *packet, struct vne_attempt *attempt)
{
	int reason;

	vne_attempt_fill(skb, packet, attempt);
	if (packet->protocol == VNE_UDP && vne_receiver_is_connected(skb, packet))
		attempt->flags |= VNE_ATTEMPT_ANSWERS;
	reason = vne_decide_arriving(judge, attempt, packet->destination);
	if (vne_sender_matters(&judge->application->identity, &judge->environment->own, attempt, reason,
			       packet->destination) &&
	    !vne_is_vouched_for(&judge->application->identity, packet, attempt))
		reason = vne_reason_by_sender(judge, attempt, reason, packet->destination,
					      vne_sender_of(skb, packet, judge->application));
	if (reason < VNE_REASON_FIRST_DENIAL)
		vne_vouch_for_answer(packet, attempt);
	vne_remember_flow(judge, attempt, reason, VNE_FLOW_INCOMING);
	return reason;
}

__noinline int vne_judge_incoming(struct __sk_buff *skb, const struct vne_packet *packet, __u32 refusal)
{
	struct vne_attempt attempt = {};
	struct vne_judge judge;
	int reason = refusal;

	if (!packet)
		return VNE_REASON_UNCONFIGURED;
	if (!vne_judge_prepare_here(&judge))
		reason = VNE_REASON_UNCONFIGURED;
	if (reason == VNE_REASON_PERMITTED_USE)
		reason = vne_decide_packet(skb, &judge, packet, &attempt);
	return vne_conclude(&judge, VNE_HOOK_INGRESS, reason, &attempt, VNE_NO_CALLER) ? reason | VNE_JUDGED_PASS
										       : reason;
}
