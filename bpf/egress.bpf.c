/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A packet on its way out, for environments that allow more than TCP and UDP or ask for `strict`: the source must be
 * the application's own, and the destination is judged again. A drop gives a datagram's sender EPERM.
 */
#include "judge.bpf.h"

SEC("cgroup_skb/egress")
int vne_egress(struct __sk_buff *skb)
{
	struct vne_attempt attempt = { .flags = VNE_ATTEMPT_TRANSLATED };
	struct vne_packet packet = {};
	__u32 refusal = vne_packet_read(skb, &packet);

	attempt.remote = packet.destination;
	attempt.remote_port = packet.destination_port;
	attempt.local_port = packet.protocol == VNE_ICMP ? packet.icmp_identifier : packet.source_port;
	attempt.protocol = packet.protocol;
	/* A ping socket sends echo requests only; another type would be a raw socket's. */
	if (refusal == VNE_REASON_PERMITTED_USE && packet.protocol == VNE_ICMP && !packet.is_echo_request)
		refusal = VNE_REASON_PROTOCOL;
	if (packet.protocol == VNE_TCP && !vne_packet_opens(&packet))
		attempt.flags |= VNE_ATTEMPT_ANSWERS;
	return !!(vne_judge_leaving(&attempt, &packet.source, refusal) & VNE_JUDGED_PASS);
}
