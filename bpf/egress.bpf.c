/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A packet on its way out, for environments that allow more than TCP and UDP or ask for `strict`: the source must be
 * the application address, and the destination is judged again. A drop gives a datagram's sender EPERM.
 */
#include "packet.bpf.h"

static __always_inline int vne_judge_packet(struct __sk_buff *skb, struct vne_judge *judge, struct vne_attempt *attempt)
{
	struct vne_packet packet = {};
	int reason = vne_packet_read(skb, &packet);

	if (reason != VNE_REASON_PERMITTED_USE)
		return reason;
	attempt->remote = packet.destination;
	attempt->remote_port = packet.destination_port;
	attempt->local_port = packet.protocol == VNE_ICMP ? packet.icmp_identifier : packet.source_port;
	attempt->protocol = packet.protocol;
	if (packet.source != judge->application->address)
		return VNE_REASON_SOURCE;
	/* A ping socket sends echo requests only; another type would be a raw socket's. */
	if (packet.protocol == VNE_ICMP && packet.icmp_type != VNE_ICMP_ECHO)
		return VNE_REASON_PROTOCOL;
	if (packet.protocol == VNE_TCP && !vne_packet_opens(&packet))
		attempt->flags |= VNE_ATTEMPT_ANSWERS;
	reason = vne_decide_outgoing(judge, attempt);
	vne_remember_flow(judge, attempt, reason, 0);
	return reason;
}

SEC("cgroup_skb/egress")
int vne_egress(struct __sk_buff *skb)
{
	struct vne_attempt attempt = {};
	struct vne_judge judge;
	int reason = VNE_REASON_UNCONFIGURED;

	if (vne_judge_prepare(&judge, bpf_get_local_storage(&attachment, 0)))
		reason = vne_judge_packet(skb, &judge, &attempt);
	return vne_conclude(&judge, VNE_HOOK_EGRESS, reason, &attempt, VNE_NO_CALLER);
}
