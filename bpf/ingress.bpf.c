/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A packet on its way to a socket of the application: dropped unless it is addressed to the application and its source
 * may talk to it. This is the hook that nothing passes by: it sees every packet that a socket would queue.
 *
 * Nearly all packets come from inside the environment and have ordinary headers. They take a short way, compiled for
 * each family by itself, with nothing in memory; whatever is not just that takes the long one.
 */
#include "arrival.bpf.h"
#include "judge.bpf.h"

/* Lets in, and counts, what is from inside beyond doubt. Its transport header follows on its network header. */
static __always_inline int vne_ingress_takes(struct __sk_buff *skb, struct vne_packet packet, const void *header)
{
	const void *end = (void *)(long)skb->data_end;
	struct vne_attempt attempt = {};

	if (packet.protocol != VNE_TCP && packet.protocol != VNE_UDP)
		return 0;
	if (!vne_packet_take_transport(&packet, header, end))
		return 0;
	vne_attempt_fill(skb, &packet, &attempt);
	if (!vne_is_from_inside(bpf_get_local_storage(&attachment, 0), &packet, &attempt))
		return 0;
	vne_vouch_for_answer(&packet, &attempt);
	vne_count(VNE_HOOK_INGRESS, VNE_REASON_OWN_ENVIRONMENT);
	return 1;
}

static __always_inline int vne_ingress_takes4(struct __sk_buff *skb)
{
	const void *end = (void *)(long)skb->data_end;
	const struct iphdr *ip = (void *)(long)skb->data;
	struct vne_packet packet = {};

	if ((const void *)(ip + 1) > end || ip->ihl != 5)
		return 0;
	packet.source = vne_address4(bpf_ntohl(ip->saddr));
	packet.destination = vne_address4(bpf_ntohl(ip->daddr));
	packet.protocol = ip->protocol;
	return vne_ingress_takes(skb, packet, ip + 1);
}

static __always_inline int vne_ingress_takes6(struct __sk_buff *skb)
{
	const void *end = (void *)(long)skb->data_end;
	const struct ipv6hdr *ip = (void *)(long)skb->data;
	struct vne_packet packet = {};

	if ((const void *)(ip + 1) > end)
		return 0;
	packet.source = vne_packet_address6(&ip->saddr);
	packet.destination = vne_packet_address6(&ip->daddr);
	packet.protocol = ip->nexthdr;
	if (vne_is_ipv4(packet.source) || vne_is_ipv4(packet.destination))
		return 0;
	return vne_ingress_takes(skb, packet, ip + 1);
}

SEC("cgroup_skb/ingress")
int vne_ingress(struct __sk_buff *skb)
{
	struct vne_packet packet = {};
	__u32 refusal;

	if (skb->protocol == bpf_htons(ETH_P_IP) ? vne_ingress_takes4(skb)
						 : skb->protocol == bpf_htons(ETH_P_IPV6) && vne_ingress_takes6(skb))
		return 1;
	refusal = vne_packet_read(skb, &packet);
	return !!(vne_judge_incoming(skb, &packet, refusal) & VNE_JUDGED_PASS);
}
