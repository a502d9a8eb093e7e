/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From a packet to an attempt, for the hooks that see packets. `data` starts at the network header.
 */
#ifndef VNE_PACKET_BPF_H
#define VNE_PACKET_BPF_H

#include <linux/if_ether.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include "record.bpf.h"

#define VNE_TCP_SYN 0x02
#define VNE_TCP_ACK 0x10
#define VNE_ICMP_ECHO 8
#define VNE_ICMPV6_ECHO 128

/* Extension headers that a packet may have before its transport header; one with more is not judged but dropped. */
#define VNE_EXTENSIONS_MAX 4
#define VNE_HOP_OPTIONS 0
#define VNE_DESTINATION_OPTIONS 60

/* What the two packet hooks need of a packet. */
struct vne_packet {
	struct vne_address source;
	struct vne_address destination;
	__u16 source_port;
	__u16 destination_port;
	/* VNE_TCP, VNE_UDP; VNE_ICMP for both families' echo messages. */
	__u32 protocol;
	__u8 tcp_flags;
	/* An echo request of either family. */
	__u8 is_echo_request;
	__u16 icmp_identifier;
};

/* The first bytes of TCP, UDP and ICMP, as far as they are looked at. */
struct vne_transport_header {
	__be16 source_port; /* ICMP: type and code */
	__be16 destination_port;
	__be16 icmp_identifier; /* UDP: length */
	__be16 reserved[3];
	__u8 offset;
	__u8 tcp_flags;
};

/* A bare SYN opens a flow; everything else belongs to one, a reset without ACK too. */
static __always_inline int vne_packet_opens(const struct vne_packet *packet)
{
	return (packet->tcp_flags & (VNE_TCP_SYN | VNE_TCP_ACK)) == VNE_TCP_SYN;
}

static __always_inline int vne_packet_accepts(const struct vne_packet *packet)
{
	return (packet->tcp_flags & (VNE_TCP_SYN | VNE_TCP_ACK)) == (VNE_TCP_SYN | VNE_TCP_ACK);
}

/* Of UDP and ICMP; of TCP it is all of the structure. */
#define VNE_DATAGRAM_HEADER_SIZE 8

/* Takes what a transport header says, ports or an echo; 0 where it ends behind `end`. */
static __always_inline int vne_packet_take_transport(struct vne_packet *packet,
						     const struct vne_transport_header *transport, const void *end)
{
	if ((const void *)transport + VNE_DATAGRAM_HEADER_SIZE > end)
		return 0;
	if (packet->protocol == VNE_ICMP) {
		__u8 type = bpf_ntohs(transport->source_port) >> 8;

		packet->is_echo_request = type == (vne_is_ipv4(packet->source) ? VNE_ICMP_ECHO : VNE_ICMPV6_ECHO);
		packet->icmp_identifier = bpf_ntohs(transport->icmp_identifier);
		return 1;
	}
	packet->source_port = bpf_ntohs(transport->source_port);
	packet->destination_port = bpf_ntohs(transport->destination_port);
	if (packet->protocol != VNE_TCP)
		return 1;
	if ((const void *)(transport + 1) > end)
		return 0;
	packet->tcp_flags = transport->tcp_flags;
	return 1;
}

/* Reads the transport header at `offset`, whose bytes need not be in the packet's linear part. */
static __always_inline int vne_packet_load_transport(struct __sk_buff *skb, struct vne_packet *packet, __u32 offset)
{
	struct vne_transport_header copy = {};

	if (bpf_skb_load_bytes(skb, offset, &copy,
			       packet->protocol == VNE_TCP ? sizeof(copy) : VNE_DATAGRAM_HEADER_SIZE))
		return VNE_REASON_MALFORMED;
	vne_packet_take_transport(packet, &copy, &copy + 1);
	return VNE_REASON_PERMITTED_USE;
}

static __always_inline int vne_packet_read4(struct __sk_buff *skb, struct vne_packet *packet)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct iphdr *ip = data;

	if ((void *)(ip + 1) > end)
		return VNE_REASON_MALFORMED;
	packet->source = vne_address4(bpf_ntohl(ip->saddr));
	packet->destination = vne_address4(bpf_ntohl(ip->daddr));
	packet->protocol = ip->protocol;
	if (packet->protocol != VNE_TCP && packet->protocol != VNE_UDP && packet->protocol != VNE_ICMP)
		return VNE_REASON_PROTOCOL;
	if (ip->ihl < 5)
		return VNE_REASON_MALFORMED;
	if (ip->ihl == 5 && vne_packet_take_transport(packet, (void *)(ip + 1), end))
		return VNE_REASON_PERMITTED_USE;
	return vne_packet_load_transport(skb, packet, ip->ihl * 4);
}

static __always_inline struct vne_address vne_packet_address6(const struct in6_addr *address)
{
	return vne_address6(address->in6_u.u6_addr32[0], address->in6_u.u6_addr32[1], address->in6_u.u6_addr32[2],
			    address->in6_u.u6_addr32[3]);
}

/* Walks over the extension headers that say nothing about where a packet goes; 0 for any other header. */
static __noinline __u32 vne_packet_skip_extensions(struct __sk_buff *skb, __u32 *next)
{
	struct ipv6_opt_hdr extension = {};
	__u32 offset = sizeof(struct ipv6hdr);

	for (int i = 0; i < VNE_EXTENSIONS_MAX; i++) {
		if (*next != VNE_HOP_OPTIONS && *next != VNE_DESTINATION_OPTIONS)
			break;
		if (bpf_skb_load_bytes(skb, offset, &extension, sizeof(extension)))
			return 0;
		*next = extension.nexthdr;
		offset += (extension.hdrlen + 1) * 8;
	}
	return offset;
}

/*
 * A routing header, a fragment and whatever else stands before the transport header is refused: the first names another
 * destination, the second does not come here, as the hooks run outside of fragmentation.
 */
static __always_inline int vne_packet_read6(struct __sk_buff *skb, struct vne_packet *packet)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	__u32 offset = sizeof(struct ipv6hdr), next;
	struct ipv6hdr *ip = data;

	if ((void *)(ip + 1) > end)
		return VNE_REASON_MALFORMED;
	packet->source = vne_packet_address6(&ip->saddr);
	packet->destination = vne_packet_address6(&ip->daddr);
	/* A mapped address on the wire is no IPv4 address. */
	if (vne_is_ipv4(packet->source) || vne_is_ipv4(packet->destination))
		return VNE_REASON_MALFORMED;
	next = ip->nexthdr;
	if (next == VNE_HOP_OPTIONS || next == VNE_DESTINATION_OPTIONS) {
		offset = vne_packet_skip_extensions(skb, &next);
		if (!offset)
			return VNE_REASON_MALFORMED;
	}
	if (next != VNE_TCP && next != VNE_UDP && next != VNE_ICMPV6)
		return VNE_REASON_PROTOCOL;
	packet->protocol = next == VNE_ICMPV6 ? VNE_ICMP : next;
	if (offset == sizeof(struct ipv6hdr) && vne_packet_take_transport(packet, (void *)(ip + 1), end))
		return VNE_REASON_PERMITTED_USE;
	return vne_packet_load_transport(skb, packet, offset);
}

/* Reads a packet into a zeroed structure; VNE_REASON_PERMITTED_USE, or why it can't be judged. */
static __always_inline int vne_packet_read(struct __sk_buff *skb, struct vne_packet *packet)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return vne_packet_read4(skb, packet);
	return skb->protocol == bpf_htons(ETH_P_IPV6) ? vne_packet_read6(skb, packet) : VNE_REASON_PROTOCOL;
}

#endif
