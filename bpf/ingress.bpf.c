/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * A packet on its way to a socket of the application: dropped unless it is addressed to the application and its source
 * may talk to it. This is the hook that nothing passes by: it sees every packet that a socket would queue.
 *
 * Nearly all packets come from inside the environment and have ordinary headers. They take a short way, by what this
 * CPU remembers; whatever is not just that takes the long one.
 */
#include "handshake.bpf.h"
#include "judge.bpf.h"

/* What a packet is by its transport header; VNE_KINDS for what is not of an ordinary kind. */
static __always_inline __u32 vne_ingress_kind(__u32 protocol, const struct vne_transport_header *transport,
					      const void *end)
{
	if (protocol == VNE_UDP)
		return (const void *)transport + VNE_DATAGRAM_HEADER_SIZE > end ? VNE_KINDS : VNE_KIND_DATAGRAM;
	if (protocol != VNE_TCP || (const void *)(transport + 1) > end)
		return VNE_KINDS;
	switch (transport->tcp_flags & (VNE_TCP_SYN | VNE_TCP_ACK)) {
	case VNE_TCP_SYN:
		return VNE_KIND_OPENS;
	case VNE_TCP_SYN | VNE_TCP_ACK:
		return VNE_KIND_ACCEPTS;
	default:
		return VNE_KIND_SEGMENT;
	}
}

/* A SYN vouches for its answer, and an answer is vouched for. */
static __always_inline int vne_ingress_is_vouched_for(__u32 kind, struct vne_address source,
						      struct vne_address destination,
						      const struct vne_transport_header *transport)
{
	__u32 from = bpf_ntohs(transport->source_port), to = bpf_ntohs(transport->destination_port);

	if (kind == VNE_KIND_ACCEPTS)
		return vne_handshake_is_recent(destination, source, to << 16 | from);
	if (kind == VNE_KIND_OPENS)
		vne_handshake_record(source, destination, from << 16 | to);
	return 1;
}

static __always_inline int vne_ingress_inside4(struct __sk_buff *skb)
{
	const void *end = (void *)(long)skb->data_end;
	const struct iphdr *ip = (void *)(long)skb->data;
	const struct vne_transport_header *transport = (const void *)(ip + 1);
	struct vne_counters *here;
	__u32 epoch, kind;

	if ((const void *)transport > end || ip->ihl != 5 || skb->ifindex != VNE_LOOPBACK_INTERFACE)
		return 0;
	kind = vne_ingress_kind(ip->protocol, transport, end);
	if (kind >= VNE_KINDS)
		return 0;
	here = vne_here();
	epoch = vne_knows(here);
	if (!epoch || ip->daddr != here->known.address4_be || !vne_knows_inside4(&here->known, ip->saddr) ||
	    !(here->known.kinds >> kind & 1) || vne_knows(here) != epoch)
		return 0;
	if (!vne_ingress_is_vouched_for(kind, vne_address4(bpf_ntohl(ip->saddr)), vne_address4(bpf_ntohl(ip->daddr)),
					transport))
		return 0;
	vne_count(here, VNE_HOOK_INGRESS, VNE_REASON_OWN_ENVIRONMENT);
	return 1;
}

static __always_inline int vne_ingress_inside6(struct __sk_buff *skb)
{
	const void *end = (void *)(long)skb->data_end;
	const struct ipv6hdr *ip = (void *)(long)skb->data;
	const struct vne_transport_header *transport = (const void *)(ip + 1);
	const __be64 *source = (const void *)&ip->saddr, *destination = (const void *)&ip->daddr;
	struct vne_counters *here;
	__u32 epoch, kind;

	if ((const void *)transport > end || skb->ifindex != VNE_LOOPBACK_INTERFACE)
		return 0;
	kind = vne_ingress_kind(ip->nexthdr, transport, end);
	if (kind >= VNE_KINDS)
		return 0;
	here = vne_here();
	epoch = vne_knows(here);
	if (!epoch || destination[0] != here->known.address6_be[0] || destination[1] != here->known.address6_be[1] ||
	    !vne_knows_inside6(&here->known, source) || !(here->known.kinds >> kind & 1) || vne_knows(here) != epoch)
		return 0;
	if (!vne_ingress_is_vouched_for(kind, vne_packet_address6(&ip->saddr), vne_packet_address6(&ip->daddr),
					transport))
		return 0;
	vne_count(here, VNE_HOOK_INGRESS, VNE_REASON_OWN_ENVIRONMENT);
	return 1;
}

SEC("cgroup_skb/ingress")
int vne_ingress(struct __sk_buff *skb)
{
	struct vne_packet packet = {};
	__u32 refusal;

	if (skb->protocol == bpf_htons(ETH_P_IP) ? vne_ingress_inside4(skb)
						 : skb->protocol == bpf_htons(ETH_P_IPV6) && vne_ingress_inside6(skb))
		return 1;
	refusal = vne_packet_read(skb, &packet);
	return !!(vne_judge_incoming(skb, &packet, refusal) & VNE_JUDGED_PASS);
}
