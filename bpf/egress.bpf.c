/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A packet on its way out, for environments that allow more than TCP and UDP or ask for `strict`: the source must be
 * the application's own, and the destination is judged again. A drop gives a datagram's sender EPERM.
 */
#include "judge.bpf.h"

/* The short way, by what this CPU remembers: from the application address to the own environment, by TCP or UDP. */
static __always_inline int vne_egress_inside4(struct __sk_buff *skb)
{
	const void *end = (void *)(long)skb->data_end;
	const struct iphdr *ip = (void *)(long)skb->data;
	struct vne_counters *here;
	__u32 epoch;

	if ((const void *)(ip + 1) + VNE_DATAGRAM_HEADER_SIZE > end || ip->ihl != 5 ||
	    (ip->protocol != VNE_TCP && ip->protocol != VNE_UDP))
		return 0;
	here = vne_here();
	epoch = vne_knows(here);
	if (!epoch || ip->saddr != here->known.address4_be || !vne_knows_inside4(&here->known, ip->daddr) ||
	    !(here->known.protocols & vne_protocol_bit(ip->protocol)) || vne_knows(here) != epoch)
		return 0;
	vne_count(here, VNE_HOOK_EGRESS, VNE_REASON_OWN_ENVIRONMENT);
	return 1;
}

static __always_inline int vne_egress_inside6(struct __sk_buff *skb)
{
	const void *end = (void *)(long)skb->data_end;
	const struct ipv6hdr *ip = (void *)(long)skb->data;
	const __be64 *source = (const void *)&ip->saddr, *destination = (const void *)&ip->daddr;
	struct vne_counters *here;
	__u32 epoch;

	if ((const void *)(ip + 1) + VNE_DATAGRAM_HEADER_SIZE > end ||
	    (ip->nexthdr != VNE_TCP && ip->nexthdr != VNE_UDP))
		return 0;
	here = vne_here();
	epoch = vne_knows(here);
	if (!epoch || source[0] != here->known.address6_be[0] || source[1] != here->known.address6_be[1] ||
	    !vne_knows_inside6(&here->known, destination) || !(here->known.protocols & vne_protocol_bit(ip->nexthdr)) ||
	    vne_knows(here) != epoch)
		return 0;
	vne_count(here, VNE_HOOK_EGRESS, VNE_REASON_OWN_ENVIRONMENT);
	return 1;
}

SEC("cgroup_skb/egress")
int vne_egress(struct __sk_buff *skb)
{
	struct vne_attempt attempt = { .flags = VNE_ATTEMPT_TRANSLATED };
	struct vne_packet packet = {};
	__u32 refusal;

	if (skb->protocol == bpf_htons(ETH_P_IP) ? vne_egress_inside4(skb)
						 : skb->protocol == bpf_htons(ETH_P_IPV6) && vne_egress_inside6(skb))
		return 1;
	refusal = vne_packet_read(skb, &packet);
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
