/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * From a packet to an attempt, for the hooks that see packets. `data` starts at the network header.
 */
#ifndef VNE_PACKET_BPF_H
#define VNE_PACKET_BPF_H

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <bpf/bpf_endian.h>
#include "record.bpf.h"

#define VNE_TCP_SYN 0x02
#define VNE_TCP_ACK 0x10
#define VNE_ICMP_ECHO 8

/* What the two packet hooks need of a packet. Host byte order. */
struct vne_packet {
	__u32 source;
	__u32 destination;
	__u16 source_port;
	__u16 destination_port;
	__u32 protocol;
	__u8 tcp_flags;
	__u8 icmp_type;
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

/* Reads an IPv4 packet; VNE_REASON_PERMITTED_USE, or why it can't be judged. */
static __always_inline int vne_packet_read(struct __sk_buff *skb, struct vne_packet *packet)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct vne_transport_header copy = {}, *transport;
	struct iphdr *ip = data;
	__u32 length;

	if (skb->protocol != bpf_htons(ETH_P_IP))
		return VNE_REASON_NO_IPV6;
	if ((void *)(ip + 1) > end)
		return VNE_REASON_MALFORMED;
	packet->source = bpf_ntohl(ip->saddr);
	packet->destination = bpf_ntohl(ip->daddr);
	packet->protocol = ip->protocol;
	if (packet->protocol != VNE_TCP && packet->protocol != VNE_UDP && packet->protocol != VNE_ICMP)
		return VNE_REASON_PROTOCOL;
	length = packet->protocol == VNE_TCP ? sizeof(copy) : 8;
	transport = (void *)(ip + 1);
	if (ip->ihl != 5 || (void *)transport + sizeof(copy) > end) {
		if (ip->ihl < 5 || bpf_skb_load_bytes(skb, ip->ihl * 4, &copy, length))
			return VNE_REASON_MALFORMED;
		transport = &copy;
	}
	packet->source_port = bpf_ntohs(transport->source_port);
	packet->destination_port = bpf_ntohs(transport->destination_port);
	packet->tcp_flags = 0;
	packet->icmp_type = 0;
	packet->icmp_identifier = 0;
	if (packet->protocol == VNE_TCP) {
		packet->tcp_flags = transport->tcp_flags;
	} else if (packet->protocol == VNE_ICMP) {
		packet->icmp_type = packet->source_port >> 8;
		packet->icmp_identifier = bpf_ntohs(transport->icmp_identifier);
		packet->source_port = 0;
		packet->destination_port = 0;
	}
	return VNE_REASON_PERMITTED_USE;
}

#endif
